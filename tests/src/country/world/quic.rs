//! As much of QUIC as says that a server is there: version negotiation (RFC 9000, section 6).

use std::io::Error;
use tokio::net::UdpSocket;

const LONG_HEADER: u8 = 0x80;
/// A server answers only what is as long as a client's first datagram has to be.
const LEAST: usize = 1200;
/// The version that the servers claim to speak.
const VERSION: u32 = 1;

/// Answers first datagrams of a version that it does not speak with the version that it does, for ever.
///
/// # Errors
/// Never; sockets' errors are those of clients that have gone.
pub async fn serve(socket: UdpSocket) -> Result<(), Error> {
    let mut buffer = [0; 2048];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        if let Some(answer) = negotiate(&buffer[..length]) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// Answers a first datagram; `None` for anything else.
#[must_use]
pub fn negotiate(datagram: &[u8]) -> Option<Vec<u8>> {
    if datagram.len() < LEAST || datagram[0] & LONG_HEADER == 0 {
        return None;
    }
    let version = u32::from_be_bytes(datagram.get(1..5)?.try_into().ok()?);
    let (to, rest) = connection_id(datagram.get(5..)?)?;
    let (from, _) = connection_id(rest)?;
    if version == VERSION || version == 0 {
        return None;
    }
    let mut answer = vec![LONG_HEADER, 0, 0, 0, 0];
    for id in [from, to] {
        answer.push(u8::try_from(id.len()).ok()?);
        answer.extend_from_slice(id);
    }
    answer.extend_from_slice(&VERSION.to_be_bytes());
    Some(answer)
}

/// Makes a first datagram of a version that exists to be negotiated away.
#[must_use]
pub fn greeting(id: [u8; 8]) -> Vec<u8> {
    let mut datagram = vec![LONG_HEADER | 0x40, 0x1a, 0x2a, 0x3a, 0x4a, 8];
    datagram.extend_from_slice(&id);
    datagram.push(8);
    datagram.extend_from_slice(&id);
    datagram.resize(LEAST, 0);
    datagram
}

/// Says whether a datagram answers a greeting.
#[must_use]
pub fn is_answer(datagram: &[u8], id: [u8; 8]) -> bool {
    datagram.starts_with(&[LONG_HEADER, 0, 0, 0, 0, 8]) && datagram.get(6..14) == Some(&id)
}

fn connection_id(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_answered_with_a_version_and_nothing_else_is() {
        let id = [7; 8];
        let answer = negotiate(&greeting(id)).expect("an answer");
        assert!(is_answer(&answer, id) && !is_answer(&answer, [8; 8]));
        assert_eq!(answer[answer.len() - 4..], [0, 0, 0, 1]);
        assert_eq!(negotiate(&greeting(id)[..1199]), None, "too short");
        assert_eq!(negotiate(&answer), None, "an answer");
        assert_eq!(negotiate(&[]), None);
    }
}
