//! What one measurement, read beside its controls, says about a target.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A layer of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Name resolution.
    Dns,
    /// The TCP connection.
    Tcp,
    /// The TLS handshake.
    Tls,
    /// The QUIC handshake, which is transport and TLS in one.
    Quic,
    /// The HTTP exchange.
    Http,
    /// The handshake of a circumvention protocol.
    Tunnel,
}

impl Layer {
    /// Returns the layer's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Quic => "quic",
            Self::Http => "http",
            Self::Tunnel => "tunnel",
        }
    }
}

impl FromStr for Layer {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "dns" => Ok(Self::Dns),
            "tcp" => Ok(Self::Tcp),
            "tls" => Ok(Self::Tls),
            "quic" => Ok(Self::Quic),
            "http" => Ok(Self::Http),
            "tunnel" => Ok(Self::Tunnel),
            other => Err(format!("unknown layer {other:?}")),
        }
    }
}

/// What is said of one layer of one measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerStatus {
    /// The layer works.
    Ok,
    /// The site itself fails: controls fail too.
    Down,
    /// Something between the vantage point and the site interferes.
    Blocked,
    /// Slowed, not cut.
    Throttled,
    /// Something between the vantage point and the site interferes, and the site is reached all the same.
    Tampered,
    /// There is no control, or the check did not run.
    Insufficient,
}

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// How a measurement ended, in the words of the replay format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Class {
            $($(#[$doc])* $name,)+
        }

        impl Class {
            /// Returns the class's name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }

        impl FromStr for Class {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$name),)+
                    other => Err(format!("unknown failure class {:?}", other.chars().take(40).collect::<String>())),
                }
            }
        }
    };
}

classes! {
    /// Everything went through.
    Ok = "ok",
    /// The system resolver denies the name.
    DnsNxdomain = "dns_nxdomain",
    /// The answer is an address that cannot be a public site.
    DnsBogon = "dns_bogon",
    /// The answer is a forged public address.
    DnsInjected = "dns_injected",
    /// The resolver does not answer.
    DnsTimeout = "dns_timeout",
    /// The connection is refused.
    TcpRefused = "tcp_refused",
    /// The connection is reset before the handshake.
    TcpReset = "tcp_reset",
    /// The connection attempt is not answered.
    TcpTimeout = "tcp_timeout",
    /// The handshake is reset.
    TlsReset = "tls_reset",
    /// The handshake is not answered.
    TlsTimeout = "tls_timeout",
    /// The certificate is not the site's.
    TlsCertMismatch = "tls_cert_mismatch",
    /// The page is a block page.
    HttpBlockpage = "http_blockpage",
    /// The exchange is reset.
    HttpReset = "http_reset",
    /// The exchange is not answered.
    HttpTimeout = "http_timeout",
    /// The status differs from the control's.
    HttpStatusDiff = "http_status_diff",
    /// Slowed, not cut.
    Throttled = "throttled",
    /// The vantage point's own line is down.
    LocalNetworkDown = "local_network_down",
}

impl Class {
    /// Says whether the class is an anomaly (everything but [`Class::Ok`]).
    #[must_use]
    pub const fn is_anomaly(self) -> bool {
        !matches!(self, Self::Ok)
    }

    /// Returns the layer at which the measurement ended.
    #[must_use]
    pub const fn layer(self) -> Layer {
        match self {
            Self::DnsNxdomain | Self::DnsBogon | Self::DnsInjected | Self::DnsTimeout => Layer::Dns,
            Self::TcpRefused | Self::TcpReset | Self::TcpTimeout | Self::LocalNetworkDown => Layer::Tcp,
            Self::TlsReset | Self::TlsTimeout | Self::TlsCertMismatch => Layer::Tls,
            Self::Ok
            | Self::HttpBlockpage
            | Self::HttpReset
            | Self::HttpTimeout
            | Self::HttpStatusDiff
            | Self::Throttled => Layer::Http,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Class {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The judgement of one measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// How the measurement ended.
    pub class: Class,
    /// The layer that decided.
    pub layer: Layer,
    /// What is said of that layer.
    pub status: LayerStatus,
    /// The rule that said so, such as `tls.reset.sni`.
    pub rule: String,
    /// The redirect hop that decided, 0 for the target itself.
    #[serde(default)]
    pub hop: u8,
    /// The observations that the rule rests on, as positions in the measurement, in ascending order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<u16>,
}

impl LayerStatus {
    /// Every status, in the order in which they are declared.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Down, Self::Blocked, Self::Throttled, Self::Tampered, Self::Insufficient];

    /// Returns the status's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Down => "down",
            Self::Blocked => "blocked",
            Self::Throttled => "throttled",
            Self::Tampered => "tampered",
            Self::Insufficient => "insufficient",
        }
    }
}
