//! Namespaces, links, addresses and routes: the country's cables.
//!
//! [`Layout::plan`] is pure and says what there shall be; [`Layout::build`] lets `ip`, `tc` and `iptables` make it.
//! All of it lives in the namespaces of the process that calls it and vanishes with them. Every host is a namespace:
//! `outside` with everything that is not in the country, the `backbone` before it, one per gateway, provider, agent and control, one for
//! the coordinator, and one per network for the sites within the country. Providers with several gateways spread
//! the world's addresses over them; networks within the country meet at an `exchange`, if anything is hosted there.
//!
//! Both ends of every link have the same hardware address and resolve none, so that a busy machine never takes a
//! neighbour for gone.

mod plan;

use super::scenario::Scenario;
use faultline_model::Asn;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Output, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The namespace of everything outside the country.
pub const OUTSIDE: &str = "outside";
/// The namespace of the backbone between the country's gateways and everything outside, one hop beyond every gateway.
pub const BACKBONE: &str = "backbone";
/// The coordinator's namespace.
pub const COORDINATOR: &str = "coordinator";
/// The namespace where the country's networks meet.
pub const EXCHANGE: &str = "exchange";
/// The hardware address of everything.
const HARDWARE: &str = "02:00:00:00:00:01";

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

/// Returns the namespace of the sites that stand in a network of the country.
#[must_use]
pub fn sites_in(scenario: &Scenario, asn: Asn) -> String {
    let is_hosting = scenario.hostings.iter().any(|hosting| hosting.asn == asn);
    if is_hosting { hosting(asn) } else { format!("p{}w", asn.get()) }
}

/// Returns the namespace of a network that hosts sites.
#[must_use]
pub fn hosting(asn: Asn) -> String {
    format!("h{}", asn.get())
}

/// Returns a control's namespace; they are counted from 1.
#[must_use]
pub fn control(number: usize) -> String {
    format!("control{number}")
}

/// What there shall be.
#[derive(Debug, Default)]
pub struct Layout {
    /// Everybody has IPv6 as well.
    six: bool,
    /// Links between two namespaces: where and under which name, twice.
    links: Vec<[(String, String); 2]>,
    /// Lines for `ip -batch` per namespace.
    lines: BTreeMap<String, Vec<String>>,
    /// Lines for `tc -batch` per namespace.
    rates: BTreeMap<String, Vec<String>>,
    /// Namespaces that pass packets on.
    routers: BTreeSet<String>,
    /// Rules for the packet filter: the tools of one family, a namespace and what is queued.
    queues: Vec<(Tools, String, Vec<String>)>,
}

/// The packet filter's command and the one to try when it is missing.
type Tools = [&'static str; 2];
const FILTER_FOUR: Tools = ["iptables-nft", "iptables"];
const FILTER_SIX: Tools = ["ip6tables-nft", "ip6tables"];

impl Layout {
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
            first.push_str(&format!(
                "link add {port_a} address {HARDWARE} netns {a} type veth \
                 peer name {port_b} address {HARDWARE} netns {b}\n"
            ));
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
        for (name, lines) in &self.rates {
            let mut tc = command(name, Path::new("tc"));
            tc.args(["-batch", "-"]);
            feed("tc", name, tc, lines.join("\n")).await?;
        }
        for (tools, name, chain) in &self.queues {
            queue(*tools, name, chain).await?;
        }
        Ok(())
    }

    /// Lets a router pass packets on and answers come another way than they went, before its links are up. Senders slow
    /// down when packets are lost, as most servers do, whatever this machine is set to.
    async fn forwarding(&self, name: &str) -> Result<(), NetnsError> {
        if !self.routers.contains(name) {
            return Ok(());
        }
        let script = "echo 1 >/proc/sys/net/ipv4/ip_forward; \
                      for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done; \
                      f=/proc/sys/net/ipv6/conf/all/forwarding; if [ -e $f ]; then echo 1 >$f; fi; \
                      f=/proc/sys/net/ipv4/tcp_congestion_control; { echo cubic >$f || echo reno >$f; } 2>/dev/null || true";
        let mut shell = command(name, Path::new("sh"));
        shell.args(["-e", "-c", script]);
        feed("sh", name, shell, String::new()).await
    }
}

async fn queue(tools: Tools, name: &str, chain: &[String]) -> Result<(), NetnsError> {
    let mut failure = None;
    for tool in tools {
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
