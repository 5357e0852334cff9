//! The scenario file as it is written, before anything is checked; see `docs/scenarios.md`.

use super::site::{Certificate, Serves};
use faultline_model::{Access, Verdict};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub name: Option<String>,
    pub country: Option<Spanned<String>>,
    pub country_name: Option<String>,
    #[serde(default)]
    pub utc_offset_min: i32,
    pub time_zone: Option<Spanned<String>>,
    pub list: Spanned<String>,
    pub seconds: Spanned<u64>,
    pub baseline: Option<Spanned<String>>,
    #[serde(default)]
    pub seed: u64,
    #[serde(default)]
    pub ipv6: bool,
    pub coordinator: Option<Coordinator>,
    #[serde(default)]
    pub gateway: Vec<Gateway>,
    #[serde(default)]
    pub provider: Vec<Provider>,
    #[serde(default)]
    pub hosting: Vec<Hosting>,
    #[serde(default)]
    pub control: Vec<Control>,
    #[serde(default)]
    pub site: Vec<Site>,
    #[serde(default)]
    pub endpoint: Vec<Endpoint>,
    #[serde(default)]
    pub rule: Vec<Rule>,
    pub expect: Option<Vec<Expect>>,
    #[serde(default)]
    pub tolerated: Vec<Tolerated>,
    #[serde(default)]
    pub event: Vec<Event>,
    pub claim: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    pub name: String,
    pub from: Spanned<String>,
    pub to: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Coordinator {
    pub address: Option<Spanned<String>>,
    pub host: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gateway {
    pub asn: Spanned<u32>,
    pub name: String,
    pub rate_kbit_s: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Provider {
    pub asn: Spanned<u32>,
    pub name: Spanned<String>,
    #[serde(default)]
    pub access: Access,
    pub user_share: Option<Spanned<f64>>,
    pub upstream: Spanned<Numbers>,
    pub agents: Option<Spanned<u32>>,
    pub prefix: Option<Spanned<String>>,
    pub resolver: Option<Spanned<String>>,
    #[serde(default)]
    pub delay_ms: u32,
    #[serde(default)]
    pub jitter_ms: u32,
    pub loss_percent: Option<Spanned<f64>>,
    pub rate_kbit_s: Option<Spanned<u32>>,
    #[serde(default)]
    pub regions: Vec<String>,
    #[serde(default)]
    pub landmarks: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hosting {
    pub asn: Spanned<u32>,
    pub name: Spanned<String>,
    pub upstream: Spanned<u32>,
    pub prefix: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Control {
    pub asn: Spanned<u32>,
    pub name: String,
    pub country: Option<Spanned<String>>,
    pub prefix: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Site {
    pub host: Spanned<String>,
    pub address: Option<Spanned<String>>,
    pub title: Option<String>,
    pub body: Option<String>,
    pub redirect: Option<Spanned<String>>,
    pub media_bytes: Option<usize>,
    pub location: Option<String>,
    #[serde(default)]
    pub challenge: bool,
    #[serde(default)]
    pub short: bool,
    #[serde(default)]
    pub serves: Serves,
    #[serde(default)]
    pub certificate: Certificate,
    pub dns: Option<Spanned<String>>,
    pub inside: Option<Spanned<String>>,
    #[serde(default)]
    pub canary: bool,
    #[serde(default)]
    pub http: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoint {
    pub kind: Spanned<String>,
    pub host: Spanned<String>,
    pub port: Option<u16>,
    pub to: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub who: Spanned<Texts>,
    pub whom: Option<Spanned<Texts>>,
    pub how: Spanned<HowName>,
    pub from: Option<Spanned<String>>,
    pub to: Option<Spanned<String>>,
    pub address: Option<Spanned<String>>,
    pub mode: Option<Spanned<SiteDownMode>>,
    pub page: Option<Spanned<String>>,
    pub rate_kbit_s: Option<Spanned<u32>>,
    pub delay_ms: Option<Spanned<u32>>,
    pub jitter_ms: Option<Spanned<u32>>,
    pub loss_percent: Option<Spanned<f64>>,
    pub status: Option<Spanned<u16>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HowName {
    DnsForge,
    DnsInject,
    AddressDrop,
    AddressRefuse,
    SniReset,
    SniDrop,
    SniClose,
    HttpReset,
    HttpDrop,
    HttpClose,
    HttpBlockpage,
    QuicDrop,
    Ipv6Drop,
    OpenvpnDrop,
    OpenvpnReset,
    WireguardDrop,
    Throttle,
    Congestion,
    BadCertificate,
    CaptivePortal,
    GeoBlock,
    Blackhole,
    PowerCut,
    CoordinatorDown,
    SiteDown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SiteDownMode {
    Drop,
    Refuse,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub verdict: Spanned<Verdict>,
    pub asns: Option<Vec<u32>>,
    pub targets: Option<Spanned<Texts>>,
    pub transit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tolerated {
    pub verdict: Option<Verdict>,
    pub asns: Option<Vec<u32>>,
    pub targets: Option<Spanned<Texts>>,
}

/// One text or a list of texts.
#[derive(Clone)]
pub(super) struct Texts(pub Vec<String>);

/// One number or a list of numbers.
#[derive(Clone)]
pub(super) struct Numbers(pub Vec<u32>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Numbers;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a list of numbers")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Numbers, E> {
                u32::try_from(number).map(|n| Numbers(vec![n])).map_err(|_| E::custom("out of range"))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Numbers, A::Error> {
                let mut numbers = Vec::new();
                while let Some(number) = items.next_element()? {
                    numbers.push(number);
                }
                Ok(Numbers(numbers))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}
