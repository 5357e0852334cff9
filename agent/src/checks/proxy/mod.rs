//! `proxy`: a SOCKS5 proxy, or one behind TLS that understands CONNECT, and a TLS handshake with a host through it.
//!
//! The host that is asked for is the one that the list names as `to`, on port 443. Its certificate is verified, so a
//! passed check means that the proxy reached the real host. Nothing is sent within that last handshake's connection.

mod dialogue;

use super::tunnel::{self, Approach, end_handshake, end_tls};
use super::{Check, Job, NotRun, Outcome};
use crate::net::{Ending, Greeting, Net, greet};
use faultline_model::{Fact, Failure, Layer, ProtocolClass, Transport, Tunnel, TunnelFact};
use futures_util::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// The `proxy` check.
#[derive(Debug)]
pub struct ProxyCheck {
    net: Arc<Net>,
}

impl ProxyCheck {
    /// Makes the check over a network.
    #[must_use]
    pub const fn new(net: Arc<Net>) -> Self {
        Self { net }
    }
}

impl Check for ProxyCheck {
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, NotRun>> {
        Box::pin(async move {
            tunnel::run(&self.net, &job, |session, steps, endpoint| async move {
                let approach = Approach::new(&session, &steps, &endpoint);
                match &endpoint.tunnel {
                    Tunnel::Socks5(to) => Ok(socks5(&approach, to).await),
                    Tunnel::HttpsProxy(to) => Ok(https(&approach, to).await),
                    _ => Err(NotRun::NotApplicable),
                }
            })
            .await
        })
    }
}

async fn socks5(approach: &Approach<'_>, to: &str) -> Option<()> {
    let peer = approach.resolve().await?;
    let stream = approach.connect(peer).await?;
    let ending = stream.ending();
    Through { approach, class: ProtocolClass::Socks5, to, peer, ending }.go(stream).await
}

async fn https(approach: &Approach<'_>, to: &str) -> Option<()> {
    let peer = approach.resolve().await?;
    let stream = approach.connect(peer).await?;
    let ending = stream.ending();
    let begun = approach.begin(Layer::Tls, 0, Some(peer));
    let greeting = Greeting { name: &approach.endpoint.host, alpn: &["http/1.1"], is_verified: true };
    let (fact, shaken) = greet(approach.session, stream, greeting).await;
    let stream = end_tls(begun, fact, shaken)?;
    Through { approach, class: ProtocolClass::HttpsProxy, to, peer, ending }.go(stream).await
}

/// The way through a proxy that is connected to.
struct Through<'a> {
    approach: &'a Approach<'a>,
    class: ProtocolClass,
    to: &'a str,
    peer: SocketAddr,
    ending: Ending,
}

impl Through<'_> {
    async fn go<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) -> Option<()> {
        let begun = self.approach.begin(Layer::Tunnel, 0, Some(self.peer));
        let mut fact =
            TunnelFact { protocol: self.class, transport: Transport::Tcp, ..TunnelFact::default() };
        begun.see(Fact::Tunnel(fact.clone()));
        let until = Instant::now() + self.approach.session.deadlines().tunnel;
        let ended = match self.class {
            ProtocolClass::Socks5 => {
                dialogue::socks5(&mut stream, self.to, (&mut fact, until), &self.ending).await
            }
            _ => dialogue::connect(&mut stream, self.to, (&mut fact, until), &self.ending).await,
        };
        end_handshake(begun, fact, ended)?;

        let begun = self.approach.begin(Layer::Tls, 1, None);
        let greeting = Greeting { name: self.to, alpn: &["h2", "http/1.1"], is_verified: true };
        let (fact, shaken) = greet(self.approach.session, stream, greeting).await;
        // An error of the inner handshake tells less than the connection that carried it.
        let shaken = shaken.map_err(|failure| match failure {
            Failure::Eof | Failure::ConnectionReset => self.ending.failure().unwrap_or(failure),
            other => other,
        });
        end_tls(begun, fact, shaken).map(|_| ())
    }
}
