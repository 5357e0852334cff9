//! The parts of the country as processes: how they are told what to be, and how they are watched.
//!
//! A part is the `country` binary run as `country role`, within its namespace. The first line on its standard
//! input is its [`Role`] as JSON; it answers with the line `ready` when it serves. Every further line is the
//! list of orders that replaces the one before. The end of the input ends the part.

use super::endpoints::proxies;
use super::timeline::{Order, Standing};
use super::{middlebox, resolver, world};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// What a part is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Role {
    /// A hop that delays, loses and censors.
    Middlebox(middlebox::Config),
    /// A provider's resolver.
    Resolver(resolver::Config),
    /// All sites and public resolvers.
    World(Box<world::Config>),
    /// Proxies outside the country.
    Proxies(proxies::Config),
}

/// Why a part does not play its role.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// Its orders cannot be read or its answer not be written.
    #[error("talking to the {0}")]
    Talk(String, #[source] std::io::Error),
    /// Its orders make no sense.
    #[error("reading what to be")]
    Nonsense(#[source] serde_json::Error),
    /// It cannot be started.
    #[error("starting the {0}")]
    Start(String, #[source] std::io::Error),
    /// It ended instead of serving.
    #[error("the {0} ended before it served; its own message is above")]
    Ended(String),
    /// A middlebox or a resolver failed.
    #[error("serving as {0}")]
    Serve(&'static str, #[source] std::io::Error),
    /// The world failed.
    #[error("serving the world")]
    World(#[source] world::WorldError),
}

/// Plays the role that the first line on standard input names, until the input ends.
///
/// # Errors
/// Says what it could not do.
pub fn play() -> Result<(), RoleError> {
    let mut line = String::new();
    let talk = |source| RoleError::Talk("parent".into(), source);
    std::io::stdin().read_line(&mut line).map_err(talk)?;
    let role: Role = serde_json::from_str(&line).map_err(RoleError::Nonsense)?;
    let standing = Standing::default();
    let orders = standing.clone();
    std::thread::spawn(move || obey(&orders));
    match role {
        Role::Middlebox(config) => {
            let failed = |source| RoleError::Serve("middlebox", source);
            let middlebox = middlebox::open(config, standing).map_err(failed)?;
            say_ready().map_err(talk)?;
            middlebox.run().map_err(failed)
        }
        Role::Resolver(config) => runtime()?.block_on(async {
            say_ready().map_err(talk)?;
            resolver::serve(config, standing).await.map_err(|e| RoleError::Serve("resolver", e))
        }),
        Role::Proxies(config) => runtime()?.block_on(async {
            proxies::serve(config, say_ready).await.map_err(|e| RoleError::Serve("proxies", e))
        }),
        Role::World(config) => runtime()?.block_on(async {
            let world = world::World::open(*config, standing).await.map_err(RoleError::World)?;
            say_ready().map_err(talk)?;
            world.serve().await.map_err(RoleError::World)
        }),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, RoleError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| RoleError::Serve("part", source))
}

/// Takes orders until the parent is gone, and then ends the process.
fn obey(standing: &Standing) {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        match serde_json::from_str::<Vec<Order>>(&line) {
            Ok(orders) => standing.replace(orders),
            Err(error) => eprintln!("country: orders are malformed: {error}"),
        }
    }
    std::process::exit(0);
}

fn say_ready() -> Result<(), std::io::Error> {
    let mut out = std::io::stdout().lock();
    out.write_all(b"ready\n")?;
    out.flush()
}

/// A part that runs.
#[derive(Debug)]
pub struct Running {
    /// What it is, for messages.
    pub name: String,
    child: Child,
    orders: ChildStdin,
}

impl Running {
    /// Starts a part with a command that runs `country role` in the right namespace.
    ///
    /// # Errors
    /// Says which part failed and how.
    pub async fn start(name: &str, mut command: Command, role: &Role) -> Result<Self, RoleError> {
        let talk = |source| RoleError::Talk(name.to_owned(), source);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|source| RoleError::Start(name.to_owned(), source))?;
        let (Some(mut orders), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(RoleError::Ended(name.to_owned()));
        };
        send(&mut orders, role).await.map_err(talk)?;
        let line = BufReader::new(out).lines().next_line().await.map_err(talk)?;
        line.ok_or_else(|| RoleError::Ended(name.to_owned()))?;
        Ok(Self { name: name.to_owned(), child, orders })
    }

    /// Replaces the part's orders.
    ///
    /// # Errors
    /// Fails when the part is gone.
    pub async fn order(&mut self, orders: &[Order]) -> Result<(), RoleError> {
        send(&mut self.orders, orders).await.map_err(|source| RoleError::Talk(self.name.clone(), source))
    }

    /// Returns the part's name when it has ended.
    pub fn has_ended(&mut self) -> Option<&str> {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)).then_some(&self.name)
    }
}

async fn send<T: Serialize + ?Sized>(to: &mut ChildStdin, message: &T) -> Result<(), std::io::Error> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    to.flush().await
}
