//! The SOCKS5 that a pluggable transport speaks on this machine: its arguments travel as user name and password.

use faultline_model::Failure;
use std::net::{Ipv4Addr, SocketAddrV4};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A field of user name or password holds so many bytes.
const MAX_FIELD: usize = 255;

/// Asks a transport to connect to a port of this machine. Its answer comes once the transport's own handshake has ended.
pub(super) async fn open(mut stream: TcpStream, arguments: &str, port: u16) -> Result<TcpStream, Failure> {
    let lost = |_| Failure::TunnelDenied;
    let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    stream.write_all(&[5, 1, 2]).await.map_err(lost)?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await.map_err(lost)?;
    if chosen != [5, 2] {
        return Err(Failure::TunnelDenied);
    }
    stream.write_all(&credentials(arguments)).await.map_err(lost)?;
    let mut accepted = [0; 2];
    stream.read_exact(&mut accepted).await.map_err(lost)?;
    if accepted[1] != 0 {
        return Err(Failure::TunnelDenied);
    }
    let mut request = vec![5, 1, 0, 1];
    request.extend(to.ip().octets());
    request.extend(to.port().to_be_bytes());
    stream.write_all(&request).await.map_err(lost)?;
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).await.map_err(lost)?;
    if reply[1] == 0 { Ok(stream) } else { Err(Failure::TunnelDenied) }
}

/// RFC 1929, filled as the pluggable transport specification says: what does not fit into the name goes on in the password,
/// and an empty password is one zero byte.
fn credentials(arguments: &str) -> Vec<u8> {
    let bytes = arguments.as_bytes();
    let (name, password) = bytes.split_at(bytes.len().min(MAX_FIELD));
    let password = if password.is_empty() { &[0][..] } else { &password[..password.len().min(MAX_FIELD)] };
    let length = |field: &[u8]| u8::try_from(field.len()).unwrap_or(u8::MAX);
    [&[1, length(name)], name, &[length(password)], password].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_split_over_both_fields() {
        assert_eq!(credentials("cert=a"), [&[1, 6][..], b"cert=a", &[1, 0]].concat());
        let long = credentials(&"x".repeat(300));
        assert_eq!((long[1], long[257], long.len()), (255, 45, 2 + 255 + 1 + 45));
    }
}
