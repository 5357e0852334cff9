//! A proxy that nobody asked for: it passes connections on to the site that their first bytes name, untouched.

use super::dns::{Answer, Zone};
use super::{Config, Serves};
use crate::country::addresses::four;
use crate::country::middlebox::hello::{self, Hello};
use crate::country::middlebox::request;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const FIRST_BYTES: usize = 16 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);
/// How often first bytes that are not whole yet are looked at again.
const LOOK: Duration = Duration::from_millis(5);

/// The addresses at which proxies stand, and whom they know.
pub(super) struct Proxies {
    at: BTreeSet<Ipv4Addr>,
    zone: Zone,
}

impl Proxies {
    pub(super) fn of(config: &Config) -> Self {
        let at = config.sites.values().filter(|site| site.serves == Serves::Proxy).map(|site| site.address);
        Self { at: at.collect(), zone: config.zone.clone() }
    }
}

/// Passes a connection on if it came to a proxy, and serves it otherwise.
pub(super) async fn or<F: Future<Output = ()>>(
    proxies: std::sync::Arc<Proxies>,
    mut tcp: TcpStream,
    serve: impl FnOnce(TcpStream) -> F,
) {
    let Ok(own) = tcp.local_addr() else { return };
    if !four(own.ip()).is_some_and(|address| proxies.at.contains(&address)) {
        return serve(tcp).await;
    }
    let Ok(Some(name)) = timeout(PATIENCE, name(&tcp)).await else { return };
    let (Answer::Address(address) | Answer::Both(address)) = proxies.zone.answer(&name) else { return };
    if let Ok(mut site) = TcpStream::connect((address, own.port())).await {
        // Either end may go away at any time.
        let _ = copy_bidirectional(&mut tcp, &mut site).await;
    }
}

/// Reads the name in the first bytes, without taking them.
async fn name(tcp: &TcpStream) -> Option<String> {
    let mut first = vec![0; FIRST_BYTES];
    loop {
        let length = tcp.peek(&mut first).await.ok()?;
        let bytes = &first[..length];
        let is_clear = bytes.first()?.is_ascii_uppercase();
        match if is_clear { request::read(bytes) } else { hello::read(bytes) } {
            Hello::Names(name) => return Some(name),
            Hello::Nameless => return None,
            Hello::Incomplete => sleep(LOOK).await,
        }
    }
}
