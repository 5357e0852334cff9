//! Measurements and their observations.

use super::fact::{fact_from_wire, fact_to_wire};
use super::{WireError, bounded, depth_from_wire, depth_to_wire, invalid};
use crate::agent as wire;
use faultline_model::{
    CheckKind, Engine, Fact, Failure, Layer, Measurement, MeasurementId, Observation, Target, TaskToken,
    Timestamp, Why,
};
use std::net::SocketAddr;
use std::time::Duration;

/// A measurement with more steps is refused.
pub const MAX_OBSERVATIONS: usize = 64;
const MAX_FAILURE_BYTES: usize = 160;
/// No step of an honest agent lasts longer.
const MAX_DURATION_MS: u64 = 15 * 60 * 1000;

/// Writes a measurement.
#[must_use]
pub fn measurement_to_wire(measurement: &Measurement) -> wire::Measurement {
    wire::Measurement {
        id: measurement.id.to_string(),
        check: measurement.check.to_string(),
        target: measurement.target.to_string(),
        depth: depth_to_wire(measurement.depth).into(),
        why: match measurement.why {
            Why::Routine => wire::Why::Routine.into(),
            Why::Confirmation => wire::Why::Confirmation.into(),
        },
        token: measurement.token.as_ref().map(ToString::to_string).unwrap_or_default(),
        list_version: measurement.list_version,
        started_at_ms: measurement.started_at.unix_ms(),
        duration_ms: millis(measurement.duration),
        observations: measurement.observations.iter().map(observation_to_wire).collect(),
        parent: measurement.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// Reads a measurement and checks every field.
///
/// # Errors
/// Names the field at fault.
pub fn measurement_from_wire(message: wire::Measurement) -> Result<Measurement, WireError> {
    let count = message.observations.len();
    if count > MAX_OBSERVATIONS {
        return Err(WireError::TooLong { field: "observations", len: count, max: MAX_OBSERVATIONS });
    }
    if count == 0 {
        return Err(WireError::Missing("observations"));
    }
    let why = match wire::Why::try_from(message.why) {
        Ok(wire::Why::Routine) => Why::Routine,
        Ok(wire::Why::Confirmation) => Why::Confirmation,
        _ => return Err(invalid("why", message.why)),
    };
    let token = match message.token.as_str() {
        "" => None,
        text => Some(TaskToken::new(text).map_err(|e| invalid("token", e))?),
    };
    let parent = match message.parent.as_str() {
        "" => None,
        text => Some(MeasurementId::new(text).map_err(|e| invalid("parent", e))?),
    };
    Ok(Measurement {
        id: MeasurementId::new(message.id).map_err(|e| invalid("id", e))?,
        check: message.check.parse::<CheckKind>().map_err(|e| invalid("check", e))?,
        target: Target::new(&message.target).map_err(|e| invalid("target", e))?,
        depth: depth_from_wire(message.depth)?,
        why,
        token,
        list_version: message.list_version,
        started_at: Timestamp::from_unix_ms(message.started_at_ms),
        duration: duration("duration_ms", message.duration_ms)?,
        parent,
        observations: message
            .observations
            .into_iter()
            .map(observation_from_wire)
            .collect::<Result<_, _>>()?,
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn duration(field: &'static str, ms: u64) -> Result<Duration, WireError> {
    if ms > MAX_DURATION_MS { Err(invalid(field, ms)) } else { Ok(Duration::from_millis(ms)) }
}

fn observation_to_wire(step: &Observation) -> wire::Observation {
    wire::Observation {
        layer: match step.layer {
            Layer::Dns => wire::Layer::Dns,
            Layer::Tcp => wire::Layer::Tcp,
            Layer::Tls => wire::Layer::Tls,
            Layer::Http => wire::Layer::Http,
            Layer::Quic => wire::Layer::Quic,
            Layer::Tunnel => wire::Layer::Tunnel,
        }
        .into(),
        engine: match step.engine {
            Engine::System => wire::Engine::System,
            Engine::Udp => wire::Engine::Udp,
            Engine::Doh => wire::Engine::Doh,
            Engine::Control => wire::Engine::Control,
            Engine::Dot => wire::Engine::Dot,
            Engine::Isp => wire::Engine::Isp,
            Engine::Retry => wire::Engine::Retry,
        }
        .into(),
        hop: step.hop.into(),
        peer: step.peer.map(|peer| peer.to_string()).unwrap_or_default(),
        at_ms: millis(step.at),
        took_ms: millis(step.took),
        failure: step.failure.as_ref().map(ToString::to_string).unwrap_or_default(),
        fact: fact_to_wire(&step.fact),
    }
}

fn observation_from_wire(step: wire::Observation) -> Result<Observation, WireError> {
    let layer = match wire::Layer::try_from(step.layer) {
        Ok(wire::Layer::Dns) => Layer::Dns,
        Ok(wire::Layer::Tcp) => Layer::Tcp,
        Ok(wire::Layer::Tls) => Layer::Tls,
        Ok(wire::Layer::Http) => Layer::Http,
        Ok(wire::Layer::Quic) => Layer::Quic,
        Ok(wire::Layer::Tunnel) => Layer::Tunnel,
        _ => return Err(invalid("layer", step.layer)),
    };
    let engine = match wire::Engine::try_from(step.engine) {
        Ok(wire::Engine::System) => Engine::System,
        Ok(wire::Engine::Udp) => Engine::Udp,
        Ok(wire::Engine::Doh) => Engine::Doh,
        Ok(wire::Engine::Control) => Engine::Control,
        Ok(wire::Engine::Dot) => Engine::Dot,
        Ok(wire::Engine::Isp) => Engine::Isp,
        Ok(wire::Engine::Retry) => Engine::Retry,
        _ => return Err(invalid("engine", step.engine)),
    };
    let peer = match step.peer.as_str() {
        "" => None,
        text => Some(text.parse::<SocketAddr>().map_err(|e| invalid("peer", e))?),
    };
    let failure = match bounded("failure", step.failure, MAX_FAILURE_BYTES)?.as_str() {
        "" => None,
        text => Some(Failure::parse(text)),
    };
    Ok(Observation {
        layer,
        engine,
        hop: u8::try_from(step.hop).map_err(|e| invalid("hop", e))?,
        peer,
        at: duration("at_ms", step.at_ms)?,
        took: duration("took_ms", step.took_ms)?,
        failure,
        fact: step.fact.map_or(Ok(Fact::None), fact_from_wire)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultline_model::{Depth, DnsAnswer, DownloadEnd, HttpFact, QuicFact, ThroughputFact, TlsFact};

    fn measurement() -> Measurement {
        let step = |layer, fact| Observation {
            layer,
            engine: Engine::System,
            hop: 1,
            peer: Some("157.240.1.35:443".parse().expect("valid")),
            at: Duration::from_millis(3),
            took: Duration::from_millis(40),
            failure: None,
            fact,
        };
        let mut steps = vec![
            step(
                Layer::Dns,
                Fact::Dns(DnsAnswer {
                    hostname: "x.com".into(),
                    addresses: vec!["10.0.0.1".parse().expect("valid")],
                    ..DnsAnswer::default()
                }),
            ),
            step(Layer::Tcp, Fact::None),
            step(Layer::Tls, Fact::Tls(TlsFact { server_name: "x.com".into(), ..TlsFact::default() })),
            step(Layer::Http, Fact::Http(HttpFact { status: 200, ..HttpFact::default() })),
            step(
                Layer::Quic,
                Fact::Quic(QuicFact { datagrams_sent: 4, peer_versions: vec![1, 7], ..QuicFact::default() }),
            ),
            Observation { engine: Engine::Control, ..step(Layer::Http, Fact::Throughput(download())) },
        ];
        steps[3].failure = Some(Failure::ConnectionReset);
        for engine in [Engine::Udp, Engine::Doh, Engine::Dot, Engine::Isp, Engine::Retry] {
            steps.push(Observation { engine, ..step(Layer::Tcp, Fact::None) });
        }
        Measurement {
            id: MeasurementId::from_bytes([7; 16]),
            check: CheckKind::Web,
            target: Target::new("https://x.com/").expect("valid"),
            depth: Depth::Full,
            why: Why::Confirmation,
            token: Some(TaskToken::new("t1").expect("valid")),
            list_version: 3,
            started_at: Timestamp::from_unix_ms(1_705_758_033_000),
            duration: Duration::from_millis(90),
            parent: Some(MeasurementId::from_bytes([8; 16])),
            observations: steps,
        }
    }

    fn download() -> ThroughputFact {
        ThroughputFact {
            url: "https://canary.org/big".into(),
            status: 200,
            body_bytes: 262_144,
            head_ms: 80,
            body_ms: 900,
            bin_ms: 500,
            bins: vec![200_000, 62_144],
            end: DownloadEnd::BytesCap,
        }
    }

    #[test]
    fn a_measurement_survives_the_wire() {
        let measurement = measurement();
        let back = measurement_from_wire(measurement_to_wire(&measurement)).expect("valid");
        assert_eq!(back, measurement);
    }

    #[test]
    fn each_end_of_a_download_survives_the_wire_and_endless_series_are_refused() {
        for end in [DownloadEnd::Complete, DownloadEnd::BytesCap, DownloadEnd::TimeCap, DownloadEnd::Broken] {
            let fact = Fact::Throughput(ThroughputFact { end, ..download() });
            let back = fact_from_wire(fact_to_wire(&fact).expect("a fact")).expect("valid");
            assert_eq!(back, fact);
        }
        let endless = Fact::Throughput(ThroughputFact { bins: vec![1; 65], ..download() });
        assert!(fact_from_wire(fact_to_wire(&endless).expect("a fact")).is_err());
        let many = Fact::Quic(QuicFact { peer_versions: vec![1; 17], ..QuicFact::default() });
        assert!(fact_from_wire(fact_to_wire(&many).expect("a fact")).is_err());
    }

    #[test]
    fn a_message_out_of_bounds_is_refused_with_its_field() {
        type Spoil = fn(&mut wire::Measurement);
        let cases: [(&str, Spoil); 9] = [
            ("observations", |m| m.observations.clear()),
            ("observations", |m| m.observations = vec![wire::Observation::default(); 65]),
            ("id", |m| m.id = "a b".into()),
            ("target", |m| m.target = "https://10.0.0.1/".into()),
            ("why", |m| m.why = 0),
            ("parent", |m| m.parent = "a b".into()),
            ("depth", |m| m.depth = -1),
            ("duration_ms", |m| m.duration_ms = u64::MAX),
            ("layer", |m| m.observations[0].layer = 0),
        ];
        for (field, spoil) in cases {
            let mut message = measurement_to_wire(&measurement());
            spoil(&mut message);
            let error = measurement_from_wire(message).expect_err(field);
            assert!(error.to_string().starts_with(field), "{field}: {error}");
        }
    }
}
