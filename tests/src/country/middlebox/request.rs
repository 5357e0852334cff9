//! Finds the host in the first bytes of an HTTP/1 connection (RFC 9112).

use super::hello::Hello;

/// Longer heads are given up.
const MAX_HEAD: usize = 8192;

/// Reads the bytes that a client has sent so far.
#[must_use]
pub fn read(stream: &[u8]) -> Hello {
    let is_text = stream.iter().take(3).all(u8::is_ascii_uppercase);
    if !is_text || stream.len() > MAX_HEAD {
        return Hello::Nameless;
    }
    let head = String::from_utf8_lossy(stream);
    let (head, is_whole) = match head.split_once("\r\n\r\n") {
        Some((head, _)) => (head, true),
        // The last line may go on in the next segment.
        None => (head.rsplit_once("\r\n").map_or("", |(lines, _)| lines), false),
    };
    let host = head.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim())
    });
    match host {
        Some(host) => Hello::Names(host.split(':').next().unwrap_or_default().to_ascii_lowercase()),
        None if is_whole => Hello::Nameless,
        None => Hello::Incomplete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_request_is_found_once_its_line_is_whole() {
        let request = b"GET / HTTP/1.1\r\nAccept: */*\r\nHost: X.com:80\r\nConnection: close\r\n\r\n";
        let mut named = None;
        for length in 1..=request.len() {
            match read(&request[..length]) {
                Hello::Names(name) => {
                    assert_eq!(name, "x.com");
                    named = named.or(Some(length));
                }
                other => assert_eq!((other, named), (Hello::Incomplete, None), "{length}"),
            }
        }
        assert!(named.is_some_and(|length| length < request.len()));
    }

    #[test]
    fn other_protocols_and_requests_without_host_are_nameless() {
        assert_eq!(read(b"\x16\x03\x01"), Hello::Nameless);
        assert_eq!(read(b"GET / HTTP/1.0\r\n\r\n"), Hello::Nameless);
        assert_eq!(read(b"GET / HTTP/1.0\r\nA: b\r\n"), Hello::Incomplete);
    }
}
