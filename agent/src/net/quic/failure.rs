//! Where errors of QUIC become failure codes, as OONI's engine names them.

use super::SharedSeen;
use faultline_model::Failure;
use quinn::{ConnectionError, TransportErrorCode};

/// TLS alerts are carried as `0x100 + alert` (RFC 9001, section 4.8).
const ALERTS: std::ops::Range<u64> = 0x100..0x200;
/// RFC 8446, section 6.
const UNKNOWN_CA: u64 = 48;
const UNRECOGNIZED_NAME: u64 = 112;
/// RFC 9000, section 20.1.
const NO_ERROR: u64 = 0;
const CONNECTION_REFUSED: u64 = 2;
/// H3_NO_ERROR (RFC 9114, section 8.1).
const H3_NO_ERROR: u64 = 0x100;

/// Names why a handshake failed: what the verifier said, else what ended the connection.
pub(super) fn failure_of_handshake(error: &ConnectionError, seen: &SharedSeen) -> Failure {
    seen.failure().unwrap_or_else(|| failure_of_connection(error))
}

/// Names what ended a connection. The peer's own text never leaves here.
pub(super) fn failure_of_connection(error: &ConnectionError) -> Failure {
    match error {
        ConnectionError::VersionMismatch => Failure::QuicIncompatibleVersion,
        ConnectionError::Reset => Failure::ConnectionReset,
        ConnectionError::TimedOut => Failure::Timeout,
        ConnectionError::LocallyClosed => Failure::Interrupted,
        ConnectionError::CidsExhausted => Failure::unknown("quic connection ids exhausted"),
        ConnectionError::TransportError(error) => failure_of_code(error.code),
        ConnectionError::ConnectionClosed(close) => failure_of_code(close.error_code),
        ConnectionError::ApplicationClosed(close) => match close.error_code.into_inner() {
            H3_NO_ERROR => Failure::Eof,
            _ => Failure::ConnectionReset,
        },
    }
}

fn failure_of_code(code: TransportErrorCode) -> Failure {
    let code = u64::from(code);
    if ALERTS.contains(&code) {
        return match code - ALERTS.start {
            UNKNOWN_CA => Failure::SslUnknownAuthority,
            UNRECOGNIZED_NAME => Failure::SslInvalidHostname,
            _ => Failure::SslFailedHandshake,
        };
    }
    match code {
        NO_ERROR => Failure::Eof,
        CONNECTION_REFUSED => Failure::ConnectionRefused,
        _ => Failure::unknown(&format!("quic transport error {code:#x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_code() {
        let alert = |alert: u8| failure_of_code(TransportErrorCode::crypto(alert));
        assert_eq!(alert(40), Failure::SslFailedHandshake);
        assert_eq!(alert(48), Failure::SslUnknownAuthority);
        assert_eq!(alert(112), Failure::SslInvalidHostname);
        assert_eq!(alert(120), Failure::SslFailedHandshake, "no application protocol");
        assert_eq!(failure_of_code(TransportErrorCode::CONNECTION_REFUSED), Failure::ConnectionRefused);
        assert_eq!(failure_of_code(TransportErrorCode::NO_ERROR), Failure::Eof);
        let odd = failure_of_code(TransportErrorCode::PROTOCOL_VIOLATION);
        assert_eq!(odd.to_string(), "unknown_failure: quic transport error 0xa");
        assert_eq!(
            failure_of_connection(&ConnectionError::VersionMismatch),
            Failure::QuicIncompatibleVersion
        );
        assert_eq!(failure_of_connection(&ConnectionError::Reset), Failure::ConnectionReset);
        assert_eq!(failure_of_connection(&ConnectionError::TimedOut), Failure::Timeout);
    }
}
