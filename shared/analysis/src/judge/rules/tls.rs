//! Rules about the TLS handshake.
//!
//! The connection stands and the name is in the hello, so what fails here fails by the name (`.sni`).

use super::super::Evidence;
use super::Finding;
use faultline_model::{Class, Failure};

pub(super) fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    let finding = match evidence.failure()? {
        Failure::ConnectionReset => Finding::new(Class::TlsReset, "tls.reset.sni"),
        Failure::Eof => Finding::new(Class::TlsReset, "tls.close.sni"),
        Failure::Timeout => Finding::new(Class::TlsTimeout, "tls.timeout.sni"),
        Failure::SslInvalidHostname | Failure::SslUnknownAuthority | Failure::SslInvalidCertificate => {
            Finding::new(Class::TlsCertMismatch, "tls.certificate")
        }
        Failure::SslFailedHandshake => Finding::new(Class::TlsCertMismatch, "tls.alert"),
        _ => Finding::new(Class::TlsTimeout, "tls.failure"),
    };
    Some(finding)
}
