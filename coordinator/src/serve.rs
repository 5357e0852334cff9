//! `serve`: puts everything together, binds, says that it is ready, and runs until it is asked to stop.

use crate::api::{self, Door};
use crate::config::{Settings, host_of};
use crate::coordinator::{Coordinator, Parts};
use crate::countries::Countries;
use crate::fleet::Fleet;
use crate::lists::Lists;
use crate::publish::{self, Shelf};
use crate::store::sqlite::{SqliteStore, StoreEnd};
use crate::store::{Registry, StoreError};
use crate::{pipeline, planner, retention};
use anyhow::Context;
use faultline_runtime::tls::{CertificateAuthority, Identity, PeerIdentity, PeerRole, server_config};
use faultline_runtime::{Supervisor, create_private_dir, read_bounded, write_private};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Everything in flight ends within this time after a signal.
const GRACE: Duration = Duration::from_millis(4500);
const MAX_CREDENTIAL_BYTES: u64 = 64 * 1024;

/// The first operator's credential, as it is kept in `operator.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Credential {
    /// Where the coordinator is, as `host:port`; tried in this order.
    addresses: Vec<String>,
    /// The coordinator's authority, which the operator's programs pin.
    ca_pem: String,
    /// The client certificate and its key.
    identity: Identity,
}

/// Runs a coordinator. `ready` is called once, with the addresses that are listened on.
///
/// # Errors
/// Says what could not be made, opened or bound, or which service failed.
pub async fn serve(settings: Settings, ready: impl FnOnce(SocketAddr, SocketAddr)) -> anyhow::Result<()> {
    create_private_dir(&settings.data).context("the data directory cannot be used")?;
    let _lock = lock(&settings.data)?;
    let authority = CertificateAuthority::open(&settings.data)?;
    let (store, store_end) = SqliteStore::open(&settings.data.join("faultline.sqlite"))?;
    let listener = bind(settings.listen, "listen").await?;
    let web_listener = bind(settings.http, "http").await?;
    let (listen, http) = (listener.local_addr()?, web_listener.local_addr()?);
    let addresses = advertised(&settings.advertise, listen);
    let tls = server_config(authority.certificate(), &authority.server_identity(&server_names(&addresses))?)?;
    write_credential(&settings.data, &authority, &operator_addresses(&addresses, listen))?;

    if let Some(networks) = &settings.networks {
        tracing::info!(ranges = networks.len(), "the network table is loaded");
    }
    let mut supervisor = Supervisor::new();
    let stop = supervisor.stop_token();
    let networks = settings.networks.map(Arc::new);
    let (door, post) = Door::new(listener, tls, networks.clone(), stop.clone());
    let coordinator = Coordinator::new(Parts {
        fleet: Fleet::new(store.agents().await?),
        lists: Lists::load(&store).await?,
        registry: Arc::new(store.clone()),
        archive: Arc::new(store),
        countries: Countries::new(settings.profiles),
        baseline: settings.baseline,
        networks,
        fingerprints: settings.fingerprints,
        authority,
        addresses,
        shelf: Shelf::open(settings.data.join("archive"))?,
        stop: stop.clone(),
    });
    let pipeline = pipeline::Pipeline::resume(Arc::clone(&coordinator)).await?;
    supervisor.start("store", watch_store(store_end, stop));
    supervisor.start("planner", planner::run(Arc::clone(&coordinator)));
    supervisor.start("pipeline", pipeline.run());
    supervisor.start("presence", retention::run_presence(Arc::clone(&coordinator)));
    supervisor.start("publication", publish::run_publication(Arc::clone(&coordinator)));
    supervisor.start("retention", retention::run_retention(Arc::clone(&coordinator), settings.retention));
    supervisor.start("web", api::serve_web(Arc::clone(&coordinator), web_listener));
    supervisor.start("door", post.serve());
    supervisor.start("grpc", api::serve_grpc(coordinator, door));
    tracing::info!(%listen, %http, "listening");
    ready(listen, http);
    supervisor.run(GRACE).await.map_err(anyhow::Error::msg)
}

/// One data directory has one coordinator at a time.
fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            anyhow::bail!("another coordinator uses {}; stop it, or use another --data", data.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

async fn bind(address: SocketAddr, key: &'static str) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| {
        format!("{key}: cannot listen on {address}; is it in use? Port 0 takes any free one")
    })
}

/// Where agents reach us: what operators say, else this machine itself.
fn advertised(configured: &[String], listen: SocketAddr) -> Vec<String> {
    if configured.is_empty() {
        return vec![format!("127.0.0.1:{}", listen.port()), format!("localhost:{}", listen.port())];
    }
    configured.to_vec()
}

/// Operators often work on the coordinator's own machine, which may not reach the addresses that agents use.
fn operator_addresses(advertised: &[String], listen: SocketAddr) -> Vec<String> {
    let mut addresses = advertised.to_vec();
    let own = format!("127.0.0.1:{}", listen.port());
    if !addresses.contains(&own) && (listen.ip().is_unspecified() || listen.ip().is_loopback()) {
        addresses.push(own);
    }
    addresses
}

fn server_names(addresses: &[String]) -> Vec<String> {
    let mut names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    names.extend(addresses.iter().filter_map(|address| host_of(address).ok()));
    names.sort();
    names.dedup();
    names
}

/// Writes the first operator's credential on the first start, and keeps its addresses true afterwards.
fn write_credential(
    data: &Path,
    authority: &CertificateAuthority,
    addresses: &[String],
) -> anyhow::Result<()> {
    let path = data.join("operator.json");
    let is_first = !path.exists();
    let credential = if is_first {
        let peer = PeerIdentity { role: PeerRole::Operator, name: "operator".to_owned() };
        let identity = authority.client_identity(&peer)?;
        Credential { addresses: addresses.to_vec(), ca_pem: to_pem(authority.certificate()), identity }
    } else {
        let bytes = read_bounded(&path, MAX_CREDENTIAL_BYTES)?;
        let held: Credential = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is damaged; move it away to get a new one", path.display()))?;
        if held.addresses == addresses {
            return Ok(());
        }
        Credential { addresses: addresses.to_vec(), ..held }
    };
    write_private(&path, &serde_json::to_vec_pretty(&credential)?)?;
    if is_first {
        tracing::info!(path = %path.display(), "wrote the first operator's credential; keep it secret");
    }
    Ok(())
}

fn to_pem(certificate: &CertificateDer<'_>) -> String {
    let body = data_encoding::BASE64.encode(certificate);
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Ends the program in order if the store's thread ends before its time.
async fn watch_store(end: StoreEnd, stop: tokio_util::sync::CancellationToken) -> Result<(), StoreError> {
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        _ = end => Err(StoreError::Closed),
    }
}
