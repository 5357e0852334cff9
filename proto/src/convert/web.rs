//! What the steps of a page's way saw: DNS, TLS, HTTP.

use super::fact::{MAX_NAME_BYTES, MAX_TITLE_BYTES, MAX_URL_BYTES, at_most};
use super::{WireError, bounded, invalid};
use crate::agent as wire;
use faultline_model::{DnsAnswer, Failure, Header, HttpFact, LaterReply, TlsFact, Variant};
use std::net::IpAddr;

/// A DNS answer with more addresses is refused.
pub const MAX_ADDRESSES: usize = 32;
const MAX_CNAMES: usize = 16;
const MAX_LATER: usize = 8;
const MAX_FAILURE_BYTES: usize = 160;
const MAX_HEADER_NAMES: usize = 64;
const MAX_HEADERS: usize = 16;
const MAX_HEADER_NAME_BYTES: usize = 64;
const MAX_BODY_BYTES: usize = 8 * 1024;

pub(super) fn dns_to_wire(dns: &DnsAnswer) -> wire::DnsFact {
    let text = |addresses: &[IpAddr]| addresses.iter().map(ToString::to_string).collect();
    let later = |reply: &LaterReply| wire::LaterReply {
        addresses: text(&reply.addresses),
        failure: reply.failure.as_ref().map(ToString::to_string).unwrap_or_default(),
        delay_ms: reply.delay_ms,
    };
    wire::DnsFact {
        hostname: dns.hostname.clone(),
        addresses: text(&dns.addresses),
        rcode: dns.rcode.map(u32::from),
        cnames: dns.cnames.clone(),
        later: dns.later.iter().map(later).collect(),
        foreign_replies: dns.foreign_replies,
        is_authoritative: dns.is_authoritative,
        is_authentic: dns.is_authentic,
        questions_sent: dns.questions_sent,
        is_within_line: dns.is_within_line,
    }
}

pub(super) fn dns_from_wire(dns: wire::DnsFact) -> Result<DnsAnswer, WireError> {
    let cnames = at_most("cnames", dns.cnames, MAX_CNAMES)?;
    let later = at_most("later", dns.later, MAX_LATER)?;
    Ok(DnsAnswer {
        hostname: bounded("hostname", dns.hostname, MAX_NAME_BYTES)?,
        addresses: addresses_from_wire(dns.addresses)?,
        rcode: dns.rcode.map(|code| u16::try_from(code).map_err(|e| invalid("rcode", e))).transpose()?,
        cnames: cnames
            .into_iter()
            .map(|name| bounded("cnames", name, MAX_NAME_BYTES))
            .collect::<Result<_, _>>()?,
        later: later.into_iter().map(later_from_wire).collect::<Result<_, _>>()?,
        foreign_replies: dns.foreign_replies,
        is_authoritative: dns.is_authoritative,
        is_authentic: dns.is_authentic,
        questions_sent: dns.questions_sent,
        is_within_line: dns.is_within_line,
    })
}

fn later_from_wire(reply: wire::LaterReply) -> Result<LaterReply, WireError> {
    let failure = bounded("later", reply.failure, MAX_FAILURE_BYTES)?;
    Ok(LaterReply {
        addresses: addresses_from_wire(reply.addresses)?,
        failure: Some(failure).filter(|text| !text.is_empty()).map(|text| Failure::parse(&text)),
        delay_ms: reply.delay_ms,
    })
}

fn addresses_from_wire(addresses: Vec<String>) -> Result<Vec<IpAddr>, WireError> {
    let addresses = at_most("addresses", addresses, MAX_ADDRESSES)?;
    addresses.iter().map(|text| text.parse().map_err(|e| invalid("addresses", e))).collect()
}

pub(super) fn tls_to_wire(tls: &TlsFact) -> wire::TlsFact {
    wire::TlsFact {
        server_name: tls.server_name.clone(),
        version: tls.version.clone(),
        alpn: tls.alpn.clone(),
        certificate_sha256: tls.certificate_sha256.clone(),
        certificate_issuer: tls.certificate_issuer.clone(),
        variant: variant_to_wire(tls.variant),
        certificate_subject: tls.certificate_subject.clone(),
        key_exchange: tls.key_exchange.clone(),
        bytes_received: tls.bytes_received,
    }
}

pub(super) fn tls_from_wire(tls: wire::TlsFact) -> Result<TlsFact, WireError> {
    Ok(TlsFact {
        server_name: bounded("server_name", tls.server_name, MAX_NAME_BYTES)?,
        version: bounded("version", tls.version, 16)?,
        alpn: bounded("alpn", tls.alpn, 32)?,
        certificate_sha256: bounded("certificate_sha256", tls.certificate_sha256, 64)?,
        certificate_issuer: bounded("certificate_issuer", tls.certificate_issuer, MAX_TITLE_BYTES)?,
        variant: variant_from_wire(&tls.variant)?,
        certificate_subject: bounded("certificate_subject", tls.certificate_subject, MAX_TITLE_BYTES)?,
        key_exchange: bounded("key_exchange", tls.key_exchange, 32)?,
        bytes_received: tls.bytes_received,
    })
}

pub(super) fn http_to_wire(http: &HttpFact) -> wire::HttpFact {
    let header = |header: &Header| wire::Header { name: header.name.clone(), value: header.value.clone() };
    wire::HttpFact {
        url: http.url.clone(),
        status: http.status.into(),
        body_bytes: http.body_bytes,
        is_truncated: http.is_truncated,
        body_sha256: http.body_sha256.clone(),
        title: http.title.clone(),
        location: http.location.clone(),
        server: http.server.clone(),
        header_names: http.header_names.clone(),
        headers: http.headers.iter().map(header).collect(),
        body_deflated: http.body_deflated.clone(),
        variant: variant_to_wire(http.variant),
        host: http.host.clone(),
        version: http.version.clone(),
    }
}

pub(super) fn http_from_wire(http: wire::HttpFact) -> Result<HttpFact, WireError> {
    let names = at_most("header_names", http.header_names, MAX_HEADER_NAMES)?;
    let headers = at_most("headers", http.headers, MAX_HEADERS)?;
    let len = http.body_deflated.len();
    if len > MAX_BODY_BYTES {
        return Err(WireError::TooLong { field: "body_deflated", len, max: MAX_BODY_BYTES });
    }
    let name = |name| bounded("header_names", name, MAX_HEADER_NAME_BYTES);
    Ok(HttpFact {
        url: bounded("url", http.url, MAX_URL_BYTES)?,
        status: u16::try_from(http.status).map_err(|e| invalid("status", e))?,
        body_bytes: http.body_bytes,
        is_truncated: http.is_truncated,
        body_sha256: bounded("body_sha256", http.body_sha256, 64)?,
        title: bounded("title", http.title, MAX_TITLE_BYTES)?,
        location: bounded("location", http.location, MAX_URL_BYTES)?,
        server: bounded("server", http.server, MAX_NAME_BYTES)?,
        header_names: names.into_iter().map(name).collect::<Result<_, _>>()?,
        headers: headers.into_iter().map(header_from_wire).collect::<Result<_, _>>()?,
        body_deflated: http.body_deflated,
        variant: variant_from_wire(&http.variant)?,
        host: bounded("host", http.host, MAX_NAME_BYTES)?,
        version: bounded("version", http.version, 16)?,
    })
}

fn header_from_wire(header: wire::Header) -> Result<Header, WireError> {
    let name = bounded("headers", header.name, MAX_HEADER_NAME_BYTES)?;
    Ok(Header { name, value: bounded("headers", header.value, MAX_NAME_BYTES)? })
}

fn variant_to_wire(variant: Option<Variant>) -> String {
    variant.map(Variant::as_str).unwrap_or_default().to_owned()
}

fn variant_from_wire(text: &str) -> Result<Option<Variant>, WireError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|e: String| invalid("variant", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_replies_headers_bodies_and_variants_survive_the_wire() {
        let later = LaterReply { addresses: vec![], failure: Some(Failure::DnsNxdomain), delay_ms: 40 };
        let dns = DnsAnswer {
            hostname: "x.com".into(),
            addresses: vec!["10.10.34.35".parse().expect("valid")],
            rcode: Some(0),
            cnames: vec!["dotblocking.dummy".into()],
            later: vec![later],
            foreign_replies: 2,
            is_authoritative: true,
            is_authentic: true,
            questions_sent: 3,
            is_within_line: true,
        };
        assert_eq!(dns_from_wire(dns_to_wire(&dns)).expect("valid"), dns);
        let tls = TlsFact {
            certificate_subject: "CN=x.com".into(),
            key_exchange: "X25519MLKEM768".into(),
            bytes_received: 7,
            ..TlsFact::default()
        };
        for variant in Variant::ALL {
            let tls = TlsFact { variant: Some(variant), ..tls.clone() };
            assert_eq!(tls_from_wire(tls_to_wire(&tls)).expect("valid"), tls);
        }
        let http = HttpFact {
            header_names: vec!["server".into()],
            headers: vec![Header { name: "server".into(), value: "x".into() }],
            body_deflated: vec![1, 2, 255],
            variant: Some(Variant::InnocentHost),
            host: "example.org".into(),
            version: "2".into(),
            ..HttpFact::default()
        };
        assert_eq!(http_from_wire(http_to_wire(&http)).expect("valid"), http);
    }

    #[test]
    fn facts_out_of_bounds_are_refused() {
        let mut dns = wire::DnsFact { cnames: vec!["x".into(); 17], ..Default::default() };
        assert!(dns_from_wire(dns.clone()).is_err());
        dns = wire::DnsFact { later: vec![wire::LaterReply::default(); 9], ..Default::default() };
        assert!(dns_from_wire(dns.clone()).is_err());
        dns = wire::DnsFact { rcode: Some(70_000), ..Default::default() };
        assert!(dns_from_wire(dns).is_err());
        let big = wire::HttpFact { body_deflated: vec![0; 8193], ..Default::default() };
        assert!(http_from_wire(big).is_err());
        let many = wire::HttpFact { header_names: vec!["x".into(); 65], ..Default::default() };
        assert!(http_from_wire(many).is_err());
        let odd = wire::TlsFact { variant: "sideways".into(), ..Default::default() };
        assert!(tls_from_wire(odd).is_err());
    }
}
