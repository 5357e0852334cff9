//! One retry: the steps of a way on which one thing is changed.

use super::super::page;
use super::super::way::Path;
use crate::net::http::{Ask, exchange};
use crate::net::{Metered, Purpose, quic, tls};
use faultline_model::{Depth, Engine, Fact, HttpFact, Layer, QuicFact, TlsFact, Variant};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use url::Url;

/// What is changed, and where the way leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retry {
    pub(super) variant: Variant,
    pub(super) peer: SocketAddr,
}

/// Makes retries.
pub(super) struct Retries<'a> {
    pub(super) path: Path<'a>,
    pub(super) url: &'a Url,
    pub(super) host: &'a str,
    pub(super) innocent: &'a str,
}

impl Retries<'_> {
    /// Makes one retry and records its steps.
    pub(super) async fn go(&self, retry: Retry) {
        match retry.variant {
            Variant::Http3 => self.over_quic(retry).await,
            _ if self.url.scheme() == "https" => self.over_tls(retry).await,
            _ => self.over_http(retry).await,
        }
    }

    /// Connects; the step's fact says what is to be said on the connection.
    async fn connect(&self, retry: Retry, planned: Fact) -> Option<Metered<TcpStream>> {
        let begun = self.path.steps.start(Layer::Tcp, Engine::Retry, 0, Some(retry.peer));
        begun.see(planned.clone());
        let connected = self.path.session.connect(retry.peer, Purpose::Site).await;
        begun.end(connected.as_ref().err().cloned(), planned);
        connected.ok()
    }

    async fn over_tls(&self, retry: Retry) {
        let name = if retry.variant == Variant::InnocentSni { self.innocent } else { self.host };
        let variant = Some(retry.variant);
        let planned = TlsFact { server_name: name.to_owned(), variant, ..TlsFact::default() };
        let Some(mut stream) = self.connect(retry, Fact::Tls(planned.clone())).await else { return };
        if retry.variant == Variant::SplitHello {
            stream.cut_within(name);
        }
        let begun = self.path.steps.start(Layer::Tls, Engine::Retry, 0, Some(retry.peer));
        begun.see(Fact::Tls(planned));
        let (fact, shaken) = tls::handshake(self.path.session, stream, name).await;
        begun.end(shaken.err(), Fact::Tls(TlsFact { variant, ..fact }));
    }

    async fn over_http(&self, retry: Retry) {
        let variant = Some(retry.variant);
        let mut asked = self.url.clone();
        let mut host = String::new();
        if retry.variant == Variant::InnocentHost && asked.set_host(Some(self.innocent)).is_ok() {
            self.innocent.clone_into(&mut host);
        }
        let planned = HttpFact { url: self.url.to_string(), host, variant, ..HttpFact::default() };
        let Some(stream) = self.connect(retry, Fact::Http(planned.clone())).await else { return };
        let begun = self.path.steps.start(Layer::Http, Engine::Retry, 0, Some(retry.peer));
        begun.see(Fact::Http(planned.clone()));
        let (ending, deadline) = (stream.ending(), self.path.session.deadlines().http);
        let ask = Ask::page(&asked, page::body_limit(Depth::Full, &asked));
        let (mut reply, ended) = exchange(stream, (false, &ending), ask, deadline).await;
        reply.scrub_body(&self.path.session.scrubber());
        let fact = page::fact(self.url, &reply);
        begun.end(ended.err(), Fact::Http(HttpFact { host: planned.host, variant, ..fact }));
    }

    async fn over_quic(&self, retry: Retry) {
        let begun = self.path.steps.start(Layer::Quic, Engine::Retry, 0, Some(retry.peer));
        begun.see(Fact::Quic(QuicFact { server_name: self.host.to_owned(), ..QuicFact::default() }));
        let window = u32::try_from(page::body_limit(Depth::Full, self.url)).unwrap_or(u32::MAX);
        let (fact, shaken) = quic::handshake(self.path.session, retry.peer, self.host, window).await;
        begun.end(shaken.as_ref().err().cloned(), Fact::Quic(fact));
        if let Ok(connection) = shaken {
            connection.close().await;
        }
    }
}
