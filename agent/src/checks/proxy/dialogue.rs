//! What is said to a proxy before it carries anything: SOCKS5 without authentication (RFC 1928), or CONNECT (RFC 9110).

use crate::checks::tunnel::{read_some, write_all};
use crate::net::Ending;
use faultline_model::{Failure, TunnelFact, TunnelStage};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

const HTTPS: u16 = 443;
/// The head of a proxy's answer.
const MAX_HEAD: usize = 8 * 1024;
/// SOCKS answers are never longer.
const MAX_SOCKS: usize = 512;

type Record<'a> = (&'a mut TunnelFact, Instant);

/// Asks a SOCKS5 proxy for a host.
pub(super) async fn socks5<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    to: &str,
    (fact, until): Record<'_>,
    ending: &Ending,
) -> Result<(), Failure> {
    let mut buffer = Vec::new();
    write_all(stream, &[5, 1, 0], (fact, until)).await?;
    while buffer.len() < 2 {
        read_some(stream, (&mut buffer, MAX_SOCKS), (fact, until), ending).await?;
    }
    match buffer[..2] {
        [5, 0] => fact.note("no authentication"),
        [5, method] => {
            fact.note(&format!("method {method}"));
            fact.stage = TunnelStage::FirstReply;
            return Err(Failure::TunnelDenied);
        }
        _ => return Err(Failure::TunnelInvalidReply),
    }
    fact.stage = TunnelStage::FirstReply;
    buffer.drain(..2);
    let mut request = vec![5, 1, 0, 3, u8::try_from(to.len()).map_err(|_| Failure::TunnelDenied)?];
    request.extend(to.as_bytes());
    request.extend(HTTPS.to_be_bytes());
    write_all(stream, &request, (fact, until)).await?;
    while buffer.len() < reply_length(&buffer)? {
        read_some(stream, (&mut buffer, MAX_SOCKS), (fact, until), ending).await?;
    }
    fact.note(&format!("reply {}", buffer[1]));
    if buffer[1] != 0 {
        return Err(Failure::TunnelDenied);
    }
    // The far host does not speak first in TLS, so nothing may follow the reply.
    if buffer.len() > reply_length(&buffer)? {
        return Err(Failure::TunnelInvalidReply);
    }
    fact.stage = TunnelStage::Complete;
    Ok(())
}

/// Returns how long a reply is, or how much is needed to know it.
fn reply_length(buffer: &[u8]) -> Result<usize, Failure> {
    match buffer {
        [] | [5] | [5, _] | [5, _, 0] => Ok(5),
        [5, _, 0, 1, ..] => Ok(10),
        [5, _, 0, 4, ..] => Ok(22),
        [5, _, 0, 3] => Ok(5),
        [5, _, 0, 3, length, ..] => Ok(7 + usize::from(*length)),
        _ => Err(Failure::TunnelInvalidReply),
    }
}

/// Asks an HTTP proxy for a host.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    to: &str,
    (fact, until): Record<'_>,
    ending: &Ending,
) -> Result<(), Failure> {
    let mut buffer = Vec::new();
    let request = format!("CONNECT {to}:{HTTPS} HTTP/1.1\r\nHost: {to}:{HTTPS}\r\n\r\n");
    write_all(stream, request.as_bytes(), (fact, until)).await?;
    while !buffer.windows(4).any(|end| end == b"\r\n\r\n") {
        read_some(stream, (&mut buffer, MAX_HEAD), (fact, until), ending).await?;
    }
    let status = status(&buffer).ok_or(Failure::TunnelInvalidReply)?;
    fact.note(&format!("status {status}"));
    fact.stage = TunnelStage::FirstReply;
    if !(200..300).contains(&status) {
        return Err(Failure::TunnelDenied);
    }
    if !buffer.ends_with(b"\r\n\r\n") {
        return Err(Failure::TunnelInvalidReply);
    }
    fact.stage = TunnelStage::Complete;
    Ok(())
}

fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let is_http = words.next()?.starts_with("HTTP/1.");
    let digits = words.next()?;
    if is_http && digits.len() == 3 { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_ends_where_its_address_does() {
        assert_eq!(reply_length(&[5, 0]), Ok(5));
        assert_eq!(reply_length(&[5, 0, 0, 1]), Ok(10));
        assert_eq!(reply_length(&[5, 0, 0, 3, 11]), Ok(18));
        assert_eq!(reply_length(&[5, 0, 0, 4, 0]), Ok(22));
        assert_eq!(reply_length(b"HTTP"), Err(Failure::TunnelInvalidReply));
    }

    #[test]
    fn only_a_status_line_has_a_status() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407 No\r\n"), Some(407));
        for bad in [&b"SSH-2.0-x\r\n"[..], b"HTTP/1.1 2\r\n", b"", b"HTTP/1.1\r\n"] {
            assert_eq!(status(bad), None);
        }
    }
}
