//! A hop that every packet passes: it delays, loses, and does what a censor orders.
//!
//! Packets come from the kernel through NFQUEUE and get their verdict here; nothing is rewritten. Packets that a
//! censor forges leave through a raw socket. One thread does all: while nothing is held it sleeps in the kernel
//! until a packet comes; while packets are held for their delay it wakes every half millisecond. Packets of one
//! direction never overtake each other, so that jitter alone does not look like loss to TCP.

mod flow;
mod hello;
mod judge;
mod packet;

use super::addresses::Prefix;
use super::scenario::Line;
use super::timeline::Standing;
use judge::{Decision, Judge};
use nfq::{Message, Queue, Verdict};
use packet::Packet;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4};
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
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW)))?;
    let judge = Judge {
        inside: config.inside.clone(),
        outward_only: config.outward_only,
        flows: flow::Flows::default(),
    };
    let chance = StdRng::seed_from_u64(config.seed);
    Ok(Middlebox {
        queue,
        raw,
        judge,
        standing,
        chance,
        held: BTreeMap::new(),
        last: [None; 2],
        count: 0,
        config,
    })
}

/// A running middlebox.
pub struct Middlebox {
    queue: Queue,
    raw: Socket,
    judge: Judge,
    standing: Standing,
    chance: StdRng,
    /// Packets by due time and number; the number keeps packets of one moment apart and in order.
    held: BTreeMap<(Instant, u64), Message>,
    /// The last due time per direction.
    last: [Option<Instant>; 2],
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
        let lost = self.chance.random::<f64>() * 100.0 < self.config.loss_percent;
        if lost {
            return self.finish(message, Verdict::Drop);
        }
        match self.standing.active(|orders| self.judge.decide(&packet, orders)) {
            Decision::Drop => self.finish(message, Verdict::Drop),
            Decision::Inject(packets) => {
                for bytes in packets {
                    self.inject(&bytes);
                }
                self.finish(message, Verdict::Drop)
            }
            Decision::Pass => {
                let is_near = self.config.near.contains(&packet.destination);
                let outward = self.judge.is_inside(packet.source);
                if is_near || (self.config.delay_ms == 0 && self.config.jitter_ms == 0) {
                    return self.finish(message, Verdict::Accept);
                }
                self.hold(message, outward);
                Ok(())
            }
        }
    }

    /// Sends a forged packet. One that cannot be sent is lost, as on a real line.
    fn inject(&self, bytes: &[u8]) {
        let Some(packet) = Packet::parse(bytes) else { return };
        let to = SocketAddrV4::new(packet.destination, 0);
        if let Err(error) = self.raw.send_to(bytes, &to.into()) {
            eprintln!("middlebox: sending a forged packet to {to}: {error}");
        }
    }

    fn hold(&mut self, message: Message, outward: bool) {
        let jitter = self.chance.random_range(0.0..=f64::from(self.config.jitter_ms));
        let delay = Duration::from_secs_f64((f64::from(self.config.delay_ms) + jitter) / 1000.0);
        let last = &mut self.last[usize::from(outward)];
        let due = (Instant::now() + delay).max(last.unwrap_or_else(Instant::now));
        *last = Some(due);
        self.count += 1;
        self.held.insert((due, self.count), message);
    }

    fn release(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        while let Some(entry) = self.held.first_entry()
            && entry.key().0 <= now
        {
            let message = entry.remove();
            self.finish(message, Verdict::Accept)?;
        }
        Ok(())
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
