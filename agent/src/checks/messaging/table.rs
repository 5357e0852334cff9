//! What each service's own programs talk to: names and ports that the services publish or their programs are seen to use.

use faultline_model::CheckKind;
use std::net::Ipv4Addr;

/// What is done at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// The name is resolved and nothing more.
    Resolve,
    /// A connection is made and closed.
    Connect,
    /// A handshake is made up to the certificate, which an authority of the service's own has signed.
    Certificate,
    /// A page is asked for over TLS.
    Page(&'static str),
    /// An empty message is posted over plain HTTP, on whatever port.
    Post,
}

/// One endpoint.
#[derive(Clone, Debug)]
pub(super) struct Point {
    /// Its name, or its address.
    pub(super) host: String,
    pub(super) ports: &'static [u16],
    pub(super) deed: Deed,
}

/// Telegram's access points; its programs hold these addresses and need no name.
pub(super) const ACCESS_POINTS: [Ipv4Addr; 6] = [
    Ipv4Addr::new(149, 154, 175, 50),
    Ipv4Addr::new(149, 154, 167, 51),
    Ipv4Addr::new(149, 154, 175, 100),
    Ipv4Addr::new(149, 154, 167, 91),
    Ipv4Addr::new(149, 154, 171, 5),
    Ipv4Addr::new(95, 161, 76, 100),
];

/// WhatsApp's programs choose one of so many names.
const WHATSAPP_HOSTS: u8 = 16;
/// So many of them are tried in one run.
const WHATSAPP_TRIED: u8 = 4;

const SIGNAL: [&str; 4] = ["cdsi.signal.org", "chat.signal.org", "sfu.voip.signal.org", "storage.signal.org"];
const MESSENGER: [&str; 6] = [
    "b-api.facebook.com",
    "b-graph.facebook.com",
    "edge-mqtt.facebook.com",
    "external.xx.fbcdn.net",
    "scontent.xx.fbcdn.net",
    "star.c10r.facebook.com",
];
const MESSENGER_STUN: &str = "stun.fbsbx.com";

/// Returns a service's endpoints; `turn` rotates through those of which there are many.
pub(super) fn points(kind: CheckKind, access_points: &[Ipv4Addr], turn: u8) -> Vec<Point> {
    let point = |host: &str, ports, deed| Point { host: host.to_owned(), ports, deed };
    match kind {
        CheckKind::Whatsapp => {
            let number =
                |step| (turn % WHATSAPP_HOSTS + step * (WHATSAPP_HOSTS / WHATSAPP_TRIED)) % WHATSAPP_HOSTS;
            let names = (0..WHATSAPP_TRIED).map(|step| format!("e{}.whatsapp.net", number(step) + 1));
            let mut points: Vec<Point> =
                names.map(|name| point(&name, &[443, 5222], Deed::Connect)).collect();
            points.push(point("v.whatsapp.net", &[443], Deed::Page("/v2/register")));
            points
        }
        CheckKind::Telegram => {
            access_points.iter().map(|address| point(&address.to_string(), &[443, 80], Deed::Post)).collect()
        }
        CheckKind::Signal => SIGNAL.iter().map(|host| point(host, &[443], Deed::Certificate)).collect(),
        CheckKind::Messenger => {
            let mut points: Vec<Point> =
                MESSENGER.iter().map(|host| point(host, &[443], Deed::Connect)).collect();
            points.push(point(MESSENGER_STUN, &[443], Deed::Resolve));
            points
        }
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn all_names_of_whatsapp_have_their_turn() {
        let mut seen = BTreeSet::new();
        for turn in 0..=u8::MAX {
            let points = points(CheckKind::Whatsapp, &[], turn);
            assert_eq!(points.len(), 5, "four of sixteen, and the registration");
            seen.extend(
                points.into_iter().filter(|point| point.deed == Deed::Connect).map(|point| point.host),
            );
        }
        let expected: BTreeSet<String> = (1..=16).map(|n| format!("e{n}.whatsapp.net")).collect();
        assert_eq!(seen, expected);
    }
}
