//! Failure codes of network steps, named as OONI names them (specification df-007).

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! failures {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// Why a network step failed. A failure is a fact about the step, never an error of the program.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Failure {
            $($(#[$doc])* $name,)+
            /// Something that has no code; at most 120 printable characters, scrubbed of addresses by its maker.
            Unknown(String),
        }

        impl Failure {
            /// Returns the code's text without the detail of unknown failures.
            #[must_use]
            pub fn code(&self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Unknown(_) => "unknown_failure",
                }
            }

            /// Reads a code; whatever is not in the table becomes [`Failure::Unknown`].
            #[must_use]
            pub fn parse(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)+
                    other => Self::unknown(other.strip_prefix("unknown_failure: ").unwrap_or(other)),
                }
            }
        }
    };
}

failures! {
    /// The resolver says that the name does not exist.
    DnsNxdomain = "dns_nxdomain_error",
    /// The resolver answers without addresses.
    DnsNoAnswer = "dns_no_answer",
    /// The resolver refuses.
    DnsRefused = "dns_refused_error",
    /// The resolver fails.
    DnsServfail = "dns_servfail_error",
    /// The resolver's reply does not fit the question.
    DnsMisbehaving = "dns_server_misbehaving",
    /// Every answer is an address that cannot be a public site.
    DnsBogon = "dns_bogon_error",
    /// The peer refused the connection.
    ConnectionRefused = "connection_refused",
    /// The connection was reset.
    ConnectionReset = "connection_reset",
    /// The connection was aborted locally.
    ConnectionAborted = "connection_aborted",
    /// No route to the host.
    HostUnreachable = "host_unreachable",
    /// No route to the network.
    NetworkUnreachable = "network_unreachable",
    /// The local network is down.
    NetworkDown = "network_down",
    /// A step did not end within its deadline.
    Timeout = "generic_timeout_error",
    /// The peer closed before the step was complete.
    Eof = "eof_error",
    /// The certificate is for another name.
    SslInvalidHostname = "ssl_invalid_hostname",
    /// The certificate's issuer is not trusted.
    SslUnknownAuthority = "ssl_unknown_authority",
    /// The certificate is expired or otherwise invalid.
    SslInvalidCertificate = "ssl_invalid_certificate",
    /// The handshake failed with an alert.
    SslFailedHandshake = "ssl_failed_handshake",
    /// The peer, or somebody in its place, speaks no version of QUIC that was offered.
    QuicIncompatibleVersion = "quic_incompatible_version",
    /// The HTTP answer could not be read.
    HttpInvalidResponse = "http_invalid_response",
    /// A redirect pointed to something that is no URL.
    HttpInvalidRedirect = "http_invalid_redirect_location_host",
    /// A redirect pointed to where an agent never goes.
    RedirectDenied = "redirect_denied",
    /// More redirects than are followed.
    TooManyRedirects = "http_too_many_redirects",
    /// The agent's own policy refuses the address or the port.
    AddressDenied = "address_denied",
    /// The peer's answer does not belong to the protocol.
    TunnelInvalidReply = "tunnel_invalid_reply",
    /// The peer speaks the protocol and is not the one that the list names.
    TunnelWrongPeer = "tunnel_wrong_peer",
    /// The peer speaks the protocol and refuses.
    TunnelDenied = "tunnel_denied",
    /// The step was interrupted.
    Interrupted = "interrupted",
}

impl Failure {
    /// Makes an unknown failure from a text, keeping at most 120 printable ASCII characters.
    #[must_use]
    pub fn unknown(text: &str) -> Self {
        Self::Unknown(text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(120).collect())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(detail) => write!(f, "unknown_failure: {detail}"),
            known => f.write_str(known.code()),
        }
    }
}

impl Serialize for Failure {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Failure {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_survives_being_written_and_read() {
        for failure in [Failure::Timeout, Failure::ConnectionReset, Failure::unknown("odd thing")] {
            assert_eq!(Failure::parse(&failure.to_string()), failure);
        }
    }

    #[test]
    fn an_unknown_failure_is_bounded_and_printable() {
        let Failure::Unknown(text) = Failure::unknown(&"é\n x".repeat(500)) else { panic!("known") };
        assert!(text.len() <= 120 && text.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
    }
}
