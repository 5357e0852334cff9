//! Failure strings: OONI's, of this engine and of those before it.

use faultline_model::Failure;

/// Strings of older engines and of systems that agents do not run on, each with its equal.
const EQUALS: &[(&str, Failure)] = &[
    ("android_dns_cache_no_data", Failure::DnsNoAnswer),
    ("dns_name_error", Failure::DnsNxdomain),
    ("dns_lookup_error", Failure::DnsNxdomain),
    ("dns_server_failure", Failure::DnsServfail),
    ("dns_server_error", Failure::DnsServfail),
    ("dns_temporary_failure", Failure::DnsServfail),
    ("dns_non_recoverable_failure", Failure::DnsServfail),
    ("dns_reply_with_wrong_query_id", Failure::DnsMisbehaving),
    ("no_answer", Failure::DnsNoAnswer),
    ("connection_refused_error", Failure::ConnectionRefused),
    ("connection_lost_error", Failure::ConnectionReset),
    ("connection_already_closed", Failure::Eof),
    ("network_reset", Failure::ConnectionReset),
    // Twisted's word for a connection that went away before the answer, however it went.
    ("response_never_received", Failure::Eof),
    ("no_route_to_host_error", Failure::HostUnreachable),
    ("timed_out", Failure::Timeout),
    ("timeout_error", Failure::Timeout),
    ("tcp_timed_out_error", Failure::Timeout),
    ("task_timed_out", Failure::Timeout),
    ("deferred_timeout_error", Failure::Timeout),
    ("ssl_error", Failure::SslFailedHandshake),
    ("http_invalid_response", Failure::HttpInvalidResponse),
    ("http_invalid_redirect_location", Failure::HttpInvalidRedirect),
];

/// Parts of texts of Go's libraries that came through without a code.
const PARTS: &[(&str, Failure)] = &[
    ("too many redirects", Failure::TooManyRedirects),
    ("stopped after 10 redirects", Failure::TooManyRedirects),
    ("gave HTTP response to HTTPS client", Failure::SslFailedHandshake),
    ("first record does not look like a TLS handshake", Failure::SslFailedHandshake),
    ("malformed HTTP", Failure::HttpInvalidResponse),
    ("no such host", Failure::DnsNxdomain),
    ("connection refused", Failure::ConnectionRefused),
    ("connection reset by peer", Failure::ConnectionReset),
    ("i/o timeout", Failure::Timeout),
    ("network is unreachable", Failure::NetworkUnreachable),
];

/// Reads a failure string of OONI's.
pub(super) fn parse(text: &str) -> Failure {
    if let Some((_, failure)) = EQUALS.iter().find(|(name, _)| *name == text) {
        return failure.clone();
    }
    let known = Failure::parse(text);
    let Failure::Unknown(detail) = &known else { return known };
    PARTS.iter().find(|(part, _)| detail.contains(part)).map_or(known.clone(), |(_, failure)| failure.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engines_strings_are_understood_and_others_kept() {
        for (text, failure) in [
            ("connection_reset", Failure::ConnectionReset),
            ("android_dns_cache_no_data", Failure::DnsNoAnswer),
            ("unknown_failure: stopped after too many redirects", Failure::TooManyRedirects),
            ("unknown_failure: read tcp [scrubbed]: connection reset by peer", Failure::ConnectionReset),
            ("tcp_timed_out_error", Failure::Timeout),
            ("something new", Failure::unknown("something new")),
        ] {
            assert_eq!(parse(text), failure, "{text}");
        }
    }
}
