//! Namespaces, links, addresses and routes: the country's cables.
//!
//! [`Layout::plan`] is pure and says what there shall be; [`Layout::build`] lets `ip` and `iptables` make it. All
//! of it lives in the namespaces of the process that calls it and vanishes with them. Every host is a namespace:
//! `outside` with everything that is not in the country, one per gateway, provider, agent and control, and one for
//! the coordinator. Providers with several gateways spread the world's addresses over them.

use super::scenario::{Provider, Scenario, Who};
use super::truth::upstream_for;
use faultline_model::Asn;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Output, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The namespace of everything outside the country.
pub const OUTSIDE: &str = "outside";
/// The coordinator's namespace.
pub const COORDINATOR: &str = "coordinator";
/// The address of the outside's router.
const BACKBONE: Ipv4Addr = Ipv4Addr::new(119, 159, 250, 1);

/// Why the country could not be built.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// A tool is missing.
    #[error("running {0}; it is part of Debian's packages iproute2, iptables and util-linux")]
    Tool(&'static str, #[source] std::io::Error),
    /// A tool refused.
    #[error("{tool} in namespace {namespace} says: {message}")]
    Refused {
        /// The tool.
        tool: &'static str,
        /// Where it ran.
        namespace: String,
        /// What it said.
        message: String,
    },
}

/// Returns a provider's namespace.
#[must_use]
pub fn provider(asn: Asn) -> String {
    format!("p{}", asn.get())
}

/// Returns a gateway's namespace.
#[must_use]
pub fn gateway(asn: Asn) -> String {
    format!("g{}", asn.get())
}

/// Returns the namespace of a provider's agent; they are counted from 1, and 0 is the host for shells.
#[must_use]
pub fn agent(asn: Asn, number: usize) -> String {
    format!("p{}a{number}", asn.get())
}

/// Returns a control's namespace; they are counted from 1.
#[must_use]
pub fn control(number: usize) -> String {
    format!("control{number}")
}

/// What there shall be.
#[derive(Debug, Default)]
pub struct Layout {
    /// Links between two namespaces: where and under which name, twice.
    links: Vec<[(String, String); 2]>,
    /// Lines for `ip -batch` per namespace.
    lines: BTreeMap<String, Vec<String>>,
    /// Namespaces that pass packets on.
    routers: BTreeSet<String>,
    /// Rules for the packet filter: a namespace and what is queued.
    queues: Vec<(String, Vec<String>)>,
}

impl Layout {
    /// Says what a scenario's country consists of.
    #[must_use]
    pub fn plan(scenario: &Scenario) -> Self {
        let mut layout = Self::default();
        layout.outside(scenario);
        for gateway in &scenario.gateways {
            let name = self::gateway(gateway.asn);
            layout.routers.insert(name.clone());
            layout.link(OUTSIDE, &name, &name, "out");
            layout.line(&name, format!("addr add {}/32 dev lo", gateway.router));
            layout.line(OUTSIDE, format!("route add {} dev {name}", gateway.router));
            layout.way_out(&name, "out", BACKBONE);
            if scenario.rules.iter().any(|rule| rule.who == Who::Gateway(gateway.asn)) {
                layout.queue(&name, &["FORWARD"]);
            }
        }
        for provider in &scenario.providers {
            layout.provider(scenario, provider);
        }
        for (control, number) in scenario.controls.iter().zip(1..) {
            layout.host((OUTSIDE, &format!("c{number}")), &self::control(number), control.address, BACKBONE);
        }
        layout.host((OUTSIDE, "coord"), COORDINATOR, scenario.coordinator, BACKBONE);
        layout
    }

    fn outside(&mut self, scenario: &Scenario) {
        self.routers.insert(OUTSIDE.to_owned());
        self.line(OUTSIDE, format!("addr add {BACKBONE}/32 dev lo"));
        for address in world_addresses(scenario) {
            self.line(OUTSIDE, format!("addr add {address}/32 dev lo"));
        }
        // What nobody has is silent, as most of the unused internet is.
        self.line(OUTSIDE, "route add blackhole default".to_owned());
        if scenario.rules.iter().any(|rule| rule.who == Who::Site) {
            self.queue(OUTSIDE, &["INPUT", "!", "-i", "lo"]);
        }
    }

    fn provider(&mut self, scenario: &Scenario, provider: &Provider) {
        let name = self::provider(provider.asn);
        self.routers.insert(name.clone());
        self.line(&name, format!("addr add {}/32 dev lo", provider.router));
        self.line(&name, format!("addr add {}/32 dev lo", provider.resolver));
        let routers: BTreeMap<Asn, Ipv4Addr> = scenario.gateways.iter().map(|g| (g.asn, g.router)).collect();
        for (upstream, index) in provider.upstreams.iter().zip(0_u8..) {
            let (far, router) = (gateway(*upstream), routers[upstream]);
            self.link(&far, &name, &name, &far);
            self.line(&far, format!("route add {} dev {name}", provider.router));
            self.line(&far, format!("route add {} via {} dev {name}", provider.prefix, provider.router));
            if index == 0 {
                self.way_out(&name, &far, router);
                self.line(OUTSIDE, format!("route add {} via {router} dev {far}", provider.prefix));
            } else {
                self.line(&name, format!("route add {router} dev {far}"));
            }
        }
        if provider.upstreams.len() > 1 {
            for address in world_addresses(scenario) {
                if let Some(upstream) = upstream_for(provider, address) {
                    self.line(&name, format!("route add {address} via {}", routers[&upstream]));
                }
            }
        }
        for (address, number) in std::iter::once(&provider.shell).chain(&provider.agents).zip(0..) {
            let host = agent(provider.asn, number);
            self.host((&name, &format!("a{number}")), &host, *address, provider.router);
        }
        // Addresses that no agent has end here instead of going round in circles.
        self.line(&name, format!("route add blackhole {}", provider.prefix));
        self.queue(&name, &["FORWARD"]);
        self.queue(&name, &["INPUT", "-d", &provider.resolver.to_string()]);
    }

    /// Adds a host with one address behind a router.
    fn host(&mut self, (at, port): (&str, &str), name: &str, address: Ipv4Addr, router: Ipv4Addr) {
        self.link(at, port, name, "eth0");
        self.line(at, format!("route add {address} dev {port}"));
        self.line(name, format!("addr add {address}/32 dev eth0"));
        self.way_out(name, "eth0", router);
    }

    fn way_out(&mut self, name: &str, port: &str, router: Ipv4Addr) {
        self.line(name, format!("route add {router} dev {port}"));
        self.line(name, format!("route add default via {router} dev {port}"));
    }

    fn link(&mut self, a: &str, port_a: &str, b: &str, port_b: &str) {
        self.links.push([(a.to_owned(), port_a.to_owned()), (b.to_owned(), port_b.to_owned())]);
        for (name, port) in [(a, port_a), (b, port_b)] {
            self.line(name, format!("link set {port} up"));
        }
    }

    fn line(&mut self, name: &str, line: String) {
        let lines = self.lines.entry(name.to_owned()).or_insert_with(|| vec!["link set lo up".to_owned()]);
        lines.push(line);
    }

    fn queue(&mut self, name: &str, chain: &[&str]) {
        self.queues.push((name.to_owned(), chain.iter().map(|s| (*s).to_owned()).collect()));
    }

    /// Makes it all.
    ///
    /// # Errors
    /// Says which tool refused what.
    pub async fn build(&self) -> Result<(), NetnsError> {
        let mut first = String::new();
        for name in self.lines.keys() {
            first.push_str(&format!("netns add {name}\n"));
        }
        for [(a, port_a), (b, port_b)] in &self.links {
            first.push_str(&format!("link add {port_a} netns {a} type veth peer name {port_b} netns {b}\n"));
        }
        let mut all = Command::new("ip");
        all.args(["-batch", "-"]);
        feed("ip", "(all)", all, first).await?;
        for name in self.lines.keys() {
            self.forwarding(name).await?;
        }
        for (name, lines) in &self.lines {
            let mut ip = command(name, Path::new("ip"));
            ip.args(["-batch", "-"]);
            feed("ip", name, ip, lines.join("\n")).await?;
        }
        for (name, chain) in &self.queues {
            queue(name, chain).await?;
        }
        Ok(())
    }

    /// Lets a router pass packets on and answers come another way than they went, before its links are up.
    async fn forwarding(&self, name: &str) -> Result<(), NetnsError> {
        if !self.routers.contains(name) {
            return Ok(());
        }
        let script = "echo 1 >/proc/sys/net/ipv4/ip_forward; \
                      for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done";
        let mut shell = command(name, Path::new("sh"));
        shell.args(["-e", "-c", script]);
        feed("sh", name, shell, String::new()).await
    }
}

async fn queue(name: &str, chain: &[String]) -> Result<(), NetnsError> {
    let mut failure = None;
    for tool in ["iptables-nft", "iptables"] {
        let mut iptables = command(name, Path::new(tool));
        iptables.args(["-t", "mangle", "-A"]).args(chain);
        iptables.args(["-j", "NFQUEUE", "--queue-num", "0", "--queue-bypass"]);
        match feed("iptables", name, iptables, String::new()).await {
            Ok(()) => return Ok(()),
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn feed(
    tool: &'static str,
    namespace: &str,
    mut command: Command,
    input: String,
) -> Result<(), NetnsError> {
    let failed = |source| NetnsError::Tool(tool, source);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that has given up says why on its other end.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let Output { status, stderr, .. } = child.wait_with_output().await.map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&stderr).trim().to_owned();
    Err(NetnsError::Refused { tool, namespace: namespace.to_owned(), message })
}

/// Returns a command that runs a program in a namespace.
#[must_use]
pub fn command(namespace: &str, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{namespace}")).arg("--").arg(program);
    command
}

/// Returns a command that runs a program in a namespace, with a resolver configuration of its own.
///
/// `ip netns exec` would do the same, but it also mounts `/sys` afresh, which nested containers forbid.
#[must_use]
pub fn command_with_resolver(namespace: &str, resolv_conf: &Path, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{namespace}"));
    let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    command.args(["--", "unshare", "--mount", "--", "sh", "-c", script]).arg(resolv_conf).arg(program);
    command
}

fn world_addresses(scenario: &Scenario) -> BTreeSet<Ipv4Addr> {
    let mut addresses: BTreeSet<Ipv4Addr> = scenario.sites.iter().map(|site| site.address).collect();
    for resolver in &scenario.list.resolvers {
        for address in [resolver.udp.ip(), resolver.doh_address.ip()] {
            if let IpAddr::V4(address) = address {
                addresses.insert(address);
            }
        }
    }
    addresses
}
