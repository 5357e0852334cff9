//! A provider's resolver: the world's answers, save where the censor has it lie.

use super::addresses::both;
use super::timeline::{Act, Standing};
use super::world::dns::{self, Answer, Lookup, Zone};
use serde::{Deserialize, Serialize};
use std::io::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::task::JoinSet;

/// What a resolver needs to know to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Where it listens.
    pub address: Ipv4Addr,
    /// What it knows.
    pub zone: Zone,
}

/// Opens the resolver's sockets and answers until the process ends.
///
/// # Errors
/// Passes on what the kernel says.
pub async fn serve(config: Config, standing: Standing) -> Result<(), Error> {
    let Config { address, zone } = config;
    let addresses = both(address, zone.six);
    let lookup: Lookup =
        Arc::new(move |host: &str| forged(&standing, host, zone.six).unwrap_or_else(|| zone.answer(host)));
    let mut servers = JoinSet::new();
    for address in addresses {
        let lookup = Arc::clone(&lookup);
        servers.spawn(dns::serve(address, move |host: &str| lookup(host)));
    }
    match servers.join_next().await {
        Some(Ok(result)) => result,
        _ => Ok(()),
    }
}

fn forged(standing: &Standing, host: &str, six: bool) -> Option<Answer> {
    standing.active(|orders| {
        orders.iter().filter(|order| order.means_host(host)).find_map(|order| match order.act {
            Act::Forge(Some(address)) => Some(Answer::at(address, six)),
            Act::Forge(None) => Some(Answer::NoSuchName),
            _ => None,
        })
    })
}
