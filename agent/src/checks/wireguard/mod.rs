//! `wireguard`: one handshake (Noise IK), complete when the server's answer proves that it holds its private key.
//!
//! An initiation, repeated every two seconds while nothing comes, each time anew and with the next of the list's client keys;
//! then the response, which is decrypted. No packet follows, so the server keeps a session that nobody uses. A cookie reply,
//! which a server under load sends, counts as an answer of the protocol and is not followed up.

mod noise;

use super::tunnel::{self, Approach, Exchange, end_handshake};
use super::{Check, Job, NotRun, Outcome};
use crate::net::Net;
use aws_lc_rs::rand;
use faultline_model::{Fact, Failure, Layer, ProtocolClass, Tunnel, TunnelFact, TunnelStage};
use faultline_runtime::now;
use futures_util::future::BoxFuture;
use noise::{Answer, Initiation};
use std::sync::Arc;
use tokio::time::Instant;

/// The `wireguard` check.
#[derive(Debug)]
pub struct WireguardCheck {
    net: Arc<Net>,
}

impl WireguardCheck {
    /// Makes the check over a network.
    #[must_use]
    pub const fn new(net: Arc<Net>) -> Self {
        Self { net }
    }
}

impl Check for WireguardCheck {
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, NotRun>> {
        Box::pin(async move {
            tunnel::run(&self.net, &job, |session, steps, endpoint| async move {
                let Tunnel::Wireguard { public_key, client_keys } = &endpoint.tunnel else {
                    return Err(NotRun::NotApplicable);
                };
                Ok(go(&Approach::new(&session, &steps, &endpoint), public_key, client_keys).await)
            })
            .await
        })
    }
}

async fn go(approach: &Approach<'_>, public_key: &[u8; 32], client_keys: &[[u8; 32]]) -> Option<()> {
    let peer = approach.resolve().await?;
    let begun = approach.begin(Layer::Tunnel, 0, Some(peer));
    let mut fact = TunnelFact { protocol: ProtocolClass::Wireguard, ..TunnelFact::default() };
    begun.see(Fact::Tunnel(fact.clone()));
    let until = Instant::now() + approach.session.deadlines().tunnel;
    let ended = match approach.session.datagrams(peer, approach.purpose()).await {
        Ok(datagrams) => {
            let exchange = Exchange { datagrams: &datagrams, until };
            shake(&exchange, (public_key, client_keys), &mut fact).await
        }
        Err(failure) => Err(failure),
    };
    end_handshake(begun, fact, ended)
}

async fn shake(
    exchange: &Exchange<'_>,
    (public_key, client_keys): (&[u8; 32], &[[u8; 32]]),
    fact: &mut TunnelFact,
) -> Result<(), Failure> {
    // Agents begin with different keys, so that they rarely meet: a server passes over an initiation that is older than
    // the last one of the same key.
    let mut first = [0];
    rand::fill(&mut first).map_err(|_| Failure::unknown("no randomness"))?;
    let mut keys = client_keys.iter().cycle().skip(usize::from(first[0]) % client_keys.len().max(1));
    let mut sent: Vec<Initiation> = Vec::new();
    loop {
        let say = || {
            let initiation = keys.next().and_then(|key| Initiation::new(public_key, key, now()));
            let datagram = initiation.iter().map(|initiation| initiation.datagram.to_vec()).collect();
            sent.extend(initiation);
            datagram
        };
        let datagram = exchange.ask(fact, say).await?;
        match noise::read(&datagram) {
            Some(Answer::Response(response)) => {
                fact.note("handshake response");
                fact.stage = TunnelStage::FirstReply;
                let Some(initiation) = sent.iter().find(|one| one.is_answered_by(&response)) else {
                    return Err(Failure::TunnelInvalidReply);
                };
                if !initiation.is_completed_by(&response) {
                    return Err(Failure::TunnelWrongPeer);
                }
                fact.stage = TunnelStage::Complete;
                return Ok(());
            }
            Some(Answer::Cookie) => {
                fact.note("cookie reply");
                fact.stage = TunnelStage::FirstReply;
                exchange.rest().await;
            }
            None => return Err(Failure::TunnelInvalidReply),
        }
    }
}
