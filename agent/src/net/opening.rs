//! The first thing that a client says, as bytes: for probes that send a name and want no conversation.

use super::http::BROWSER;
use rustls::crypto::aws_lc_rs as provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::ServerName;
use std::sync::Arc;
use url::Url;

/// Makes a ClientHello for a name, or nothing if the name cannot be one.
///
/// It offers X25519 alone and so fits into one segment: what a router's message or a reset answers is then the whole
/// hello. A filter that catches only hellos of two segments is not met by it.
#[must_use]
pub fn hello(host: &str) -> Option<Vec<u8>> {
    let mut crypto = provider::default_provider();
    crypto.kx_groups = vec![provider::kx_group::X25519];
    let mut config = ClientConfig::builder_with_provider(Arc::new(crypto))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    let mut bytes = Vec::with_capacity(512);
    connection.write_tls(&mut bytes).ok()?;
    Some(bytes)
}

/// Makes a request for a URL over plain HTTP.
#[must_use]
pub fn request(url: &Url) -> Option<Vec<u8>> {
    let (host, path) = (url.host_str()?, &url[url::Position::BeforePath..url::Position::AfterQuery]);
    let text = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {BROWSER}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    Some(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_holds_its_name_and_fits_into_one_segment() {
        let hello = hello("www.example.org").expect("a hello");
        assert_eq!(hello[0], 22, "a handshake record");
        assert!(hello.windows(15).any(|part| part == b"www.example.org"));
        assert!(hello.len() < 500, "{} bytes", hello.len());
    }

    #[test]
    fn a_request_names_its_host() {
        let url = "http://x.com/a?b=c#d".parse().expect("a URL");
        let text = String::from_utf8(request(&url).expect("a request")).expect("text");
        assert!(text.starts_with("GET /a?b=c HTTP/1.1\r\nHost: x.com\r\n") && text.ends_with("\r\n\r\n"));
    }
}
