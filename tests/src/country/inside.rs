//! The first process of the country's namespaces: builds it, runs its parts, and takes it along when it ends.

use super::addresses::both;
use super::netns::{self, Layout, NetnsError};
use super::roles::{Role, RoleError, Running};
use super::scenario::{Provider, Scenario};
use super::timeline::{Part, orders};
use super::world::certificates::{AUTHORITY, AuthorityPem, CertificateError, LOCAL_AUTHORITY};
use super::world::dns::Zone;
use super::{blueprint, middlebox, resolver};
use faultline_model::Asn;
use std::collections::BTreeSet;
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
    /// The world's certificate authority cannot be made.
    #[error("making the world's certificate authority")]
    Authority(#[source] CertificateError),
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
    /// The certificate that everybody trusts for measured sites.
    pub roots: PathBuf,
    /// The certificates that machines within the country trust where an interceptor's authority was put on them.
    pub local_roots: PathBuf,
    authority: AuthorityPem,
    local: AuthorityPem,
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
        let made = |name| AuthorityPem::generate(name).map_err(InsideError::Authority);
        let (authority, local) = (made(AUTHORITY)?, made(LOCAL_AUTHORITY)?);
        let local_roots = dir.join("local-roots.pem");
        let parts = Vec::new();
        let mut country = Self { scenario, dir, roots, local_roots, authority, local, program, parts };
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

    /// Returns a command that runs a program among the sites outside the country.
    #[must_use]
    pub fn as_world(&self, program: &Path) -> Command {
        netns::command_with_resolver(netns::OUTSIDE, &self.resolv_conf(netns::OUTSIDE), program)
    }

    /// Returns the authority of the world's certificates.
    #[must_use]
    pub const fn authority(&self) -> &AuthorityPem {
        &self.authority
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
        let public = blueprint::resolver_addresses(&self.scenario).into_keys().next();
        let outside = public.map(|address| (netns::OUTSIDE.to_owned(), address));
        let own = self.scenario.providers.iter().map(|p| (netns::provider(p.asn), p.resolver));
        for (name, address) in own.chain(outside) {
            let path = self.resolv_conf(&name);
            let servers = both(address, self.scenario.six);
            let text: String = servers.iter().map(|address| format!("nameserver {address}\n")).collect();
            std::fs::write(&path, text).map_err(|e| InsideError::Write(path, e))?;
        }
        Ok(())
    }

    async fn start_parts(&mut self) -> Result<(), InsideError> {
        let zone = blueprint::zone(&self.scenario);
        self.start_outside().await?;
        for provider in self.scenario.providers.clone() {
            self.start_provider(&provider, &zone).await?;
        }
        let hosts = self.scenario.sites.iter().filter_map(|site| site.inside);
        for network in hosts.collect::<BTreeSet<Asn>>() {
            let config = blueprint::inside(&self.scenario, &self.authority, network);
            let (name, namespace) = (format!("sites in {network}"), netns::sites_in(&self.scenario, network));
            self.start(Part::Sites, &name, &namespace, &Role::World(Box::new(config))).await?;
        }
        for gateway in self.scenario.gateways.clone() {
            let part = Part::Gateway(gateway.asn);
            if !orders(&self.scenario, part, 0).is_empty() {
                let inside = self.scenario.domestic();
                let mut config = middlebox::Config::new(Default::default(), inside, self.seed(gateway.asn));
                config.outward_only = true;
                config.six = self.scenario.six;
                let (name, namespace) =
                    (format!("middlebox of {}", gateway.name), netns::gateway(gateway.asn));
                self.start(part, &name, &namespace, &Role::Middlebox(config)).await?;
            }
        }
        Ok(())
    }

    async fn start_outside(&mut self) -> Result<(), InsideError> {
        let config = blueprint::outside(&self.scenario, &self.authority, &self.local);
        self.start(Part::Sites, "world", netns::OUTSIDE, &Role::World(Box::new(config))).await?;
        let both = [self.authority.certificate.as_str(), &self.local.certificate].concat();
        for (path, text) in [(&self.roots, &self.authority.certificate), (&self.local_roots, &both)] {
            std::fs::write(path, text).map_err(|e| InsideError::Write(path.clone(), e))?;
        }
        if !orders(&self.scenario, Part::Sites, 0).is_empty() {
            let all = vec![super::addresses::Prefix::ALL];
            let mut config = middlebox::Config::new(Default::default(), all, self.scenario.seed);
            config.six = self.scenario.six;
            self.start(Part::Sites, "sites' middlebox", netns::OUTSIDE, &Role::Middlebox(config)).await?;
        }
        Ok(())
    }

    /// Puts a page where the coordinator would be, for people who look around without Faultline.
    ///
    /// # Errors
    /// Fails when it cannot be started.
    pub async fn stand_in_for_coordinator(&mut self) -> Result<(), InsideError> {
        let config = blueprint::stand_in(&self.scenario, &self.authority);
        self.start(Part::Sites, "coordinator's stand-in", netns::COORDINATOR, &Role::World(Box::new(config)))
            .await
    }

    async fn start_provider(&mut self, provider: &Provider, zone: &Zone) -> Result<(), InsideError> {
        let (part, namespace) = (Part::Provider(provider.asn), netns::provider(provider.asn));
        let config = resolver::Config { address: provider.resolver, zone: zone.clone() };
        let name = format!("resolver of {}", provider.name);
        self.start(part, &name, &namespace, &Role::Resolver(config)).await?;
        let mut config =
            middlebox::Config::new(provider.line, vec![provider.prefix], self.seed(provider.asn));
        config.near = vec![provider.resolver, provider.router];
        config.six = self.scenario.six;
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
