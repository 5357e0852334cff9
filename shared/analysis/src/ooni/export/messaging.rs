//! The verdict keys of OONI's tests of messaging services.
//!
//! A part of a service (its access points, its registration, its web page) failed if no endpoint of it that was tried
//! succeeded. `blocked` stands only where our judgement beside the controls says so; without controls it is null.

use super::{About, failure, rows};
use crate::judge::{ControlFact, host_of, judge};
use faultline_model::{CheckKind, Layer, LayerStatus, Measurement, Observation};
use serde_json::{Value, json};

/// Host names of Messenger's parts, by the keys of OONI.
const MESSENGER: [(&str, &str); 7] = [
    ("b_api", "b-api.facebook.com"),
    ("b_graph", "b-graph.facebook.com"),
    ("edge", "edge-mqtt.facebook.com"),
    ("external_cdn", "external.xx.fbcdn.net"),
    ("scontent_cdn", "scontent.xx.fbcdn.net"),
    ("star", "star.c10r.facebook.com"),
    ("stun", "stun.fbsbx.com"),
];

/// Writes rows and verdict keys.
pub(super) fn write(measurement: &Measurement, about: &About<'_>) -> Value {
    let controls: Vec<ControlFact> = about.controls.iter().map(|control| ControlFact::of(control)).collect();
    let is_blocked = judge(measurement, &controls).status == LayerStatus::Blocked;
    let service = Service { measurement, has_controls: !controls.is_empty(), is_blocked };
    let mut keys = rows::write(measurement);
    let (web, target) = (measurement.target.host(), |host: &str| host == measurement.target.host());
    let own = match measurement.check {
        CheckKind::Whatsapp => {
            let (registration, endpoint) =
                (|host: &str| host == "v.whatsapp.net", |host: &str| host != web && host != "v.whatsapp.net");
            json!({
                "registration_server_failure": service.failure(registration, Layer::Http),
                "registration_server_status": service.status(registration, Layer::Http),
                "whatsapp_endpoints_status": service.status(endpoint, Layer::Tcp),
                "whatsapp_endpoints_blocked": [],
                "whatsapp_endpoints_dns_inconsistent": [],
                "whatsapp_web_failure": service.failure(target, Layer::Http),
                "whatsapp_web_status": service.status(target, Layer::Http),
            })
        }
        CheckKind::Telegram => json!({
            "telegram_http_blocking": service.blocking(|host| host != web, Layer::Http),
            "telegram_tcp_blocking": service.blocking(|host| host != web, Layer::Tcp),
            "telegram_web_failure": service.failure(target, Layer::Http),
            "telegram_web_status": service.status(target, Layer::Http),
        }),
        CheckKind::Signal => json!({
            "signal_backend_failure": service.failure(|host| host != web, Layer::Tls),
            "signal_backend_status": service.status(|host| host != web, Layer::Tls),
        }),
        _ => messenger(&service),
    };
    if let (Value::Object(keys), Value::Object(own)) = (&mut keys, own) {
        keys.extend(own);
    }
    keys
}

fn messenger(service: &Service<'_>) -> Value {
    let mut keys = json!({});
    for (name, host) in MESSENGER {
        let of = |other: &str| other == host;
        keys[format!("facebook_{name}_dns_consistent")] = service.passed(of, Layer::Dns);
        keys[format!("facebook_{name}_reachable")] = service.passed(of, Layer::Tcp);
    }
    let own = |host: &str| MESSENGER.iter().any(|(_, name)| *name == host);
    keys["facebook_dns_blocking"] = service.blocking(own, Layer::Dns);
    keys["facebook_tcp_blocking"] = service.blocking(own, Layer::Tcp);
    keys
}

/// A measurement of a service, read part by part.
struct Service<'a> {
    measurement: &'a Measurement,
    has_controls: bool,
    is_blocked: bool,
}

impl Service<'_> {
    fn steps(&self, has: impl Fn(&str) -> bool) -> Vec<&Observation> {
        let steps = self.measurement.observations.iter();
        steps.filter(|step| host_of(step).is_some_and(|host| has(&host))).collect()
    }

    /// Says whether a part was reached at a layer; null if it was not tried.
    fn passed(&self, has: impl Fn(&str) -> bool, layer: Layer) -> Value {
        let steps = self.steps(has);
        let is_reached = steps.iter().any(|step| step.layer == layer && step.failure.is_none());
        let is_tried = steps.iter().any(|step| step.layer == layer || step.failure.is_some());
        if is_tried { Value::from(is_reached) } else { Value::Null }
    }

    /// Returns the failure of a part, null if it was reached.
    fn failure(&self, has: impl Fn(&str) -> bool + Copy, layer: Layer) -> Value {
        if self.passed(has, layer) != false {
            return Value::Null;
        }
        Value::from(self.steps(has).iter().find_map(|step| step.failure.as_ref()).map(failure))
    }

    fn blocking(&self, has: impl Fn(&str) -> bool, layer: Layer) -> Value {
        match self.passed(has, layer).as_bool() {
            Some(true) => Value::from(false),
            Some(false) if self.has_controls => Value::from(self.is_blocked),
            _ => Value::Null,
        }
    }

    fn status(&self, has: impl Fn(&str) -> bool, layer: Layer) -> Value {
        match self.blocking(has, layer).as_bool() {
            Some(true) => Value::from("blocked"),
            Some(false) => Value::from("ok"),
            None => Value::Null,
        }
    }
}
