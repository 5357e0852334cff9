//! A certificate, as the handshake's facts read it.

#![no_main]

use x509_parser::prelude::{FromDer, X509Certificate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok((_, certificate)) = X509Certificate::from_der(data) {
        let _ = certificate.issuer().to_string().chars().take(200).count();
        let _ = certificate.subject().to_string().chars().take(200).count();
    }
});
