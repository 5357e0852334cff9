//! The one place where errors of sockets and of TLS become failure codes.

use faultline_model::Failure;
use rustls::{CertificateError, Error as TlsError};
use std::io::{self, ErrorKind};

/// Names an error of a socket. The text of an error never leaves here: it can hold an address.
#[must_use]
pub fn failure_of_io(error: &io::Error) -> Failure {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        return failure_of_tls(tls);
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::ConnectionRefused,
        // Writing to a connection that was reset meanwhile says "broken pipe".
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Failure::ConnectionReset,
        ErrorKind::ConnectionAborted => Failure::ConnectionAborted,
        ErrorKind::HostUnreachable => Failure::HostUnreachable,
        // A machine without IPv6 refuses the address or the family instead of the route.
        ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable | ErrorKind::Unsupported => {
            Failure::NetworkUnreachable
        }
        ErrorKind::NetworkDown => Failure::NetworkDown,
        ErrorKind::TimedOut => Failure::Timeout,
        ErrorKind::UnexpectedEof => Failure::Eof,
        ErrorKind::Interrupted => Failure::Interrupted,
        other => Failure::unknown(&format!("{other:?}")),
    }
}

/// Names an error of a TLS handshake.
#[must_use]
pub fn failure_of_tls(error: &TlsError) -> Failure {
    match error {
        TlsError::InvalidCertificate(certificate) => failure_of_certificate(certificate),
        TlsError::NoCertificatesPresented => Failure::SslInvalidCertificate,
        _ => Failure::SslFailedHandshake,
    }
}

fn failure_of_certificate(error: &CertificateError) -> Failure {
    match error {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Failure::SslInvalidHostname
        }
        CertificateError::UnknownIssuer => Failure::SslUnknownAuthority,
        // A self-signed authority shown as the end certificate: nobody whom we trust signed it.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            Failure::SslUnknownAuthority
        }
        _ => Failure::SslInvalidCertificate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_code_and_none_carries_text_of_the_system() {
        let cases = [
            (ErrorKind::ConnectionRefused, Failure::ConnectionRefused),
            (ErrorKind::ConnectionReset, Failure::ConnectionReset),
            (ErrorKind::BrokenPipe, Failure::ConnectionReset),
            (ErrorKind::TimedOut, Failure::Timeout),
            (ErrorKind::UnexpectedEof, Failure::Eof),
            (ErrorKind::NetworkUnreachable, Failure::NetworkUnreachable),
            (ErrorKind::HostUnreachable, Failure::HostUnreachable),
        ];
        for (kind, failure) in cases {
            assert_eq!(failure_of_io(&io::Error::from(kind)), failure);
        }
        let odd = io::Error::new(ErrorKind::PermissionDenied, "no way to 203.0.113.7");
        assert_eq!(failure_of_io(&odd).to_string(), "unknown_failure: PermissionDenied");
    }

    #[test]
    fn each_fault_of_a_certificate_has_its_code() {
        let tls = |error: CertificateError| failure_of_tls(&TlsError::InvalidCertificate(error));
        assert_eq!(tls(CertificateError::NotValidForName), Failure::SslInvalidHostname);
        assert_eq!(tls(CertificateError::UnknownIssuer), Failure::SslUnknownAuthority);
        assert_eq!(tls(CertificateError::Expired), Failure::SslInvalidCertificate);
        assert_eq!(failure_of_tls(&TlsError::DecryptError), Failure::SslFailedHandshake);
    }
}
