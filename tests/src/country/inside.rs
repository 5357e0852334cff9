//! The first process of the country's namespaces: builds it, runs its parts, and takes it along when it ends.

use super::netns::{self, Layout, NetnsError};
use super::roles::{Role, RoleError, Running};
use super::scenario::{Provider, Scenario};
use super::timeline::{Part, orders};
use super::world::dns::Zone;
use super::{middlebox, resolver, world};
use faultline_model::Asn;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The country's private folder; it lies in memory and vanishes with the namespaces.
const DIR: &str = "/run/country";

/// Why there is no country.
#[derive(Debug, thiserror::Error)]
pub enum InsideError {
    /// A private file system cannot be mounted.
    #[error("mounting a private {0}: {1}")]
    Mount(&'static str, String),
    /// A file of the country cannot be written.
    #[error("writing {}", .0.display())]
    Write(PathBuf, #[source] std::io::Error),
    /// The namespaces cannot be laid out.
    #[error("laying out the country")]
    Layout(#[source] NetnsError),
    /// A part does not run.
    #[error("starting the country's parts")]
    Part(#[source] RoleError),
    /// A part ended while the country was in use.
    #[error("the {0} has ended")]
    Ended(String),
}

/// A country that runs.
pub struct Country {
    /// What it was made from.
    pub scenario: Scenario,
    /// Its private folder.
    pub dir: PathBuf,
    /// The certificate that everybody in it trusts for measured sites.
    pub roots: PathBuf,
    program: PathBuf,
    parts: Vec<(Part, Running)>,
}

impl Country {
    /// Builds the country within this process's namespaces; `program` is the `country` binary.
    ///
    /// # Errors
    /// Says what could not be made or started.
    pub async fn build(scenario: Scenario, program: PathBuf) -> Result<Self, InsideError> {
        private_file_systems().await?;
        let dir = PathBuf::from(DIR);
        let roots = dir.join("roots.pem");
        std::fs::create_dir_all(&dir).map_err(|e| InsideError::Write(dir.clone(), e))?;
        Layout::plan(&scenario).build().await.map_err(InsideError::Layout)?;
        let mut country = Self { scenario, dir, roots, program, parts: Vec::new() };
        country.resolver_configurations()?;
        country.start_parts().await?;
        Ok(country)
    }

    /// Gives every part its orders; the timeline starts at this moment of the machine's clock.
    ///
    /// # Errors
    /// Fails when a part is gone.
    pub async fn start_timeline(&mut self, start_ms: i64) -> Result<(), InsideError> {
        for (part, running) in &mut self.parts {
            let orders = orders(&self.scenario, *part, start_ms);
            running.order(&orders).await.map_err(InsideError::Part)?;
        }
        Ok(())
    }

    /// Fails when a part has ended, for then nothing that is measured means anything.
    ///
    /// # Errors
    /// Names the part.
    pub fn check_parts(&mut self) -> Result<(), InsideError> {
        let ended = self.parts.iter_mut().find_map(|(_, running)| running.has_ended());
        ended.map_or(Ok(()), |name| Err(InsideError::Ended(name.to_owned())))
    }

    /// Returns a command that runs a program as a provider's subscriber: agents from 1, 0 for shells.
    #[must_use]
    pub fn as_subscriber(&self, asn: Asn, number: usize, program: &Path) -> Command {
        netns::command_with_resolver(
            &netns::agent(asn, number),
            &self.resolv_conf(&netns::provider(asn)),
            program,
        )
    }

    /// Returns a command that runs a program as a control; they are counted from 1.
    #[must_use]
    pub fn as_control(&self, number: usize, program: &Path) -> Command {
        netns::command_with_resolver(&netns::control(number), &self.resolv_conf(netns::OUTSIDE), program)
    }

    /// Returns a command that runs a program where the coordinator is.
    #[must_use]
    pub fn as_coordinator(&self, program: &Path) -> Command {
        netns::command_with_resolver(netns::COORDINATOR, &self.resolv_conf(netns::OUTSIDE), program)
    }

    /// Returns the `country` binary.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    fn resolv_conf(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.resolv.conf"))
    }

    /// Writes one resolver configuration per provider, and one for everybody outside.
    fn resolver_configurations(&self) -> Result<(), InsideError> {
        let public = resolver_addresses(&self.scenario).first().copied();
        let outside = public.map(|address| (netns::OUTSIDE.to_owned(), address));
        let own = self.scenario.providers.iter().map(|p| (netns::provider(p.asn), p.resolver));
        for (name, address) in own.chain(outside) {
            let path = self.resolv_conf(&name);
            std::fs::write(&path, format!("nameserver {address}\n"))
                .map_err(|e| InsideError::Write(path, e))?;
        }
        Ok(())
    }

    async fn start_parts(&mut self) -> Result<(), InsideError> {
        let zone = zone(&self.scenario);
        self.start_world(&zone).await?;
        for provider in self.scenario.providers.clone() {
            self.start_provider(&provider, &zone).await?;
        }
        let inside: Vec<_> = self.scenario.providers.iter().map(|p| p.prefix).collect();
        for gateway in self.scenario.gateways.clone() {
            if !orders(&self.scenario, Part::Gateway(gateway.asn), 0).is_empty() {
                let mut config =
                    middlebox::Config::new(Default::default(), inside.clone(), self.seed(gateway.asn));
                config.outward_only = true;
                let (name, namespace) =
                    (format!("middlebox of {}", gateway.name), netns::gateway(gateway.asn));
                let part = Part::Gateway(gateway.asn);
                self.start(part, &name, &namespace, &Role::Middlebox(config)).await?;
            }
        }
        Ok(())
    }

    async fn start_world(&mut self, zone: &Zone) -> Result<(), InsideError> {
        let resolvers = &self.scenario.list.resolvers;
        let config = world::Config {
            contents: self.scenario.sites.iter().map(|s| (s.host.clone(), s.content.clone())).collect(),
            resolver_hosts: resolvers
                .iter()
                .filter_map(|r| r.doh_url.host_str())
                .map(str::to_owned)
                .collect(),
            resolver_addresses: resolver_addresses(&self.scenario),
            zone: zone.clone(),
        };
        self.start(Part::Sites, "world", netns::OUTSIDE, &Role::World(config)).await?;
        let authority = self.parts.last().and_then(|(_, running)| running.ready.authority_pem.clone());
        std::fs::write(&self.roots, authority.unwrap_or_default())
            .map_err(|e| InsideError::Write(self.roots.clone(), e))?;
        if !orders(&self.scenario, Part::Sites, 0).is_empty() {
            let all = vec![super::addresses::Prefix::ALL];
            let config = middlebox::Config::new(Default::default(), all, self.scenario.seed);
            self.start(Part::Sites, "sites' middlebox", netns::OUTSIDE, &Role::Middlebox(config)).await?;
        }
        Ok(())
    }

    async fn start_provider(&mut self, provider: &Provider, zone: &Zone) -> Result<(), InsideError> {
        let (part, namespace) = (Part::Provider(provider.asn), netns::provider(provider.asn));
        let config = resolver::Config { address: provider.resolver, zone: zone.clone() };
        let name = format!("resolver of {}", provider.name);
        self.start(part, &name, &namespace, &Role::Resolver(config)).await?;
        let mut config =
            middlebox::Config::new(provider.line, vec![provider.prefix], self.seed(provider.asn));
        config.near = vec![provider.resolver, provider.router];
        let name = format!("middlebox of {}", provider.name);
        self.start(part, &name, &namespace, &Role::Middlebox(config)).await
    }

    async fn start(
        &mut self,
        part: Part,
        name: &str,
        namespace: &str,
        role: &Role,
    ) -> Result<(), InsideError> {
        let mut command = netns::command(namespace, &self.program);
        command.arg("role");
        let running = Running::start(name, command, role).await.map_err(InsideError::Part)?;
        self.parts.push((part, running));
        Ok(())
    }

    fn seed(&self, asn: Asn) -> u64 {
        self.scenario.seed.wrapping_mul(1_000_003).wrapping_add(asn.get().into())
    }
}

fn resolver_addresses(scenario: &Scenario) -> BTreeSet<Ipv4Addr> {
    let addresses = scenario.list.resolvers.iter().map(|resolver| resolver.udp.ip());
    addresses.filter_map(|a| if let IpAddr::V4(address) = a { Some(address) } else { None }).collect()
}

fn zone(scenario: &Scenario) -> Zone {
    let mut names: BTreeMap<String, Ipv4Addr> = BTreeMap::new();
    for resolver in &scenario.list.resolvers {
        if let (Some(host), IpAddr::V4(address)) = (resolver.doh_url.host_str(), resolver.doh_address.ip()) {
            names.insert(host.to_owned(), address);
        }
    }
    names.extend(scenario.sites.iter().map(|site| (site.host.clone(), site.address)));
    Zone(names)
}

/// Covers `/run` by memory of our own, so that names of namespaces and files are nobody else's, and shows the
/// processes of these namespaces only.
async fn private_file_systems() -> Result<(), InsideError> {
    // The resolver configuration is often a link into /run; it is read before /run is covered.
    let link = std::fs::canonicalize("/etc/resolv.conf").ok().filter(|target| target.starts_with("/run"));
    mount(&["-t", "tmpfs", "-o", "mode=755", "country", "/run"])
        .await
        .map_err(|e| InsideError::Mount("/run", e))?;
    // Without it only tools that list processes show foreign numbers.
    let _ = mount(&["-t", "proc", "proc", "/proc"]).await;
    if let Some(target) = link {
        let parent = target.parent().unwrap_or(Path::new("/run"));
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&target, ""))
            .map_err(|e| InsideError::Write(target.clone(), e))?;
    }
    Ok(())
}

async fn mount(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("mount").args(arguments).output().await.map_err(|e| e.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}
