//! The measured servers, in a process of their own: sites, a resolver, DNS over HTTPS.

use super::program;
use anyhow::{Context, Result, ensure};
use faultline_tests::country::scenario::{Certificate, Content, Serves};
use faultline_tests::country::timeline::Standing;
use faultline_tests::country::world::certificates::AuthorityPem;
use faultline_tests::country::world::dns::Zone;
use faultline_tests::country::world::{Config, Served, World};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

/// The argument that makes this program the servers.
pub(super) const ROLE: &str = "servers";
/// The address at which nothing answers once the run has said so.
pub(super) const SILENT: &str = "127.0.0.9";
/// How many sites there are.
const SITES: usize = 256;

const RESOLVER_HOST: &str = "dns.example";

/// Returns a site's name.
pub(super) fn site(number: usize) -> String {
    format!("site-{}.example", number % SITES)
}

/// The name of the site that falls silent.
pub(super) const SILENT_SITE: &str = "silent.example";

/// The servers; they end with the value.
pub(super) struct Servers(Child);

impl Drop for Servers {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing left to do then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the servers stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// All sites.
    pub(super) sites: Ipv4Addr,
    /// The resolver.
    pub(super) resolver: Ipv4Addr,
}

/// Starts the servers on loopback.
pub(super) fn start(folder: &Path) -> Result<Servers> {
    start_at(folder, Place { sites: Ipv4Addr::new(127, 0, 1, 1), resolver: Ipv4Addr::LOCALHOST })
}

/// Starts the servers and waits until they serve; their authority's certificate is `roots.pem` in the folder.
pub(super) fn start_at(folder: &Path, place: Place) -> Result<Servers> {
    let authority = AuthorityPem::generate("Benchmark CA")?;
    fs::write(folder.join("roots.pem"), &authority.certificate).context("writing the roots")?;
    let sites = (0..SITES).map(|number| (site(number), place.sites));
    let silent = (SILENT_SITE.to_owned(), SILENT.parse().context("an address")?);
    let is_local = place.sites.is_loopback();
    let names: BTreeMap<String, Ipv4Addr> = sites.chain(is_local.then_some(silent)).collect();
    let config = Config {
        authority,
        sites: names.iter().map(|(host, address)| (host.clone(), served(*address))).collect(),
        resolver_hosts: BTreeMap::from([(RESOLVER_HOST.to_owned(), place.resolver)]),
        resolver_addresses: BTreeMap::from([(place.resolver, RESOLVER_HOST.to_owned())]),
        zone: Zone { names, odd: BTreeMap::new(), six: false },
        local: None,
        country: vec![],
    };
    fs::write(folder.join("servers.json"), serde_json::to_vec(&config)?)
        .context("writing the servers' orders")?;
    let mut child = Command::new(program()?);
    child.arg(ROLE).arg(folder.join("servers.json")).stdout(Stdio::piped());
    let mut child = child.spawn().context("starting the servers")?;
    let mut line = String::new();
    let out = child.stdout.take().context("the servers' output")?;
    BufReader::new(out).read_line(&mut line).context("waiting for the servers")?;
    ensure!(line == "ready\n", "the servers did not start");
    Ok(Servers(child))
}

fn served(address: Ipv4Addr) -> Served {
    let content = Content::Page { title: "A page".into(), body: None, short: false };
    let (serves, certificate) = (Serves::default(), Certificate::default());
    Served { address, content, clear: false, challenge: false, serves, certificate }
}

/// Serves until it is killed.
pub(super) fn serve() -> Result<ExitCode> {
    let path = std::env::args().nth(2).context("the servers need their orders")?;
    let config = serde_json::from_slice(&fs::read(path).context("reading the orders")?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let world = World::open(config, Standing::default()).await?;
        println!("ready");
        world.serve().await
    })?;
    Ok(ExitCode::SUCCESS)
}
