//! The far ends of circumvention checks, as the signed list names them.
//!
//! An endpoint is a [`Target`](crate::Target) with a scheme of its own, a port and parameters, such as
//! `openvpn://relay.example.net:1194?transport=udp`. It is a stable name like every target: never an address, no path, no
//! credentials. Each scheme takes its own parameters and no others; the normal form has them in the order of the table.
//!
//! | scheme | default port | parameters |
//! | --- | --- | --- |
//! | `openvpn` | 1194 | `transport` = `udp` (default) or `tcp` |
//! | `wireguard` | 51820 | `public_key`, `client_key` once to four times: 32 bytes in base64 |
//! | `tor` | 9001 | `fingerprint`: 40 hexadecimal digits, may be absent |
//! | `obfs4` | 443 | `cert`: 52 bytes in base64 without padding; `iat-mode` = 0, 1 or 2; `fingerprint`, may be absent |
//! | `socks5` | 1080 | `to`: the host whose port 443 is asked for through the proxy |
//! | `https-proxy` | 443 | `to`, as above |
//!
//! A `client_key` is a private key on purpose: the list's readers are the peers that the operator's server knows, and the
//! server gives them nothing but the handshake. Both sides read the same rules here.

mod keys;
mod ports;

pub use ports::is_denied_port;

use keys::{base64_bytes, hex_bytes};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// As many client keys as one endpoint may name.
const MAX_CLIENT_KEYS: usize = 4;

/// Why a text names no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The host is missing, an address, or malformed.
    #[error("an endpoint is a host name in plain letters, never an address")]
    Host,
    /// The port is one that no check connects to.
    #[error("port {0} belongs to other services and is never connected to")]
    Port(u16),
    /// The endpoint has a path, a fragment or credentials.
    #[error("an endpoint has no path, no fragment and no credentials")]
    Decorated,
    /// A parameter that the scheme does not have, or that comes too often.
    #[error("{0} takes no parameter {1:?}, or not so often")]
    Parameter(ProtocolClass, String),
    /// A parameter that the scheme needs is missing.
    #[error("{0} needs the parameter {1}")]
    Missing(ProtocolClass, &'static str),
    /// A parameter's value is none that it may have.
    #[error("the parameter {0} must be {1}")]
    Value(&'static str, &'static str),
}

macro_rules! protocol_classes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// A kind of circumvention, which is all that the public is told of an endpoint.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ProtocolClass {
            $($(#[$doc])* $name,)+
        }

        impl ProtocolClass {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns the class's name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }

        impl FromStr for ProtocolClass {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$name),)+
                    other => Err(format!("unknown protocol class {other:?}")),
                }
            }
        }
    };
}

protocol_classes! {
    /// OpenVPN over UDP.
    #[default]
    OpenvpnUdp = "openvpn_udp",
    /// OpenVPN over TCP.
    OpenvpnTcp = "openvpn_tcp",
    /// WireGuard.
    Wireguard = "wireguard",
    /// Tor's own link protocol.
    Tor = "tor",
    /// Tor behind the obfs4 transport.
    Obfs4 = "obfs4",
    /// A SOCKS5 proxy.
    Socks5 = "socks5",
    /// A proxy that is spoken to over TLS with CONNECT.
    HttpsProxy = "https_proxy",
    /// The web interface of a VPN provider.
    VpnApi = "vpn_api",
}

impl ProtocolClass {
    /// Days after which results are public by class, unless an operator releases them earlier.
    pub const PUBLIC_AFTER_DAYS: u32 = 7;

    /// Returns the class's name for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::OpenvpnUdp => "OpenVPN over UDP",
            Self::OpenvpnTcp => "OpenVPN over TCP",
            Self::Wireguard => "WireGuard",
            Self::Tor => "Tor",
            Self::Obfs4 => "obfs4",
            Self::Socks5 => "SOCKS5",
            Self::HttpsProxy => "HTTPS proxy",
            Self::VpnApi => "VPN provider's API",
        }
    }
}

impl fmt::Display for ProtocolClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What carries a tunnel's handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Datagrams.
    #[default]
    Udp,
    /// A connection.
    Tcp,
}

/// How an endpoint is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// An OpenVPN server in TLS mode.
    Openvpn(Transport),
    /// A WireGuard server.
    Wireguard {
        /// The server's public key.
        public_key: [u8; 32],
        /// Private keys of peers that the server knows, for agents to take turns with.
        client_keys: Vec<[u8; 32]>,
    },
    /// A Tor relay or bridge at its OR port.
    Tor {
        /// The relay's RSA identity, if it has to be a certain one.
        fingerprint: Option<[u8; 20]>,
    },
    /// A Tor bridge behind obfs4.
    Obfs4 {
        /// The transport's `cert` argument, as bridge lines have it.
        cert: String,
        /// The transport's `iat-mode` argument.
        iat_mode: u8,
        /// The bridge's RSA identity, if it has to be a certain one.
        fingerprint: Option<[u8; 20]>,
    },
    /// A SOCKS5 proxy without authentication, and the host that is asked for through it.
    Socks5(String),
    /// A proxy behind TLS, and the host that is asked for through it.
    HttpsProxy(String),
}

/// A parsed endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The host, in lower case.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How it is spoken to.
    pub tunnel: Tunnel,
}

impl Endpoint {
    /// Says whether a scheme is one of an endpoint.
    #[must_use]
    pub fn has_scheme(scheme: &str) -> bool {
        Scheme::named(scheme).is_some()
    }

    /// Reads and checks an endpoint's text. Nothing is decoded: no value needs an escape.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = text.split_once("://").ok_or(EndpointError::Host)?;
        let scheme = Scheme::named(scheme).ok_or(EndpointError::Host)?;
        let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains(['/', '@', '#']) || query.contains('#') {
            return Err(EndpointError::Decorated);
        }
        let (host, port) = match authority.split_once(':') {
            None => (authority, scheme.default_port()),
            Some((host, port)) => (host, port.parse().map_err(|_| EndpointError::Host)?),
        };
        let host = host.to_ascii_lowercase();
        if !is_name(&host) {
            return Err(EndpointError::Host);
        }
        if is_denied_port(port) {
            return Err(EndpointError::Port(port));
        }
        let mut parameters = Parameters::read(scheme, query)?;
        let tunnel = scheme.tunnel(&mut parameters)?;
        Ok(Self { host, port, tunnel })
    }

    /// Returns the endpoint's class.
    #[must_use]
    pub const fn class(&self) -> ProtocolClass {
        match self.tunnel {
            Tunnel::Openvpn(Transport::Udp) => ProtocolClass::OpenvpnUdp,
            Tunnel::Openvpn(Transport::Tcp) => ProtocolClass::OpenvpnTcp,
            Tunnel::Wireguard { .. } => ProtocolClass::Wireguard,
            Tunnel::Tor { .. } => ProtocolClass::Tor,
            Tunnel::Obfs4 { .. } => ProtocolClass::Obfs4,
            Tunnel::Socks5(_) => ProtocolClass::Socks5,
            Tunnel::HttpsProxy(_) => ProtocolClass::HttpsProxy,
        }
    }

    /// Writes the normal form.
    #[must_use]
    pub fn to_text(&self) -> String {
        let key = |bytes: &[u8; 32]| keys::to_base64(bytes);
        let fingerprint = |bytes: &Option<[u8; 20]>| bytes.as_ref().map(|b| keys::to_hex(b));
        let (scheme, mut query) = match &self.tunnel {
            Tunnel::Openvpn(Transport::Udp) => ("openvpn", vec!["transport=udp".to_owned()]),
            Tunnel::Openvpn(Transport::Tcp) => ("openvpn", vec!["transport=tcp".to_owned()]),
            Tunnel::Wireguard { public_key, client_keys } => {
                let clients = client_keys.iter().map(|bytes| format!("client_key={}", key(bytes)));
                (
                    "wireguard",
                    std::iter::once(format!("public_key={}", key(public_key))).chain(clients).collect(),
                )
            }
            Tunnel::Tor { .. } => ("tor", vec![]),
            Tunnel::Obfs4 { cert, iat_mode, .. } => {
                ("obfs4", vec![format!("cert={cert}"), format!("iat-mode={iat_mode}")])
            }
            Tunnel::Socks5(to) => ("socks5", vec![format!("to={to}")]),
            Tunnel::HttpsProxy(to) => ("https-proxy", vec![format!("to={to}")]),
        };
        if let Tunnel::Tor { fingerprint: id } | Tunnel::Obfs4 { fingerprint: id, .. } = &self.tunnel {
            query.extend(fingerprint(id).map(|digits| format!("fingerprint={digits}")));
        }
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{scheme}://{}:{}{mark}{}", self.host, self.port, query.join("&"))
    }
}

#[derive(Clone, Copy)]
enum Scheme {
    Openvpn,
    Wireguard,
    Tor,
    Obfs4,
    Socks5,
    HttpsProxy,
}

impl Scheme {
    fn named(scheme: &str) -> Option<Self> {
        Some(match scheme.to_ascii_lowercase().as_str() {
            "openvpn" => Self::Openvpn,
            "wireguard" => Self::Wireguard,
            "tor" => Self::Tor,
            "obfs4" => Self::Obfs4,
            "socks5" => Self::Socks5,
            "https-proxy" => Self::HttpsProxy,
            _ => return None,
        })
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Openvpn => 1194,
            Self::Wireguard => 51820,
            Self::Tor => 9001,
            Self::Obfs4 | Self::HttpsProxy => 443,
            Self::Socks5 => 1080,
        }
    }

    /// For messages; the transport is not read yet.
    const fn class(self) -> ProtocolClass {
        match self {
            Self::Openvpn => ProtocolClass::OpenvpnUdp,
            Self::Wireguard => ProtocolClass::Wireguard,
            Self::Tor => ProtocolClass::Tor,
            Self::Obfs4 => ProtocolClass::Obfs4,
            Self::Socks5 => ProtocolClass::Socks5,
            Self::HttpsProxy => ProtocolClass::HttpsProxy,
        }
    }

    /// The parameters, each with how often it may come.
    const fn parameters(self) -> &'static [(&'static str, usize)] {
        match self {
            Self::Openvpn => &[("transport", 1)],
            Self::Wireguard => &[("public_key", 1), ("client_key", MAX_CLIENT_KEYS)],
            Self::Tor => &[("fingerprint", 1)],
            Self::Obfs4 => &[("cert", 1), ("iat-mode", 1), ("fingerprint", 1)],
            Self::Socks5 | Self::HttpsProxy => &[("to", 1)],
        }
    }

    fn tunnel(self, given: &mut Parameters<'_>) -> Result<Tunnel, EndpointError> {
        Ok(match self {
            Self::Openvpn => Tunnel::Openvpn(match given.first("transport") {
                None | Some("udp") => Transport::Udp,
                Some("tcp") => Transport::Tcp,
                Some(_) => return Err(EndpointError::Value("transport", "udp or tcp")),
            }),
            Self::Wireguard => Tunnel::Wireguard {
                public_key: key("public_key", given.needed("public_key")?)?,
                client_keys: given.client_keys()?,
            },
            Self::Tor => Tunnel::Tor { fingerprint: given.fingerprint()? },
            Self::Obfs4 => {
                let cert = given.needed("cert")?;
                base64_bytes::<52>(cert, false)
                    .ok_or(EndpointError::Value("cert", "70 characters of base64, as in a bridge line"))?;
                let iat_mode = match given.first("iat-mode") {
                    None | Some("0") => 0,
                    Some("1") => 1,
                    Some("2") => 2,
                    Some(_) => return Err(EndpointError::Value("iat-mode", "0, 1 or 2")),
                };
                Tunnel::Obfs4 { cert: cert.to_owned(), iat_mode, fingerprint: given.fingerprint()? }
            }
            Self::Socks5 => Tunnel::Socks5(given.far_host()?),
            Self::HttpsProxy => Tunnel::HttpsProxy(given.far_host()?),
        })
    }
}

struct Parameters<'a> {
    scheme: Scheme,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Parameters<'a> {
    fn read(scheme: Scheme, query: &'a str) -> Result<Self, EndpointError> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let most = scheme.parameters().iter().find(|(known, _)| *known == name).map_or(0, |(_, n)| *n);
            if pairs.iter().filter(|(known, _)| *known == name).count() >= most {
                let shown = name.chars().take(40).collect();
                return Err(EndpointError::Parameter(scheme.class(), shown));
            }
            pairs.push((name, value));
        }
        Ok(Self { scheme, pairs })
    }

    fn first(&self, name: &str) -> Option<&'a str> {
        self.pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn needed(&self, name: &'static str) -> Result<&'a str, EndpointError> {
        self.first(name).ok_or(EndpointError::Missing(self.scheme.class(), name))
    }

    fn client_keys(&self) -> Result<Vec<[u8; 32]>, EndpointError> {
        self.needed("client_key")?;
        let all = self.pairs.iter().filter(|(name, _)| *name == "client_key");
        all.map(|(_, value)| key("client_key", value)).collect()
    }

    fn fingerprint(&self) -> Result<Option<[u8; 20]>, EndpointError> {
        let wrong = EndpointError::Value("fingerprint", "40 hexadecimal digits");
        self.first("fingerprint").map(|text| hex_bytes(text).ok_or(wrong)).transpose()
    }

    fn far_host(&self) -> Result<String, EndpointError> {
        let to = self.needed("to")?.to_ascii_lowercase();
        if is_name(&to) { Ok(to) } else { Err(EndpointError::Value("to", "a host name, never an address")) }
    }
}

fn key(name: &'static str, text: &str) -> Result<[u8; 32], EndpointError> {
    base64_bytes(text, true)
        .ok_or(EndpointError::Value(name, "32 bytes in base64, as `wg genkey` prints them"))
}

/// Says whether a host is a name: a last label of digits alone would be read as an address somewhere.
fn is_name(host: &str) -> bool {
    let last_is_number = host
        .rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()) || label.starts_with("0x"));
    crate::target::is_host_name(host) && !last_is_number
}

#[cfg(test)]
mod tests;
