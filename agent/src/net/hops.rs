//! Probes of limited reach: packets whose time to live ends on the way, without any privilege.
//!
//! A socket's time to live is an ordinary option. What a router says of a packet that died there arrives in two ways
//! (Linux, `ip(7)`, `IP_RECVERR`):
//! - for a connection attempt the kernel queues the message with its sender's address, which `MSG_ERRQUEUE` reads;
//! - for a connection that stands the kernel raises the error on the socket and keeps no sender. Who it was is known
//!   from a connection attempt of the same reach.
//!
//! A connection is always made with full reach; only what is sent on it is limited. Before the connection is thrown away
//! its reach is restored, so that the reset that ends it arrives at the far end.

use super::{Purpose, Session};
use faultline_model::PathAnswer;
use nix::libc;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, recvmsg, setsockopt,
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io::{self, ErrorKind, IoSliceMut, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// What a far end may have under way before it learns that nobody reads: an answer's first bytes are enough.
const WINDOW: usize = 4096;
/// What hosts use for what they send; enough for every way on the internet.
const FULL_REACH: u32 = 64;
/// A router's word that the packet died is waited out this long for an answer that somebody else makes.
const GRACE: Duration = Duration::from_millis(300);
/// When the kernel sends again what was not acknowledged, at the least: twice as long after every time.
const FIRST_RESEND: Duration = Duration::from_millis(200);
/// A message about an error quotes the packet.
const QUOTE_BYTES: usize = 128;

/// How far a probe goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// So many routers.
    Hops(u8),
    /// The whole way.
    Whole,
}

impl Reach {
    fn ttl(self) -> u32 {
        match self {
            Self::Hops(ttl) => ttl.into(),
            Self::Whole => FULL_REACH,
        }
    }
}

/// What came back for one probe. The address is not yet masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// What came back.
    pub answer: PathAnswer,
    /// Who said so, where the system knows.
    pub from: Option<IpAddr>,
    /// How long it took.
    pub took: Duration,
}

impl Session {
    /// Sends a connection attempt of limited reach; a connection that comes about is thrown away.
    pub async fn probe_connect(
        &self,
        peer: SocketAddr,
        purpose: Purpose,
        reach: Reach,
        deadline: Duration,
    ) -> Echo {
        let began = Instant::now();
        self.meter.add(0);
        let (answer, from) = match self.open(peer, purpose, reach, began + deadline).await {
            Ok(connection) => {
                self.meter.add_connection();
                throw_away(&connection, peer);
                (PathAnswer::Connected, Some(peer.ip()))
            }
            Err(told) => told,
        };
        self.meter.add(0);
        Echo { answer, from, took: began.elapsed() }
    }

    /// Connects with full reach, sends a payload of limited reach, and says what came of it.
    pub async fn probe_payload(
        &self,
        peer: SocketAddr,
        reach: Reach,
        payload: &[u8],
        deadline: Duration,
    ) -> Echo {
        let began = Instant::now();
        self.meter.add_connection();
        let not_sent = |from| Echo { answer: PathAnswer::NotSent, from, took: began.elapsed() };
        let connection = match self.open(peer, Purpose::Site, Reach::Whole, began + deadline).await {
            Ok(connection) => connection,
            Err((_, from)) => return not_sent(from),
        };
        let began = Instant::now();
        let sent = set_reach(&SockRef::from(&connection), peer, reach)
            .and_then(|()| SockRef::from(&connection).send(payload))
            .is_ok_and(|sent| sent == payload.len());
        let (answer, came) =
            if sent { listen(&connection, began + deadline).await } else { (PathAnswer::NotSent, began) };
        throw_away(&connection, peer);
        self.count(payload.len(), answer, began.elapsed());
        Echo { answer, from: None, took: came.saturating_duration_since(began) }
    }

    /// Counts a payload with the times that the kernel sent it again, and an answer's first bytes.
    fn count(&self, payload: usize, answer: PathAnswer, took: Duration) {
        let (mut after, mut pause) = (Duration::ZERO, FIRST_RESEND);
        while after <= took {
            self.meter.add(payload);
            after += pause;
            pause *= 2;
            if matches!(answer, PathAnswer::Data | PathAnswer::Reset | PathAnswer::Closed) {
                break;
            }
        }
        if answer == PathAnswer::Data {
            self.meter.add(WINDOW);
        }
    }

    async fn open(
        &self,
        peer: SocketAddr,
        purpose: Purpose,
        reach: Reach,
        until: Instant,
    ) -> Result<TcpStream, (PathAnswer, Option<IpAddr>)> {
        let not_sent = (PathAnswer::NotSent, None);
        let real = self.permit(peer, purpose).map_err(|_| not_sent)?;
        let begun = begin(real, reach).and_then(|socket| TcpStream::from_std(socket.into()));
        let stream = begun.map_err(|_| not_sent)?;
        let either = Interest::WRITABLE | Interest::ERROR;
        loop {
            let Ok(Ok(_)) = timeout_at(until, stream.ready(either)).await else {
                return Err((PathAnswer::Nothing, None));
            };
            match either_way(&stream, Interest::WRITABLE, || has_connected(&stream)) {
                Ok(()) => return Ok(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(told(&stream, real, &error)),
            }
        }
    }
}

/// Makes a socket and begins to connect it.
fn begin(peer: SocketAddr, reach: Reach) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Linux doubles what is asked for.
    socket.set_recv_buffer_size(WINDOW / 2)?;
    if peer.is_ipv4() {
        setsockopt(&socket, Ipv4RecvErr, &true)?;
    } else {
        setsockopt(&socket, Ipv6RecvErr, &true)?;
    }
    set_reach(&socket, peer, reach)?;
    match socket.connect(&peer.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

fn set_reach(socket: &Socket, peer: SocketAddr, reach: Reach) -> io::Result<()> {
    if peer.is_ipv4() { socket.set_ttl_v4(reach.ttl()) } else { socket.set_unicast_hops_v6(reach.ttl()) }
}

/// Does a step that readiness of one kind, or an error, allows. Each kind of readiness is tried by itself, because only so
/// does a step that would block take the readiness back.
fn either_way<T>(stream: &TcpStream, interest: Interest, step: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match stream.try_io(interest, &step) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => stream.try_io(Interest::ERROR, &step),
        ended => ended,
    }
}

fn has_connected(stream: &TcpStream) -> io::Result<()> {
    match stream.take_error()? {
        Some(error) => Err(error),
        None if stream.peer_addr().is_ok() => Ok(()),
        None => Err(ErrorKind::WouldBlock.into()),
    }
}

/// Ends a connection by a reset that arrives, and with nothing sent again.
fn throw_away(connection: &TcpStream, peer: SocketAddr) {
    // Closing in another way is slower, not wrong.
    let socket = SockRef::from(connection);
    let _ = socket.set_linger(Some(Duration::ZERO));
    let _ = set_reach(&socket, peer, Reach::Whole);
}

/// Says what ended a connection attempt, and who said so.
fn told(socket: &TcpStream, peer: SocketAddr, error: &io::Error) -> (PathAnswer, Option<IpAddr>) {
    if let Some(message) = queued(socket, peer) {
        return message;
    }
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => (PathAnswer::Refused, Some(peer.ip())),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => (PathAnswer::Unreachable, None),
        ErrorKind::TimedOut => (PathAnswer::Nothing, None),
        _ => (PathAnswer::NotSent, None),
    }
}

/// Reads a message from the socket's error queue, if one of a router or host is there.
fn queued(socket: &TcpStream, peer: SocketAddr) -> Option<(PathAnswer, Option<IpAddr>)> {
    if peer.is_ipv4() { read_queue::<SockaddrIn>(socket) } else { read_queue::<SockaddrIn6>(socket) }
}

fn read_queue<S: SockaddrLike>(socket: &TcpStream) -> Option<(PathAnswer, Option<IpAddr>)> {
    let mut quote = [0_u8; QUOTE_BYTES];
    let mut parts = [IoSliceMut::new(&mut quote)];
    let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6, libc::sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<S>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags).ok()?;
    for control in message.cmsgs().ok()? {
        let (error, from) = match control {
            ControlMessageOwned::Ipv4RecvErr(error, from) => (error, from.map(v4)),
            ControlMessageOwned::Ipv6RecvErr(error, from) => (error, from.map(v6)),
            _ => continue,
        };
        match (error.ee_origin, error.ee_type) {
            (libc::SO_EE_ORIGIN_ICMP, 11) | (libc::SO_EE_ORIGIN_ICMP6, 3) => {
                return Some((PathAnswer::TimeExceeded, from));
            }
            (libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6, _) => {
                return Some((PathAnswer::Unreachable, from));
            }
            _ => {}
        }
    }
    None
}

fn v4(address: libc::sockaddr_in) -> IpAddr {
    Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr)).into()
}

fn v6(address: libc::sockaddr_in6) -> IpAddr {
    Ipv6Addr::from(address.sin6_addr.s6_addr).to_canonical()
}

/// Waits for what comes after a payload, and says when it came. A router's word is not the last one: whoever interferes
/// may answer too.
async fn listen(connection: &TcpStream, until: Instant) -> (PathAnswer, Instant) {
    let mut last = (PathAnswer::Nothing, until);
    let mut until = until;
    let either = Interest::READABLE | Interest::ERROR;
    loop {
        let Ok(Ok(_)) = timeout_at(until, connection.ready(either)).await else { return last };
        let came = Instant::now();
        let read = || (&*SockRef::from(connection)).read(&mut [0; 512]);
        match either_way(connection, Interest::READABLE, read) {
            Ok(0) => return (PathAnswer::Closed, came),
            Ok(_) => return (PathAnswer::Data, came),
            Err(error) => match error.kind() {
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => return (PathAnswer::Reset, came),
                // The system keeps no more of a message about a connection that stands: a router dropped the packet.
                ErrorKind::HostUnreachable if last.0 == PathAnswer::Nothing => {
                    last = (PathAnswer::TimeExceeded, came);
                    until = until.min(came + GRACE);
                }
                ErrorKind::HostUnreachable | ErrorKind::WouldBlock | ErrorKind::Interrupted => {}
                ErrorKind::NetworkUnreachable => last = (PathAnswer::Unreachable, came),
                _ => return (PathAnswer::Closed, came),
            },
        }
    }
}
