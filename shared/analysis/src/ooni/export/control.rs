//! A control's measurement as OONI's test helper would tell it.

use super::failure;
use faultline_model::{Engine, Fact, Layer, Measurement};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Writes what a control saw of the target; of redirects only the page at their end.
pub(super) fn write(control: &Measurement) -> Value {
    let mut addresses = BTreeSet::new();
    let (mut tcp, mut tls) = (Map::new(), Map::new());
    let (mut dns_failure, mut page) = (Value::Null, None);
    let own =
        control.observations.iter().filter(|step| !matches!(step.engine, Engine::Control | Engine::Retry));
    for step in own {
        let failed = Value::from(step.failure.as_ref().map(failure));
        let is_first = step.hop == 0;
        match (step.layer, &step.fact, step.peer) {
            (_, Fact::Dns(answer), _) if is_first => {
                addresses.extend(answer.addresses.iter().map(ToString::to_string));
                if step.engine == Engine::System {
                    dns_failure = failed;
                }
            }
            (Layer::Tcp, _, Some(peer)) if is_first => {
                tcp.insert(peer.to_string(), json!({"status": failed.is_null(), "failure": failed}));
            }
            (Layer::Tls, Fact::Tls(fact), Some(peer)) if is_first => {
                let name = &fact.server_name;
                tls.insert(
                    peer.to_string(),
                    json!({"server_name": name, "status": failed.is_null(), "failure": failed}),
                );
            }
            (_, Fact::Http(fact), _) if step.engine == Engine::System && fact.status != 0 => {
                page = Some(fact);
            }
            _ => {}
        }
    }
    let failed = crate::judge::deciding_step(control).and_then(|step| step.failure.as_ref());
    let page = page.filter(|_| failed.is_none());
    let length = page.and_then(|page| i64::try_from(page.body_bytes).ok()).unwrap_or(-1);
    json!({
        "dns": {"failure": dns_failure, "addrs": addresses},
        "tcp_connect": tcp,
        "tls_handshake": tls,
        "http_request": {
            "failure": failed.map(failure),
            "status_code": page.map_or(-1, |page| i64::from(page.status)),
            "body_length": length,
            "title": page.map_or("", |page| page.title.as_str()),
            "headers": {},
        },
    })
}
