//! What the steps of a page's way saw: DNS, TLS, HTTP.

use crate::Failure;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::str::FromStr;

/// The answer of a resolver.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DnsAnswer {
    /// The name that was asked for.
    pub hostname: String,
    /// The addresses, private ones too (they are recorded, never connected to).
    pub addresses: Vec<IpAddr>,
    /// The response code of the reply, IPv4's where both families were answered; absent if none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rcode: Option<u16>,
    /// The names that the answer leads through, in its order, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cnames: Vec<String>,
    /// Replies to a question that was answered already, in the order in which they came, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later: Vec<LaterReply>,
    /// Datagrams from the resolver's address that answer no question of this exchange.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub foreign_replies: u32,
    /// The reply says that it comes from the zone's own server.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_authoritative: bool,
    /// The reply says that the resolver verified it (DNSSEC).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_authentic: bool,
    /// Questions that were sent: more than two mean that one was repeated, and that a later reply may answer that.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub questions_sent: u32,
    /// Every address is private and of the private network that the line itself or its resolver stands in, as those of a
    /// campus's or a company's own services are for whoever is inside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_within_line: bool,
}

/// A reply that came after the one that counts: the mark of an injected answer racing the true one, or of a question
/// that was asked twice.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LaterReply {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Why it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Milliseconds after the first reply to the same question.
    pub delay_ms: u32,
}

/// A discriminating retry: what is changed against the failing way, so that its end tells what is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// Nothing: the failing way once more, which shows that it still fails.
    #[default]
    Same,
    /// The same address, with an unrelated site's name in the hello.
    InnocentSni,
    /// The same address, with an unrelated site's name in the request.
    InnocentHost,
    /// An unrelated site's address, with the target's name in the hello or the request.
    InnocentAddress,
    /// The hello in two TCP segments, cut within the name.
    SplitHello,
    /// An address that only a public resolver gave.
    OtherAddress,
    /// HTTP/3 to the same address.
    Http3,
}

impl Variant {
    /// Every variant, in the order in which they are tried: the unchanged way last, since a filter that remembers whom
    /// it has just cut off would spoil what follows.
    pub const ALL: [Self; 7] = [
        Self::InnocentSni,
        Self::InnocentHost,
        Self::OtherAddress,
        Self::InnocentAddress,
        Self::SplitHello,
        Self::Http3,
        Self::Same,
    ];

    /// Returns the variant's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::InnocentSni => "innocent_sni",
            Self::InnocentHost => "innocent_host",
            Self::InnocentAddress => "innocent_address",
            Self::SplitHello => "split_hello",
            Self::OtherAddress => "other_address",
            Self::Http3 => "http3",
        }
    }
}

impl FromStr for Variant {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|variant| variant.as_str() == text);
        named.ok_or_else(|| format!("unknown variant {:?}", text.chars().take(40).collect::<String>()))
    }
}

/// What a TLS handshake showed.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TlsFact {
    /// The name sent in the hello.
    pub server_name: String,
    /// The protocol version, such as `TLSv1.3`; empty if the handshake failed before.
    pub version: String,
    /// The negotiated application protocol, such as `h2`.
    pub alpn: String,
    /// SHA-256 of the end certificate in hexadecimal; empty if none was seen.
    pub certificate_sha256: String,
    /// The end certificate's issuer, at most 200 characters.
    pub certificate_issuer: String,
    /// Which retry of a `diagnose` this belongs to. The TCP step of a retry has such a fact too: what was to be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
    /// The end certificate's subject, at most 200 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub certificate_subject: String,
    /// The key exchange that was agreed on, such as `X25519MLKEM768`; empty if the handshake failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key_exchange: String,
    /// Bytes of the peer that were read until the handshake ended.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_received: u32,
}

/// What an HTTP exchange showed.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HttpFact {
    /// The URL that was asked for.
    pub url: String,
    /// The status code, 0 if none came.
    pub status: u16,
    /// Bytes of the body that were read.
    pub body_bytes: u64,
    /// The body was longer than what was read.
    pub is_truncated: bool,
    /// SHA-256 of the bytes read, in hexadecimal.
    pub body_sha256: String,
    /// The page's title, at most 200 characters.
    pub title: String,
    /// Where a redirect points, at most 512 characters.
    pub location: String,
    /// The server's name for itself, at most 100 characters.
    pub server: String,
    /// The names of the answer's headers in lower case, sorted, each once, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub header_names: Vec<String>,
    /// Headers of a short list that name nobody, with their values, at most 1,024 bytes in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// The beginning of the body, deflated (RFC 1951), at most 8 KiB; only where a full check met a page that looks
    /// wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "hex")]
    pub body_deflated: Vec<u8>,
    /// Which retry of a `diagnose` this belongs to. The TCP step of a retry has such a fact too: what was to be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
    /// The name in the request, where it is not the URL's host.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The protocol of the answer, such as `1.1` or `2`; empty if none came.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// A header of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Header {
    /// Its name in lower case.
    pub name: String,
    /// Its value as far as it is printable, at most 256 bytes.
    pub value: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

mod hex {
    //! Bytes as hexadecimal text.
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::fmt::Write;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(bytes.len() * 2);
        bytes.iter().for_each(|byte| write!(text, "{byte:02x}").expect("text has room"));
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
        let digits = digits.filter(|digits| digits.len() % 2 == 0);
        let digits = digits.ok_or_else(|| D::Error::custom("not hexadecimal"))?;
        Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_former_versions_are_read_and_new_ones_cost_nothing_where_they_say_nothing() {
        let old = r#"{"hostname":"x.com","addresses":["157.240.1.35"]}"#;
        let dns: DnsAnswer = serde_json::from_str(old).expect("a fact");
        assert_eq!(serde_json::to_string(&dns).expect("text"), old);
        let page = HttpFact { body_deflated: vec![0, 171, 255], ..HttpFact::default() };
        let text = serde_json::to_string(&page).expect("text");
        assert!(text.contains(r#""body_deflated":"00abff""#), "{text}");
        assert_eq!(serde_json::from_str::<HttpFact>(&text).expect("a fact"), page);
        assert!(serde_json::from_str::<HttpFact>(&text.replace("00abff", "0g")).is_err());
    }

    #[test]
    fn each_variant_is_read_as_it_is_written() {
        for variant in Variant::ALL {
            assert_eq!(variant.as_str().parse(), Ok(variant));
        }
        assert!("sideways".parse::<Variant>().is_err());
    }
}
