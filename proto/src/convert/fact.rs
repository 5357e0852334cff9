//! What steps saw.

use super::path::{path_from_wire, path_to_wire};
use super::{WireError, bounded, invalid};
use crate::agent as wire;
use faultline_model::{DnsAnswer, DownloadEnd, Fact, HttpFact, QuicFact, ThroughputFact, TlsFact};

/// A DNS answer with more addresses is refused.
pub const MAX_ADDRESSES: usize = 32;
/// A series of bins that is longer is refused.
const MAX_BINS: usize = 64;
const MAX_PEER_VERSIONS: usize = 16;
const MAX_URL_BYTES: usize = 2048;
const MAX_NAME_BYTES: usize = 256;
const MAX_TITLE_BYTES: usize = 800;

/// Writes a fact.
pub(super) fn fact_to_wire(fact: &Fact) -> Option<wire::observation::Fact> {
    match fact {
        Fact::None => None,
        Fact::Dns(dns) => Some(wire::observation::Fact::Dns(wire::DnsFact {
            hostname: dns.hostname.clone(),
            addresses: dns.addresses.iter().map(ToString::to_string).collect(),
        })),
        Fact::Tls(tls) => Some(wire::observation::Fact::Tls(wire::TlsFact {
            server_name: tls.server_name.clone(),
            version: tls.version.clone(),
            alpn: tls.alpn.clone(),
            certificate_sha256: tls.certificate_sha256.clone(),
            certificate_issuer: tls.certificate_issuer.clone(),
        })),
        Fact::Http(http) => Some(wire::observation::Fact::Http(wire::HttpFact {
            url: http.url.clone(),
            status: http.status.into(),
            body_bytes: http.body_bytes,
            is_truncated: http.is_truncated,
            body_sha256: http.body_sha256.clone(),
            title: http.title.clone(),
            location: http.location.clone(),
            server: http.server.clone(),
        })),
        Fact::Quic(quic) => Some(wire::observation::Fact::Quic(wire::QuicFact {
            server_name: quic.server_name.clone(),
            version: quic.version.clone(),
            alpn: quic.alpn.clone(),
            certificate_sha256: quic.certificate_sha256.clone(),
            certificate_issuer: quic.certificate_issuer.clone(),
            datagrams_sent: quic.datagrams_sent,
            datagrams_received: quic.datagrams_received,
            peer_versions: quic.peer_versions.clone(),
        })),
        Fact::Throughput(download) => Some(wire::observation::Fact::Throughput(throughput_to_wire(download))),
        Fact::Path(path) => Some(wire::observation::Fact::Path(path_to_wire(path))),
    }
}

/// Reads a fact and checks every field.
pub(super) fn fact_from_wire(fact: wire::observation::Fact) -> Result<Fact, WireError> {
    Ok(match fact {
        wire::observation::Fact::Dns(dns) => {
            let len = dns.addresses.len();
            if len > MAX_ADDRESSES {
                return Err(WireError::TooLong { field: "addresses", len, max: MAX_ADDRESSES });
            }
            let addresses =
                dns.addresses.iter().map(|text| text.parse().map_err(|e| invalid("addresses", e)));
            Fact::Dns(DnsAnswer {
                addresses: addresses.collect::<Result<_, _>>()?,
                hostname: bounded("hostname", dns.hostname, MAX_NAME_BYTES)?,
            })
        }
        wire::observation::Fact::Tls(tls) => Fact::Tls(TlsFact {
            server_name: bounded("server_name", tls.server_name, MAX_NAME_BYTES)?,
            version: bounded("version", tls.version, 16)?,
            alpn: bounded("alpn", tls.alpn, 32)?,
            certificate_sha256: bounded("certificate_sha256", tls.certificate_sha256, 64)?,
            certificate_issuer: bounded("certificate_issuer", tls.certificate_issuer, MAX_TITLE_BYTES)?,
        }),
        wire::observation::Fact::Http(http) => Fact::Http(HttpFact {
            url: bounded("url", http.url, MAX_URL_BYTES)?,
            status: u16::try_from(http.status).map_err(|e| invalid("status", e))?,
            body_bytes: http.body_bytes,
            is_truncated: http.is_truncated,
            body_sha256: bounded("body_sha256", http.body_sha256, 64)?,
            title: bounded("title", http.title, MAX_TITLE_BYTES)?,
            location: bounded("location", http.location, MAX_URL_BYTES)?,
            server: bounded("server", http.server, MAX_NAME_BYTES)?,
        }),
        wire::observation::Fact::Quic(quic) => Fact::Quic(quic_from_wire(quic)?),
        wire::observation::Fact::Throughput(download) => Fact::Throughput(throughput_from_wire(download)?),
        wire::observation::Fact::Path(path) => Fact::Path(path_from_wire(path)?),
    })
}

/// Writes a timed download.
fn throughput_to_wire(download: &ThroughputFact) -> wire::ThroughputFact {
    wire::ThroughputFact {
        url: download.url.clone(),
        status: download.status.into(),
        body_bytes: download.body_bytes,
        head_ms: download.head_ms,
        body_ms: download.body_ms,
        bin_ms: download.bin_ms,
        bins: download.bins.clone(),
        end: match download.end {
            DownloadEnd::Complete => wire::DownloadEnd::Complete,
            DownloadEnd::BytesCap => wire::DownloadEnd::BytesCap,
            DownloadEnd::TimeCap => wire::DownloadEnd::TimeCap,
            DownloadEnd::Broken => wire::DownloadEnd::Broken,
        }
        .into(),
    }
}

fn quic_from_wire(quic: wire::QuicFact) -> Result<QuicFact, WireError> {
    Ok(QuicFact {
        server_name: bounded("server_name", quic.server_name, MAX_NAME_BYTES)?,
        version: bounded("version", quic.version, 16)?,
        alpn: bounded("alpn", quic.alpn, 32)?,
        certificate_sha256: bounded("certificate_sha256", quic.certificate_sha256, 64)?,
        certificate_issuer: bounded("certificate_issuer", quic.certificate_issuer, MAX_TITLE_BYTES)?,
        datagrams_sent: quic.datagrams_sent,
        datagrams_received: quic.datagrams_received,
        peer_versions: at_most("peer_versions", quic.peer_versions, MAX_PEER_VERSIONS)?,
    })
}

fn throughput_from_wire(download: wire::ThroughputFact) -> Result<ThroughputFact, WireError> {
    let end = match wire::DownloadEnd::try_from(download.end) {
        Ok(wire::DownloadEnd::Complete) => DownloadEnd::Complete,
        Ok(wire::DownloadEnd::BytesCap) => DownloadEnd::BytesCap,
        Ok(wire::DownloadEnd::TimeCap) => DownloadEnd::TimeCap,
        Ok(wire::DownloadEnd::Broken) => DownloadEnd::Broken,
        _ => return Err(invalid("end", download.end)),
    };
    Ok(ThroughputFact {
        url: bounded("url", download.url, MAX_URL_BYTES)?,
        status: u16::try_from(download.status).map_err(|e| invalid("status", e))?,
        body_bytes: download.body_bytes,
        head_ms: download.head_ms,
        body_ms: download.body_ms,
        bin_ms: download.bin_ms,
        bins: at_most("bins", download.bins, MAX_BINS)?,
        end,
    })
}

fn at_most(field: &'static str, numbers: Vec<u32>, max: usize) -> Result<Vec<u32>, WireError> {
    let len = numbers.len();
    if len > max { Err(WireError::TooLong { field, len, max }) } else { Ok(numbers) }
}
