//! obfs4 by its own program, as a managed transport (pt-spec, version 1).
//!
//! The program is started for one check with a folder of its own, tells on its standard output where it listens, and
//! ends when its standard input does. It is given a port of this machine to connect to; behind that port stands the
//! connection that the agent itself opened to the bridge, so that nothing leaves by any other way.

use super::socks;
use crate::checks::NotRun;
use crate::net::Metered;
use faultline_model::Failure;
use faultline_runtime::{create_private_dir, random_bytes};
use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout, timeout_at};

/// The names of the program, the newer one second: Debian calls it by the first.
const PROGRAMS: [&str; 2] = ["obfs4proxy", "lyrebird"];
/// A program that has not said by then where it listens is broken.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// The arguments of a bridge line.
pub(super) struct Obfs4<'a> {
    pub(super) cert: &'a str,
    pub(super) iat_mode: u8,
}

/// The running program.
pub(super) struct Managed {
    /// Killed when this is dropped.
    _child: Child,
    listens_at: SocketAddr,
    folder: PathBuf,
}

impl Drop for Managed {
    fn drop(&mut self) {
        // A folder that stays behind holds nothing but an empty log.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Managed {
    /// Starts the program and waits until it listens.
    pub(super) async fn start() -> Result<Self, NotRun> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = find(&path).ok_or(NotRun::NoTransportProgram)?;
        let name = data_encoding::HEXLOWER.encode(&random_bytes());
        let folder = std::env::temp_dir().join(format!("faultline-transport-{name}"));
        create_private_dir(&folder).map_err(|_| NotRun::TransportFailed)?;
        let spawned = Command::new(program)
            .env_clear()
            .env("TOR_PT_MANAGED_TRANSPORT_VER", "1")
            .env("TOR_PT_STATE_LOCATION", &folder)
            .env("TOR_PT_EXIT_ON_STDIN_CLOSE", "1")
            .env("TOR_PT_CLIENT_TRANSPORTS", "obfs4")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(_) => {
                let _ = std::fs::remove_dir_all(&folder);
                return Err(NotRun::TransportFailed);
            }
        };
        let out = child.stdout.take();
        let listens_at = timeout(START_PATIENCE, announced(out)).await.ok().flatten();
        let mut managed = Self { _child: child, listens_at: ([0; 4], 0).into(), folder };
        managed.listens_at = listens_at.ok_or(NotRun::TransportFailed)?;
        Ok(managed)
    }

    /// Puts a connection behind a port of this machine.
    pub(super) async fn splice(&self, stream: Metered<TcpStream>) -> Result<(Splice, Counts), NotRun> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|_| NotRun::TransportFailed)?;
        let port = listener.local_addr().map_err(|_| NotRun::TransportFailed)?.port();
        let counts = Counts::default();
        Ok((Splice { port, listener, stream, counts: counts.clone() }, counts))
    }

    /// Opens a stream through the transport to a port of this machine.
    pub(super) async fn open(
        &self,
        obfs4: &Obfs4<'_>,
        port: u16,
        until: Instant,
    ) -> Result<TcpStream, Failure> {
        let arguments = format!("cert={};iat-mode={}", obfs4.cert, obfs4.iat_mode);
        let open = async {
            let stream = TcpStream::connect(self.listens_at).await.map_err(|_| Failure::TunnelDenied)?;
            socks::open(stream, &arguments, port).await
        };
        timeout_at(until, open).await.map_err(|_| Failure::Timeout)?
    }
}

fn find(path: &OsStr) -> Option<PathBuf> {
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    let paths = folders.flat_map(|folder| PROGRAMS.map(|program| folder.join(program)));
    paths.into_iter().find(|program: &PathBuf| Path::is_file(program))
}

/// Reads where the program listens.
async fn announced(out: Option<impl AsyncRead + Unpin>) -> Option<SocketAddr> {
    let mut lines = BufReader::new(out?.take(64 * 1024)).lines();
    let mut found = None;
    while let Some(line) = lines.next_line().await.ok()? {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["CMETHOD", "obfs4", "socks5", address, ..] => found = address.parse().ok(),
            ["CMETHODS", "DONE"] => return found.filter(|at: &SocketAddr| at.ip().is_loopback()),
            ["VERSION-ERROR" | "ENV-ERROR" | "CMETHOD-ERROR" | "PROXY-ERROR", ..] => return None,
            _ => {}
        }
    }
    None
}

/// Bytes that went over a splice.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts(Arc<[AtomicU64; 2]>);

impl Counts {
    /// Returns what was sent and what was received.
    pub(super) fn read(&self) -> (u64, u64) {
        (self.0[0].load(Ordering::Relaxed), self.0[1].load(Ordering::Relaxed))
    }
}

/// A connection that waits behind a port of this machine for the one who asks for it.
pub(super) struct Splice {
    pub(super) port: u16,
    listener: TcpListener,
    stream: Metered<TcpStream>,
    counts: Counts,
}

impl Splice {
    /// Carries bytes until either side ends.
    pub(super) async fn run(self) {
        let Ok((mut near, _)) = self.listener.accept().await else { return };
        drop(self.listener);
        let (mut from_near, mut to_near) = near.split();
        let (mut from_far, mut to_far) = tokio::io::split(self.stream);
        let [sent, received] = &*self.counts.0;
        tokio::select! {
            () = carry(&mut from_near, &mut to_far, sent) => {}
            () = carry(&mut from_far, &mut to_near, received) => {}
        }
    }
}

async fn carry(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin), count: &AtomicU64) {
    let mut buffer = vec![0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        count.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_transport_is_found_by_its_own_announcement_only() {
        let good = "VERSION 1\nCMETHOD obfs4 socks5 127.0.0.1:4711\nCMETHODS DONE\n";
        assert_eq!(announced(Some(good.as_bytes())).await, Some(([127, 0, 0, 1], 4711).into()));
        for bad in [
            "VERSION 1\nCMETHOD obfs4 socks5 203.0.113.7:4711\nCMETHODS DONE\n",
            "VERSION 1\nCMETHOD-ERROR obfs4 no\n",
            "VERSION 1\nCMETHOD obfs4 socks5 127.0.0.1:4711\n",
            "",
        ] {
            assert_eq!(announced(Some(bad.as_bytes())).await, None, "{bad:?}");
        }
    }

    #[test]
    fn without_a_program_there_is_none() {
        assert_eq!(find(OsStr::new("/nonexistent:relative")), None);
    }
}
