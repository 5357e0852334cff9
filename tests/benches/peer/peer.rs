//! The peer: prometheus-blackbox-exporter, as Debian packages it.

use super::servers::site;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const PROGRAM: &str = "prometheus-blackbox-exporter";
const ADDRESS: &str = "127.0.0.1:9115";

/// The running exporter; it ends with the value.
pub(super) struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peer {
    /// Starts it with one module: HTTPS over IPv4, certificates verified.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let config = folder.join("blackbox.yml");
        let roots = folder.join("roots.pem");
        let module = format!(
            "modules:\n  page:\n    prober: http\n    timeout: 10s\n    http:\n      preferred_ip_protocol: ip4\n      \
             fail_if_not_ssl: true\n      tls_config:\n        ca_file: {}\n",
            roots.display()
        );
        fs::write(&config, module).context("writing the exporter's configuration")?;
        let mut command = Command::new(PROGRAM);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--web.listen-address={ADDRESS}")).arg("--log.level=error");
        let child = command.stderr(Stdio::null()).spawn();
        let peer = Self(
            child.context("starting it; install it with: apt-get install prometheus-blackbox-exporter")?,
        );
        for _ in 0..200 {
            if get("/-/healthy").is_ok() {
                return Ok(peer);
            }
            sleep(Duration::from_millis(50));
        }
        bail!("{PROGRAM} does not answer at {ADDRESS}")
    }

    /// Returns its process.
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Probes sites, one after the other.
    pub(super) fn probe(&self, times: usize) -> Result<()> {
        for number in 0..times {
            let answer = get(&format!("/probe?module=page&target=https://{}/", site(number)))?;
            ensure!(answer.contains("\nprobe_success 1"), "a probe failed: {answer}");
        }
        Ok(())
    }
}

fn get(path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(ADDRESS).context("connecting to the exporter")?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {ADDRESS}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("reading the exporter's answer")?;
    Ok(answer)
}
