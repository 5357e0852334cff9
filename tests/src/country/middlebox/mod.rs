//! A hop that every packet passes: it delays, loses, and does what a censor orders.
//!
//! Packets come from the kernel through NFQUEUE and get their verdict here; what a censor forges or leads elsewhere leaves through a raw socket. One thread does all: while nothing is held it sleeps in the kernel
//! until a packet comes; while packets are held for their delay it wakes every half millisecond. Packets of one
//! direction never overtake each other, so that jitter alone does not look like loss to TCP.

mod divert;
mod flow;
mod forge;
pub mod hello;
mod judge;
mod pace;
mod packet;
mod protocol;
pub mod request;

pub use protocol::Signature;

use super::addresses::{Prefix, six};
use super::scenario::Line;
use super::timeline::Standing;
use judge::{Decision, Judge, Ruling};
use nfq::{Message, Queue, Verdict};
use pace::Paces;
use packet::Packet;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

/// Waking so often keeps delays right to a millisecond and costs little.
const TICK: Duration = Duration::from_micros(500);
/// So many packets wait in the kernel; more are dropped as a full router would.
const QUEUE_LENGTH: u32 = 16_384;
/// The protocol number that says `the header is mine` (IPPROTO_RAW).
const RAW: i32 = 255;

/// What a middlebox needs to know to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// The queue number that its packet filter rules name.
    pub queue: u16,
    /// Fixed delay, milliseconds.
    pub delay_ms: u32,
    /// The most that is added by chance, milliseconds.
    pub jitter_ms: u32,
    /// Packets lost, percent.
    pub loss_percent: f64,
    /// The addresses on the subscribers' side.
    pub inside: Vec<Prefix>,
    /// Addresses of the network itself: packets to them are lost as others are, but not delayed.
    pub near: Vec<Ipv4Addr>,
    /// It acts only on what leaves.
    pub outward_only: bool,
    /// Hosts have IPv6 addresses too.
    pub six: bool,
    /// Seeds loss and jitter.
    pub seed: u64,
}

impl Config {
    /// Makes a configuration with a line's properties.
    #[must_use]
    pub const fn new(line: Line, inside: Vec<Prefix>, seed: u64) -> Self {
        Self {
            queue: 0,
            delay_ms: line.delay_ms,
            jitter_ms: line.jitter_ms,
            loss_percent: line.loss_percent,
            inside,
            near: Vec::new(),
            outward_only: false,
            six: false,
            seed,
        }
    }
}

/// Opens the queue; packets that come before [`Middlebox::run`] wait.
///
/// # Errors
/// Passes on what the kernel says.
pub fn open(config: Config, standing: Standing) -> Result<Middlebox, Error> {
    let mut queue = Queue::open()?;
    queue.bind(config.queue)?;
    queue.set_queue_max_len(config.queue, QUEUE_LENGTH)?;
    let raw = |domain| Socket::new(domain, Type::RAW, Some(Protocol::from(RAW)));
    let raw_four = raw(Domain::IPV4)?;
    let raw_six = if config.six { Some(raw(Domain::IPV6)?) } else { None };
    let judge = Judge {
        inside: config.inside.clone(),
        outward_only: config.outward_only,
        six: config.six,
        flows: flow::Flows::default(),
        diversions: divert::Diversions::default(),
    };
    let chance = StdRng::seed_from_u64(config.seed);
    Ok(Middlebox {
        queue,
        raw_four,
        raw_six,
        judge,
        paces: Paces::default(),
        standing,
        chance,
        held: BTreeMap::new(),
        last: BTreeMap::new(),
        count: 0,
        config,
    })
}

/// A packet that waits.
enum Held {
    /// It waits in the kernel.
    Message(Message),
    /// It was made here.
    Made(Vec<u8>),
}

/// A running middlebox.
pub struct Middlebox {
    queue: Queue,
    raw_four: Socket,
    raw_six: Option<Socket>,
    judge: Judge,
    paces: Paces,
    standing: Standing,
    chance: StdRng,
    /// Packets by due time and number; the number keeps packets of one moment apart and in order.
    held: BTreeMap<(Instant, u64), Held>,
    /// The last due time per direction and added delay: what is delayed alike keeps its order.
    last: BTreeMap<(bool, u32), Instant>,
    count: u64,
    config: Config,
}

impl Middlebox {
    /// Handles packets until the kernel takes the queue away.
    ///
    /// # Errors
    /// Passes on what the kernel says.
    pub fn run(mut self) -> Result<(), Error> {
        loop {
            self.queue.set_nonblocking(!self.held.is_empty());
            match self.queue.recv() {
                Ok(message) => self.handle(message)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(TICK),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            self.release()?;
        }
    }

    fn handle(&mut self, message: Message) -> Result<(), Error> {
        let Some(packet) = Packet::parse(message.get_payload()) else {
            return self.finish(message, Verdict::Accept);
        };
        if self.is_lost(self.config.loss_percent) {
            return self.finish(message, Verdict::Drop);
        }
        let is_near = self.config.near.contains(&packet.destination);
        let ruling = self.standing.active(|orders| self.judge.decide(&packet, orders));
        match &ruling.decision {
            Decision::Drop => self.finish(message, Verdict::Drop),
            Decision::Inject(packets) => {
                self.inject_all(packets);
                self.finish(message, Verdict::Drop)
            }
            Decision::Overtake(packets) => {
                self.inject_all(packets);
                self.send_on(Held::Message(message), &ruling, is_near)
            }
            Decision::Pass => self.send_on(Held::Message(message), &ruling, is_near),
            Decision::Rewrite(bytes) => {
                let made = Held::Made(bytes.clone());
                self.finish(message, Verdict::Drop)?;
                self.send_on(made, &ruling, is_near)
            }
        }
    }

    fn is_lost(&mut self, percent: f64) -> bool {
        percent > 0.0 && self.chance.random::<f64>() * 100.0 < percent
    }

    fn inject_all(&self, packets: &[Vec<u8>]) {
        for bytes in packets {
            self.inject(bytes);
        }
    }

    /// Sends a forged packet. One that cannot be sent is lost, as on a real line.
    fn inject(&self, bytes: &[u8]) {
        let Some(packet) = Packet::parse(bytes) else { return };
        let (socket, to) = match &self.raw_six {
            Some(socket) if packet.six => (socket, IpAddr::V6(six(packet.destination))),
            _ => (&self.raw_four, IpAddr::V4(packet.destination)),
        };
        if let Err(error) = socket.send_to(bytes, &SocketAddr::new(to, 0).into()) {
            eprintln!("middlebox: sending a forged packet to {to}: {error}");
        }
    }

    /// Lets a packet go on, now or later; or never, when it is lost on the way.
    fn send_on(&mut self, held: Held, ruling: &Ruling, is_near: bool) -> Result<(), Error> {
        if self.is_lost(ruling.line.loss_percent) {
            return self.lose(held);
        }
        let now = Instant::now();
        let mut leaves = now;
        if let Some((flow, kbit_s)) = ruling.limit {
            let bytes = match &held {
                Held::Message(message) => message.get_payload().len(),
                Held::Made(bytes) => bytes.len(),
            };
            match self.paces.pass((flow, ruling.outward), bytes, kbit_s, now) {
                Some(moment) => leaves = moment,
                None => return self.lose(held),
            }
        }
        let own = if is_near { (0, 0) } else { (self.config.delay_ms, self.config.jitter_ms) };
        let (delay_ms, jitter_ms) = (own.0 + ruling.line.delay_ms, own.1 + ruling.line.jitter_ms);
        if delay_ms == 0 && jitter_ms == 0 && leaves == now {
            return self.let_go(held);
        }
        let jitter = self.chance.random_range(0.0..=f64::from(jitter_ms));
        let mut due = leaves + Duration::from_secs_f64((f64::from(delay_ms) + jitter) / 1000.0);
        if ruling.limit.is_none() {
            let last = self.last.entry((ruling.outward, delay_ms)).or_insert(due);
            due = due.max(*last);
            *last = due;
        }
        self.count += 1;
        self.held.insert((due, self.count), held);
        Ok(())
    }

    fn release(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        while let Some(entry) = self.held.first_entry()
            && entry.key().0 <= now
        {
            let held = entry.remove();
            self.let_go(held)?;
        }
        Ok(())
    }

    fn let_go(&mut self, held: Held) -> Result<(), Error> {
        match held {
            Held::Message(message) => self.finish(message, Verdict::Accept),
            Held::Made(bytes) => {
                self.inject(&bytes);
                Ok(())
            }
        }
    }

    fn lose(&mut self, held: Held) -> Result<(), Error> {
        match held {
            Held::Message(message) => self.finish(message, Verdict::Drop),
            Held::Made(_) => Ok(()),
        }
    }

    fn finish(&mut self, mut message: Message, verdict: Verdict) -> Result<(), Error> {
        message.set_verdict(verdict);
        match self.queue.verdict(message) {
            // The kernel has flushed the packet, because its interface went away.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}
