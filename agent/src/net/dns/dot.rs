//! A public resolver over TLS (RFC 7858), at its known address and under the name of its URL.

use super::Heard;
use super::message::{Question, Reply};
use super::stream::exchange;
use crate::net::{Purpose, Session, tls};
use faultline_model::{Failure, ResolverSpec};
use hickory_proto::rr::RecordType;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

/// Asks for a name's IPv4 addresses within a deadline. The failure may also be one on the way to the resolver.
pub async fn resolve(
    session: &Session,
    (resolver, address): (&ResolverSpec, SocketAddr),
    host: &str,
    deadline: Duration,
) -> Heard {
    let ask = ask(session, (resolver, address), host);
    timeout(deadline, ask).await.unwrap_or(Err(Failure::Timeout)).unwrap_or_else(Reply::failed).heard(host)
}

async fn ask(
    session: &Session,
    (resolver, address): (&ResolverSpec, SocketAddr),
    host: &str,
) -> Result<Reply, Failure> {
    let url = Url::parse(&resolver.doh_url).map_err(|_| Failure::DnsMisbehaving)?;
    let name = url.host_str().ok_or(Failure::DnsMisbehaving)?;
    let question = Question::new(host, RecordType::A, rand::random())?.wanting_proof();
    let stream = session.connect(address, Purpose::PublicResolver).await?;
    // Resolvers that serve this port speak nothing else there, so no protocol needs to be agreed on.
    let (_, shaken) = tls::handshake_without_alpn(session, stream, name).await;
    exchange(&mut shaken?, &question).await
}
