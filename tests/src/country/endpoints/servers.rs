//! The real servers: keys made, programs started where the world is, and waited for until they say that they serve.

use super::folder;
use crate::country::inside::Country;
use crate::country::scenario::Endpoint;
use faultline_model::{ProtocolClass, Target, TargetError};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A server that has not said by then that it serves is broken.
const READY_PATIENCE: Duration = Duration::from_secs(30);
/// Client keys of a WireGuard server.
const CLIENTS: usize = 4;
const DEVICE: &str = "wgfar";

/// Why a server does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A file of it cannot be written or read.
    #[error("using {}", .0.display())]
    File(PathBuf, #[source] std::io::Error),
    /// Its certificate cannot be made.
    #[error("making a certificate")]
    Certificate(#[source] rcgen::Error),
    /// It cannot be started.
    #[error("starting {0}")]
    Start(String, #[source] std::io::Error),
    /// It did not come to serve.
    #[error("{0} did not say {1:?}; it said: {2}")]
    NotReady(String, &'static str, String),
    /// What it said of itself makes no target.
    #[error("naming it as a target")]
    Target(#[source] TargetError),
}

/// A far end.
#[derive(Debug)]
pub enum Far {
    /// It serves until this is dropped.
    Serves {
        /// Its name on a list.
        target: Target,
        /// Its program, unless it is one of the country's own parts.
        child: Option<Child>,
    },
    /// Its program is not installed; this Debian package has it.
    Missing(&'static str),
}

/// Starts the server of an endpoint.
///
/// # Errors
/// Says what failed.
pub async fn start(country: &Country, endpoint: &Endpoint) -> Result<Far, ServerError> {
    let (host, port, to) = (&endpoint.host, endpoint.port, &endpoint.to);
    match endpoint.class {
        ProtocolClass::OpenvpnUdp => openvpn(country, endpoint, "udp").await,
        ProtocolClass::OpenvpnTcp => openvpn(country, endpoint, "tcp").await,
        ProtocolClass::Wireguard => wireguard(country, endpoint).await,
        ProtocolClass::Tor | ProtocolClass::Obfs4 => tor(country, endpoint).await,
        ProtocolClass::Socks5 => serves(&format!("socks5://{host}:{port}?to={to}"), None),
        ProtocolClass::HttpsProxy => serves(&format!("https-proxy://{host}:{port}?to={to}"), None),
        ProtocolClass::VpnApi => serves(&format!("https://{host}/"), None),
    }
}

fn serves(text: &str, child: Option<Child>) -> Result<Far, ServerError> {
    let target = Target::new(text).map_err(ServerError::Target)?;
    Ok(Far::Serves { target, child })
}

/// Finds a program; sbin is not on everybody's path.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn prepare(country: &Country, endpoint: &Endpoint) -> Result<(PathBuf, Ipv4Addr), ServerError> {
    let dir = folder(country, endpoint);
    std::fs::create_dir_all(&dir).map_err(|error| ServerError::File(dir.clone(), error))?;
    let address = country.scenario.address_of(&endpoint.host).unwrap_or(Ipv4Addr::UNSPECIFIED);
    Ok((dir, address))
}

fn write(path: &Path, text: &str) -> Result<(), ServerError> {
    std::fs::write(path, text).map_err(|error| ServerError::File(path.to_owned(), error))
}

fn read(path: &Path) -> Result<String, ServerError> {
    std::fs::read_to_string(path).map_err(|error| ServerError::File(path.to_owned(), error))
}

/// A server in TLS mode with a device of its own; clients would need a certificate to get any further than the check.
async fn openvpn(country: &Country, endpoint: &Endpoint, transport: &str) -> Result<Far, ServerError> {
    let Some(program) = find("openvpn") else { return Ok(Far::Missing("openvpn")) };
    let (dir, address) = prepare(country, endpoint)?;
    let ca_key = KeyPair::generate().map_err(ServerError::Certificate)?;
    let mut ca = CertificateParams::new(["openvpn.ca".to_owned()]).map_err(ServerError::Certificate)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).map_err(ServerError::Certificate)?.pem();
    let key = KeyPair::generate().map_err(ServerError::Certificate)?;
    let own = CertificateParams::new([endpoint.host.clone()]).map_err(ServerError::Certificate)?;
    let own = own.signed_by(&key, &Issuer::new(ca, ca_key)).map_err(ServerError::Certificate)?;
    write(&dir.join("ca.pem"), &ca_pem)?;
    write(&dir.join("own.pem"), &own.pem())?;
    write(&dir.join("own.key"), &key.serialize_pem())?;
    let net = if transport == "udp" { "10.81.0.0" } else { "10.82.0.0" };
    let mut command = country.as_world(&program);
    command.current_dir(&dir).args(["--proto", if transport == "udp" { "udp4" } else { "tcp4-server" }]);
    command.args(["--local", &address.to_string(), "--port", &endpoint.port.to_string()]);
    command.args(["--dev", "tun", "--topology", "subnet", "--server", net, "255.255.255.0"]);
    command.args(["--ifconfig-noexec", "--route-noexec", "--ca", "ca.pem", "--cert", "own.pem"]);
    command.args(["--key", "own.key", "--dh", "none", "--verb", "3"]);
    let child = ready(command, "openvpn", "Initialization Sequence Completed").await?;
    let (host, port) = (&endpoint.host, endpoint.port);
    serves(&format!("openvpn://{host}:{port}?transport={transport}"), Some(child))
}

/// The userspace implementation, which needs no module of the kernel.
async fn wireguard(country: &Country, endpoint: &Endpoint) -> Result<Far, ServerError> {
    let Some(program) = find("wireguard-go") else { return Ok(Far::Missing("wireguard-go")) };
    let Some(tool) = find("wg") else { return Ok(Far::Missing("wireguard-tools")) };
    let (dir, _) = prepare(country, endpoint)?;
    let mut command = country.as_world(&program);
    command.args(["-f", DEVICE]).env("LOG_LEVEL", "verbose");
    let child = ready(command, "wireguard-go", "UAPI listener started").await?;
    let own = said(Command::new(&tool).arg("genkey"), "").await?;
    let public = said(Command::new(&tool).arg("pubkey"), &own).await?;
    write(&dir.join("own.key"), &own)?;
    let mut set = country.as_world(&tool);
    set.args(["set", DEVICE, "listen-port", &endpoint.port.to_string(), "private-key"]);
    set.arg(dir.join("own.key"));
    let mut keys = String::new();
    for number in 0..CLIENTS {
        let key = said(Command::new(&tool).arg("genkey"), "").await?;
        let client = said(Command::new(&tool).arg("pubkey"), &key).await?;
        set.args(["peer", &client, "allowed-ips", &format!("10.83.0.{}/32", number + 2)]);
        keys.push_str(&format!("&client_key={key}"));
    }
    said(&mut set, "").await?;
    let mut up = country.as_world(Path::new("ip"));
    said(up.args(["link", "set", DEVICE, "up"]), "").await?;
    let (host, port) = (&endpoint.host, endpoint.port);
    serves(&format!("wireguard://{host}:{port}?public_key={public}{keys}"), Some(child))
}

/// A lone bridge in a network of its own: it answers at its OR port and knows no other relay.
async fn tor(country: &Country, endpoint: &Endpoint) -> Result<Far, ServerError> {
    let Some(program) = find("tor") else { return Ok(Far::Missing("tor")) };
    let is_obfs4 = endpoint.class == ProtocolClass::Obfs4;
    let Some(obfs4proxy) = find("obfs4proxy").or_else(|| find("lyrebird")).or((!is_obfs4).then(PathBuf::new))
    else {
        return Ok(Far::Missing("obfs4proxy"));
    };
    let (dir, address) = prepare(country, endpoint)?;
    let data = dir.join("data");
    // Behind a transport the OR port itself is not the one that is measured.
    let or_port = if is_obfs4 { endpoint.port + 1 } else { endpoint.port };
    let mut text = format!(
        "DataDirectory {}\nORPort {address}:{or_port} IPv4Only\nAddress {address}\nSocksPort 0\nAssumeReachable 1\n\
         PublishServerDescriptor 0\nExitRelay 0\nBridgeRelay 1\nContactInfo none\nTestingTorNetwork 1\n\
         DirAuthority nobody orport=1 v3ident=0000000000000000000000000000000000000001 127.0.0.9:1 \
         0000000000000000000000000000000000000002\nLog notice stdout\n",
        data.display()
    );
    let mut word = "Your Tor server's identity key fingerprint";
    if is_obfs4 {
        let listen = format!("{address}:{}", endpoint.port);
        text.push_str(&format!(
            "ServerTransportPlugin obfs4 exec {}\nServerTransportListenAddr obfs4 {listen}\nExtORPort auto\n",
            obfs4proxy.display()
        ));
        word = "Registered server transport 'obfs4'";
    }
    write(&dir.join("torrc"), &text)?;
    let mut command = country.as_world(&program);
    command.args(["--defaults-torrc", "/dev/null", "-f"]).arg(dir.join("torrc"));
    let child = ready(command, "tor", word).await?;
    let fingerprint = read(&data.join("fingerprint"))?;
    let fingerprint = fingerprint.split_whitespace().last().unwrap_or_default().to_owned();
    let (host, port) = (&endpoint.host, endpoint.port);
    if !is_obfs4 {
        return serves(&format!("tor://{host}:{port}?fingerprint={fingerprint}"), Some(child));
    }
    let line = read(&data.join("pt_state/obfs4_bridgeline.txt"))?;
    let cert = line.split_whitespace().find_map(|word| word.strip_prefix("cert=")).unwrap_or_default();
    let text = format!("obfs4://{host}:{port}?cert={cert}&iat-mode=0&fingerprint={fingerprint}");
    serves(&text, Some(child))
}

/// Starts a program and waits until it says a word; what it says later is thrown away.
async fn ready(mut command: Command, name: &str, word: &'static str) -> Result<Child, ServerError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| ServerError::Start(name.to_owned(), error))?;
    let mut said = String::new();
    if let Some(out) = child.stdout.take() {
        let mut lines = BufReader::new(out).lines();
        let wait = async {
            while let Ok(Some(line)) = lines.next_line().await {
                said.push_str(&line);
                said.push('\n');
                if line.contains(word) {
                    return true;
                }
            }
            false
        };
        if timeout(READY_PATIENCE, wait).await == Ok(true) {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(child);
        }
    }
    Err(ServerError::NotReady(name.to_owned(), word, said))
}

/// Runs a command to its end, with some text as its input, and returns what it said.
async fn said(command: &mut Command, input: &str) -> Result<String, ServerError> {
    let failed = |error| ServerError::Start("a tool".to_owned(), error);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut own) = child.stdin.take() {
        own.write_all(input.as_bytes()).await.map_err(failed)?;
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(ServerError::NotReady("a tool".to_owned(), "success", text))
    }
}
