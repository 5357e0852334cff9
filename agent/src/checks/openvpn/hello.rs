//! A TLS ClientHello like that of an OpenVPN client: no name in it, in pieces that fit into packets.

use faultline_model::Failure;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs as provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::ServerName;
use std::sync::Arc;

/// OpenVPN's own limit leaves room for its headers in 1,250 bytes.
const PIECE: usize = 1100;

/// Makes a fresh hello.
pub(super) fn pieces() -> Result<Vec<Vec<u8>>, Failure> {
    let broken = |_| Failure::unknown("no hello");
    // Nothing is read beyond the answer's first bytes, so nobody has to be believed.
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let mut crypto = provider::default_provider();
    crypto.kx_groups =
        vec![provider::kx_group::X25519, provider::kx_group::SECP256R1, provider::kx_group::SECP384R1];
    let crypto = Arc::new(crypto);
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&crypto))
        .build()
        .map_err(|_| Failure::unknown("no hello"))?;
    let mut config = ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .map_err(broken)?
        .with_webpki_verifier(verifier)
        .with_no_client_auth();
    config.enable_sni = false;
    let name = ServerName::try_from("openvpn.invalid").map_err(|_| Failure::unknown("no hello"))?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(broken)?;
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).map_err(|_| Failure::unknown("no hello"))?;
    Ok(bytes.chunks(PIECE).map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_small_and_names_nobody() {
        let pieces = pieces().expect("a hello");
        let whole = pieces.concat();
        assert_eq!((pieces.len(), whole[0], whole[5]), (1, 22, 1));
        assert!(!whole.windows(7).any(|part| part == b"invalid"));
    }
}
