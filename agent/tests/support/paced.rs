//! Sites that send as fast as a token bucket lets them, and never more than the visitor takes.

use super::world::World;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How a site sends its body.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Bytes a second, after the burst; nothing for no limit.
    pub rate: Option<u64>,
    /// Bytes that are let by at once.
    pub burst: u64,
    /// The body's length; nothing for a body without end.
    pub length: Option<u64>,
    /// What becomes of the connection after so many bytes.
    pub stops: Option<(u64, Stop)>,
}

/// How a site stops in the middle of a body.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// It falls silent.
    Silence,
    /// It resets the connection.
    Reset,
}

impl Pace {
    /// As fast as the machine can, for ever.
    pub const ENDLESS: Self = Self { rate: None, burst: 0, length: None, stops: None };

    /// For ever at so many kbit/s.
    pub const fn kbps(rate: u64) -> Self {
        Self { rate: Some(rate * 1000 / 8), burst: 4096, length: None, stops: None }
    }
}

/// What a site has done.
#[derive(Clone, Debug, Default)]
pub struct Served {
    pub visits: Arc<AtomicUsize>,
    pub bytes: Arc<AtomicU64>,
}

const TICK: Duration = Duration::from_millis(20);
const PIECE: usize = 4096;
/// The system would otherwise take megabytes that the visitor never asked for.
const SEND_BUFFER: u32 = 16 * 1024;

impl World {
    /// Starts a paced site over TLS and HTTP/1.1.
    pub async fn paced(&self, address: &str, name: &str, pace: Pace) -> Served {
        let acceptor =
            TlsAcceptor::from(self.authority.config(name, super::site::Certificate::Good, b"http/1.1"));
        let listener = listener(address, self.https_port());
        let served = Served::default();
        let counted = served.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.visits.fetch_add(1, Ordering::SeqCst);
                let (acceptor, counted) = (acceptor.clone(), counted.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        // The visitor may go at any time.
                        let _ = send(stream, pace, &counted.bytes).await;
                    }
                });
            }
        });
        served
    }
}

fn listener(address: &str, port: u16) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("set");
    socket.set_send_buffer_size(SEND_BUFFER).expect("set");
    let address = std::net::SocketAddr::new(address.parse().expect("an address"), port);
    socket.bind(address).expect("bound");
    socket.listen(16).expect("listening")
}

async fn send(mut stream: TlsStream<TcpStream>, pace: Pace, sent: &AtomicU64) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let length = pace.length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
    stream.write_all(format!("HTTP/1.1 200 OK\r\n{length}\r\n").as_bytes()).await?;
    let mut tick = tokio::time::interval(TICK);
    let mut tokens = pace.burst;
    let (mut left, mut total) = (pace.length.unwrap_or(u64::MAX), 0);
    while left > 0 {
        if let Some((_, stop)) = pace.stops.filter(|(after, _)| total >= *after) {
            return cease(stream, stop).await;
        }
        let mut piece = left.min(PIECE as u64);
        if let Some(rate) = pace.rate {
            while tokens == 0 {
                tick.tick().await;
                tokens += rate * TICK.as_millis() as u64 / 1000;
            }
            piece = piece.min(tokens);
            tokens -= piece;
        }
        stream.write_all(&vec![b'x'; piece as usize]).await?;
        stream.flush().await?;
        sent.fetch_add(piece, Ordering::SeqCst);
        left -= piece;
        total += piece;
    }
    stream.shutdown().await
}

async fn cease(mut stream: TlsStream<TcpStream>, stop: Stop) -> std::io::Result<()> {
    match stop {
        Stop::Silence => stream.read(&mut [0; 64]).await.map(|_| ()),
        Stop::Reset => stream.get_ref().0.set_zero_linger(),
    }
}
