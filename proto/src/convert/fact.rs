//! What steps saw.

use super::line::{line_from_wire, line_to_wire};
use super::path::{path_from_wire, path_to_wire};
use super::tunnel::{tunnel_from_wire, tunnel_to_wire};
use super::{WireError, bounded, invalid, web};
use crate::agent as wire;
use faultline_model::{DownloadEnd, EndpointFact, Fact, QuicFact, ThroughputFact};

/// A series of bins that is longer is refused.
const MAX_BINS: usize = 64;
const MAX_PEER_VERSIONS: usize = 16;
pub(super) const MAX_URL_BYTES: usize = 2048;
pub(super) const MAX_NAME_BYTES: usize = 256;
pub(super) const MAX_TITLE_BYTES: usize = 800;

/// Writes a fact.
pub(super) fn fact_to_wire(fact: &Fact) -> Option<wire::observation::Fact> {
    match fact {
        Fact::None => None,
        Fact::Dns(dns) => Some(wire::observation::Fact::Dns(web::dns_to_wire(dns))),
        Fact::Tls(tls) => Some(wire::observation::Fact::Tls(web::tls_to_wire(tls))),
        Fact::Http(http) => Some(wire::observation::Fact::Http(web::http_to_wire(http))),
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
        Fact::Line(line) => Some(wire::observation::Fact::Line(line_to_wire(line))),
        Fact::Endpoint(endpoint) => {
            Some(wire::observation::Fact::Endpoint(wire::EndpointFact { name: endpoint.name.clone() }))
        }
        Fact::Path(path) => Some(wire::observation::Fact::Path(path_to_wire(path))),
        Fact::Tunnel(tunnel) => Some(wire::observation::Fact::Tunnel(tunnel_to_wire(tunnel))),
    }
}

/// Reads a fact and checks every field.
pub(super) fn fact_from_wire(fact: wire::observation::Fact) -> Result<Fact, WireError> {
    Ok(match fact {
        wire::observation::Fact::Dns(dns) => Fact::Dns(web::dns_from_wire(dns)?),
        wire::observation::Fact::Tls(tls) => Fact::Tls(web::tls_from_wire(tls)?),
        wire::observation::Fact::Http(http) => Fact::Http(web::http_from_wire(http)?),
        wire::observation::Fact::Quic(quic) => Fact::Quic(quic_from_wire(quic)?),
        wire::observation::Fact::Throughput(download) => Fact::Throughput(throughput_from_wire(download)?),
        wire::observation::Fact::Line(line) => Fact::Line(line_from_wire(&line)?),
        wire::observation::Fact::Endpoint(endpoint) => {
            Fact::Endpoint(EndpointFact { name: bounded("name", endpoint.name, MAX_NAME_BYTES + 6)? })
        }
        wire::observation::Fact::Path(path) => Fact::Path(path_from_wire(path)?),
        wire::observation::Fact::Tunnel(tunnel) => Fact::Tunnel(tunnel_from_wire(tunnel)?),
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

/// Refuses a series that is too long.
pub(super) fn at_most<T>(field: &'static str, items: Vec<T>, max: usize) -> Result<Vec<T>, WireError> {
    let len = items.len();
    if len > max { Err(WireError::TooLong { field, len, max }) } else { Ok(items) }
}
