//! What one step of an OONI measurement says about a layer.

use crate::judge::is_public;
use faultline_model::{Class, Failure, Layer};
use std::net::IpAddr;

/// What one step says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The layer worked.
    Fine(Layer),
    /// The layer failed, in this way.
    Failed(Class),
    /// The line of the vantage point failed; nothing is known of the layer.
    Local,
}

/// Reads a step's failure; nothing where it says nothing about anybody, such as IPv6 on a line that has none.
#[must_use]
pub fn sign(layer: Layer, failure: Option<&Failure>, is_v6: bool) -> Option<Sign> {
    let Some(failure) = failure else { return Some(Sign::Fine(layer)) };
    let class = match failure {
        Failure::NetworkUnreachable | Failure::HostUnreachable if is_v6 => return None,
        Failure::NetworkUnreachable | Failure::HostUnreachable | Failure::NetworkDown => {
            return Some(Sign::Local);
        }
        Failure::Unknown(text) if text != "timed_out" => return None,
        Failure::Interrupted | Failure::ConnectionAborted | Failure::AddressDenied => return None,
        // A request that failed by the name carries the resolver's failure.
        Failure::DnsNxdomain | Failure::DnsNoAnswer | Failure::DnsRefused => Class::DnsNxdomain,
        Failure::DnsBogon => Class::DnsBogon,
        Failure::DnsServfail | Failure::DnsMisbehaving => Class::DnsTimeout,
        Failure::SslInvalidHostname
        | Failure::SslUnknownAuthority
        | Failure::SslInvalidCertificate
        | Failure::SslFailedHandshake => Class::TlsCertMismatch,
        Failure::ConnectionRefused => Class::TcpRefused,
        Failure::ConnectionReset | Failure::Eof => match layer {
            Layer::Dns => Class::DnsTimeout,
            Layer::Tcp => Class::TcpReset,
            Layer::Tls => Class::TlsReset,
            Layer::Http => Class::HttpReset,
            Layer::Quic | Layer::Tunnel => return None,
        },
        // What failed over QUIC says nothing about pages.
        Failure::QuicIncompatibleVersion
        | Failure::HttpInvalidResponse
        | Failure::HttpInvalidRedirect
        | Failure::RedirectDenied
        | Failure::TooManyRedirects
        | Failure::TunnelInvalidReply
        | Failure::TunnelWrongPeer
        | Failure::TunnelDenied => return None,
        Failure::Timeout | Failure::Unknown(_) => match layer {
            Layer::Dns => Class::DnsTimeout,
            Layer::Tcp => Class::TcpTimeout,
            Layer::Tls => Class::TlsTimeout,
            Layer::Http => Class::HttpTimeout,
            Layer::Quic | Layer::Tunnel => return None,
        },
    };
    Some(Sign::Failed(class))
}

/// Reads one address that a resolver gave: nothing, or that it cannot be a public site.
#[must_use]
pub fn answer(address: IpAddr) -> Option<Sign> {
    (!is_public(address)).then_some(Sign::Failed(Class::DnsBogon))
}
