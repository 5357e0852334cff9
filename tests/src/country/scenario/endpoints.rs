//! Reads `[[endpoint]]` blocks: the far ends of circumvention checks, which stand outside the country.

use super::check::Notes;
use super::{Content, Scenario, raw};
use crate::country::addresses::Pool;
use faultline_model::{ProtocolClass, is_denied_port};

/// A far end of circumvention checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What it speaks.
    pub class: ProtocolClass,
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The host that proxies are asked for.
    pub to: String,
}

/// Reads all endpoints and gives their hosts addresses.
pub(super) fn endpoints(notes: &mut Notes<'_>, scenario: &mut Scenario, file: &raw::File, pool: &mut Pool) {
    for entry in &file.endpoint {
        let kind = entry.kind.get_ref().parse::<ProtocolClass>();
        let Some(class) = notes.keep(entry.kind.span().start, "kind", kind) else { continue };
        let host = entry.host.get_ref().to_ascii_lowercase();
        if scenario.sites.iter().any(|site| site.host == host) {
            notes.add(entry.host.span().start, "host", format!("{host:?} occurs twice"));
            continue;
        }
        let port = entry.port.unwrap_or(default_port(class));
        // The world serves pages there, whatever the address.
        let is_taken = class != ProtocolClass::VpnApi && matches!(port, 80 | 443 | 853);
        if is_taken || is_denied_port(port) {
            notes.add(entry.host.span().start, "port", format!("no endpoint can have port {port} here"));
        }
        if let Some(to) = &entry.to
            && !scenario.list.targets.iter().any(|listed| listed.target.host() == to)
        {
            notes.add(entry.host.span().start, "to", format!("no target of the list is at {to:?}"));
        }
        let to = entry.to.clone().unwrap_or_else(|| scenario.list.targets[0].target.host().to_owned());
        let content = Content::Page { title: class.title().to_owned(), body: None, short: false };
        let address = pool.deal();
        scenario.sites.push(super::sites::plain(host.clone(), address, content, (false, None)));
        scenario.endpoints.push(Endpoint { class, host, port, to });
    }
}

const fn default_port(class: ProtocolClass) -> u16 {
    match class {
        ProtocolClass::OpenvpnUdp | ProtocolClass::OpenvpnTcp => 1194,
        ProtocolClass::Wireguard => 51820,
        ProtocolClass::Tor => 9001,
        ProtocolClass::Obfs4 | ProtocolClass::HttpsProxy => 8443,
        ProtocolClass::Socks5 => 1080,
        ProtocolClass::VpnApi => 443,
    }
}
