//! Second opinions on a name: what other resolvers say than the system's.

use super::steps::Begun;
use super::way::Path;
use crate::net::Purpose;
use crate::net::dns::{self, Heard, Patience};
use faultline_model::{Engine, Fact, Layer, ResolverSpec};
use futures_util::future::{OptionFuture, join4};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long second opinions may delay the report of a failure.
const BRIEF: Duration = Duration::from_millis(750);
/// How much longer a thorough check waits for them than its path takes.
const PATIENT: Duration = Duration::from_secs(2);
/// How long a thorough check listens for late and double answers: an injected answer wins its race by milliseconds,
/// the true one follows within one round trip.
const LINGER: Duration = Duration::from_millis(500);

/// The addresses that other resolvers gave, each with the way on which it came, the most trustworthy first.
pub(super) type Opinions = Vec<(Engine, IpAddr)>;

/// Who is asked, and how patiently.
#[derive(Clone, Copy, Debug)]
pub(super) struct Others<'a> {
    /// The list's public resolver.
    pub(super) resolver: Option<&'a ResolverSpec>,
    /// All ways are tried, and late answers waited for.
    pub(super) is_thorough: bool,
}

impl Path<'_> {
    /// Asks for second opinions on the name at which the path failed, as long as they may delay its report.
    pub(super) async fn ask_after_failure(&self, resolver: &ResolverSpec, host: &str, hop: u8) {
        let others = Others { resolver: Some(resolver), is_thorough: false };
        self.ask_beside(others, (host, hop), async {}).await;
    }

    /// Asks the others while something else is done, and somewhat longer. What is not answered then is a timeout.
    pub(super) async fn ask_beside<T>(
        &self,
        others: Others<'_>,
        (host, hop): (&str, u8),
        beside: impl Future<Output = T>,
    ) -> (Opinions, T) {
        let cut = CancellationToken::new();
        let mut opinions = pin!(self.ask_others(others, (host, hop), &cut));
        let mut beside = pin!(beside);
        let done = tokio::select! {
            biased;
            done = &mut beside => done,
            found = &mut opinions => return (found, beside.await),
        };
        let patience = if others.is_thorough { PATIENT } else { BRIEF };
        if let Ok(found) = tokio::time::timeout(patience, &mut opinions).await {
            return (found, done);
        }
        cut.cancel();
        (opinions.await, done)
    }

    async fn ask_others(
        &self,
        others: Others<'_>,
        (host, hop): (&str, u8),
        cut: &CancellationToken,
    ) -> Opinions {
        let deadline = self.session.deadlines().dns;
        let linger = if others.is_thorough { LINGER } else { Duration::ZERO };
        let patience = Patience { deadline, linger, cut: cut.clone() };
        let begin = |engine, peer| self.steps.start(Layer::Dns, engine, hop, peer);
        let until_cut = async |asked: &mut (dyn Future<Output = Heard> + Send + Unpin)| {
            cut.run_until_cancelled(asked).await.unwrap_or_else(|| Heard::given_up(host))
        };
        let udp = others.resolver.map(async |resolver: &ResolverSpec| {
            let begun = begin(Engine::Udp, Some(resolver.udp));
            let purpose = Purpose::PublicResolver;
            record(begun, dns::resolve_udp(self.session, resolver.udp, purpose, host, &patience).await)
        });
        let doh = others.resolver.map(async |resolver: &ResolverSpec| {
            let begun = begin(Engine::Doh, Some(resolver.doh_address));
            let asked = pin!(dns::resolve_doh(self.session, resolver, host, deadline));
            record(begun, until_cut(&mut { asked }).await)
        });
        let thorough = others.resolver.filter(|_| others.is_thorough);
        let dot = thorough.and_then(|resolver| Some((resolver, resolver.dot?)));
        let dot = dot.map(async |(resolver, address): (&ResolverSpec, SocketAddr)| {
            let begun = begin(Engine::Dot, Some(address));
            let asked = pin!(dns::resolve_dot(self.session, (resolver, address), host, deadline));
            record(begun, until_cut(&mut { asked }).await)
        });
        let provider = dns::provider(self.session).filter(|_| others.is_thorough);
        let provider = provider.map(async |server: SocketAddr| {
            // No peer is named: the address can point to the volunteer's home.
            let begun = begin(Engine::Isp, None);
            let purpose = Purpose::SystemResolver;
            record(begun, dns::resolve_udp(self.session, server, purpose, host, &patience).await)
        });
        let (udp, doh, dot, _) = join4(
            OptionFuture::from(udp),
            OptionFuture::from(doh),
            OptionFuture::from(dot),
            OptionFuture::from(provider),
        )
        .await;
        let of = |engine, found: Option<Vec<IpAddr>>| {
            found.unwrap_or_default().into_iter().map(move |address| (engine, address))
        };
        of(Engine::Doh, doh).chain(of(Engine::Dot, dot)).chain(of(Engine::Udp, udp)).collect()
    }
}

/// Records an answer and returns its addresses.
fn record(begun: Begun<'_>, heard: Heard) -> Vec<IpAddr> {
    let addresses = heard.fact.addresses.clone();
    begun.end(heard.failure, Fact::Dns(heard.fact));
    addresses
}
