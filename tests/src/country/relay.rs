//! Brings readers to the coordinator, which listens only on its own namespace's loopback address.
//!
//! The relay runs in the coordinator's namespace. It accepts on a socket that was opened in the machine's own
//! network and handed down to it, and on a Unix socket for the country's first process; bytes go on as they come.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::AsFd;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::task::JoinSet;

/// Relays until the process ends. Standard input is the listening TCP socket, if it is a socket at all.
///
/// # Errors
/// Fails when the Unix socket cannot be opened or standard output not be written.
pub async fn relay(unix: &Path, to: SocketAddr) -> Result<(), std::io::Error> {
    let local = UnixListener::bind(unix)?;
    let outer = inherited_listener();
    println!("ready");
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = local.accept() => {
                clients.spawn(pass(stream, to));
            }
            Ok((stream, _)) = accept(outer.as_ref()) => {
                clients.spawn(pass(stream, to));
            }
            Some(_) = clients.join_next() => {}
            else => tokio::task::yield_now().await,
        }
    }
}

fn inherited_listener() -> Option<TcpListener> {
    let fd = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
    let listener = StdListener::from(fd);
    listener.local_addr().ok()?;
    listener.set_nonblocking(true).ok()?;
    TcpListener::from_std(listener).ok()
}

async fn accept(listener: Option<&TcpListener>) -> Result<(TcpStream, SocketAddr), std::io::Error> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn pass(mut from: impl AsyncRead + AsyncWrite + Unpin, to: SocketAddr) {
    // A coordinator that is being started again refuses; the reader sees the end and tries again.
    if let Ok(mut stream) = TcpStream::connect(to).await {
        let _ = copy_bidirectional(&mut from, &mut stream).await;
    }
}
