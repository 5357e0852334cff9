//! Rules about the TLS handshake.
//!
//! The connection stands and the name is in the hello, so what fails here fails by the name (`.sni`).

use super::super::{ControlFact, Evidence};
use super::{Finding, views_at};
use faultline_model::{Class, Failure, Layer};

/// Words in the names of authorities that browsers trust everywhere. A site may well have certificates of several of
/// them in different places.
const PUBLIC_AUTHORITIES: [&str; 16] = [
    "let's encrypt",
    "google trust services",
    "digicert",
    "sectigo",
    "comodo",
    "globalsign",
    "amazon",
    "entrust",
    "godaddy",
    "microsoft",
    "apple",
    "buypass",
    "certum",
    "ssl.com",
    "zerossl",
    "geotrust",
];

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

/// Judges a valid handshake by who vouches for it: an authority that no control was shown for the same host, and that is
/// none of the public ones, was put on this machine so that somebody can read along.
pub(super) fn find_intercepted(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Option<Finding> {
    (0..=evidence.last_hop()).find_map(|hop| {
        let own = evidence.handshake_at(hop)?;
        let issuer = own.certificate_issuer.to_lowercase();
        let is_public = PUBLIC_AUTHORITIES.iter().any(|name| issuer.contains(name));
        let views = views_at(evidence, controls, hop);
        let others: Vec<_> = views.iter().filter_map(|view| view.seen).collect();
        let mut others = others.into_iter().filter(|seen| !seen.certificate_issuer.is_empty()).peekable();
        let is_known = others.peek().is_none()
            || others.any(|seen| {
                seen.certificate_issuer == own.certificate_issuer
                    || seen.certificate_sha256 == own.certificate_sha256
            });
        let found = !issuer.is_empty() && !is_public && !is_known;
        found.then(|| Finding::tampered(Layer::Tls, "tls.mitm").on(hop))
    })
}
