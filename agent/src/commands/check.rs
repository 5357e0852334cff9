//! `check`: one measurement without any coordinator.

use super::print::{print_facts, say};
use super::{Check, Failed, usage};
use crate::checks::{self, Diagnosis, Job};
use crate::net::Net;
use anyhow::Context;
use faultline_model::{CheckKind, Depth, LineProbes, Measurement, MeasurementId, ResolverSpec, Target, Why};
use faultline_runtime::{LogFormat, init_telemetry, now, random_bytes};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

const DEFAULT_RESOLVER: Ipv4Addr = Ipv4Addr::new(8, 8, 8, 8);
const DEFAULT_DOH_URL: &str = "https://dns.google/dns-query";

pub(super) async fn execute(arguments: &Check) -> Result<(), Failed> {
    init_telemetry("warn", LogFormat::Text);
    let kind = arguments.check;
    let target = Target::new(&with_scheme(&arguments.url)).map_err(usage)?;
    if kind.needs_https() && !target.is_https() {
        return Err(usage(format!("{kind} measures https targets only, not {target}")));
    }
    if !kind.accepts(&target) {
        return Err(usage(format!("{kind} cannot measure {target}: each scheme has its own check")));
    }
    let control = control(arguments, &target)?;
    let resolver = resolver(arguments)?;
    let net = Arc::new(Net::new(&arguments.roots.load()?)?);
    let known = checks::known(&net);
    let check = known.get(&kind).with_context(|| format!("the check {kind} is not built in"))?;
    let depth = if arguments.full { Depth::Full } else { Depth::Light };
    let (started_at, clock) = (now(), Instant::now());
    let (innocent, allows_quic) = (control.clone(), target.is_https());
    let diagnosis = Diagnosis { innocent, allows_quic, line: LineProbes::default() };
    let job = Job { target: target.clone(), depth, resolver: Some(resolver), control, diagnosis };
    let outcome = check.run(job).await?;
    let measurement = Measurement {
        id: MeasurementId::from_bytes(random_bytes()),
        check: kind,
        target,
        depth,
        why: Why::Routine,
        token: None,
        list_version: 0,
        started_at,
        duration: clock.elapsed(),
        parent: None,
        observations: outcome.observations,
    };
    // What is printed may be handed on.
    let measurement =
        net.own().scrubber().scrub(measurement).context("the measurement cannot be scrubbed")?;
    if arguments.json {
        say(format_args!("{}", serde_json::to_string(&measurement)?));
    } else {
        print_facts(&measurement, outcome.bytes);
    }
    Ok(())
}

/// Reads what a download is compared with, as the signed list would name it.
fn control(arguments: &Check, target: &Target) -> Result<Option<Target>, Failed> {
    let control = arguments.control.as_ref().map(|url| Target::new(&with_scheme(url)));
    let control = control.transpose().map_err(|e| usage(format!("--control: {e}")))?;
    match &control {
        None if arguments.check == CheckKind::Throughput => {
            Err(usage("throughput needs --control URL: a large https file on another host, to know the line"))
        }
        None if arguments.check == CheckKind::Diagnose => {
            Err(usage("diagnose needs --control URL: an https site on another host that nobody blocks"))
        }
        Some(control) if !control.is_https() => Err(usage("--control: use an https URL")),
        Some(control) if control.host() == target.host() => {
            Err(usage("--control: use another host than the target's, or both are slowed together"))
        }
        _ => Ok(control),
    }
}

/// People type `youtube.com`.
fn with_scheme(text: &str) -> String {
    if text.contains("://") { text.to_owned() } else { format!("https://{text}") }
}

fn resolver(arguments: &Check) -> Result<ResolverSpec, Failed> {
    let google = |port| SocketAddr::new(IpAddr::V4(DEFAULT_RESOLVER), port);
    let (doh_url, doh_address) = match &arguments.resolver_doh {
        None => (DEFAULT_DOH_URL.to_owned(), google(443)),
        Some(text) => {
            let wrong = || usage(format!("--resolver-doh {text:?}: use URL@ADDR:443"));
            let (url, address) = text.rsplit_once('@').ok_or_else(wrong)?;
            let address = address.parse::<SocketAddr>().ok();
            let address =
                address.or_else(|| Some(SocketAddr::new(text.rsplit_once('@')?.1.parse().ok()?, 443)));
            (url.to_owned(), address.ok_or_else(wrong)?)
        }
    };
    let udp = arguments.resolver_udp.unwrap_or_else(|| google(53));
    Ok(ResolverSpec { name: "check".into(), udp, doh_url, doh_address, dot: None })
}
