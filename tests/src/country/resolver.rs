//! A provider's resolver: the world's answers, save where the censor has it lie.

use super::timeline::{Act, Standing};
use super::world::dns::{self, Answer, Zone};
use serde::{Deserialize, Serialize};
use std::io::Error;
use std::net::Ipv4Addr;

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
    dns::serve(address, move |host: &str| match forged(&standing, host) {
        Some(answer) => answer,
        None => zone.answer(host),
    })
    .await
}

fn forged(standing: &Standing, host: &str) -> Option<Answer> {
    standing.active(|orders| {
        orders.iter().filter(|order| order.means_host(host)).find_map(|order| match order.act {
            Act::Forge(Some(address)) => Some(Answer::Address(address)),
            Act::Forge(None) => Some(Answer::NoSuchName),
            _ => None,
        })
    })
}
