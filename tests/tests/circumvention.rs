//! Which ways around censorship pass and which are blocked, with the real servers and the real agent.
//!
//! The servers are Debian's (`apt-get install openvpn tor obfs4proxy wireguard-go wireguard-tools`); a row whose program is
//! missing is skipped by name. `cargo build --workspace --bins` puts the agent beside `country`; `./test` does that first.

use faultline_tests::country::launch::namespace_options;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const COUNTRY: &str = env!("CARGO_BIN_EXE_country");

/// Runs all checks from everywhere; `None` where this machine allows no namespaces.
fn run(scenario: &str) -> Option<Value> {
    if let Err(error) = namespace_options() {
        eprintln!("SKIPPED: {error}");
        return None;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(scenario);
    let mut command = Command::new(COUNTRY);
    command.arg("run").arg(file).args(["--endpoints", "--quiet", "--json", "-"]);
    let output = command.output().expect("the country runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    let table: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no table: {errors}"));
    for row in table["rows"].as_array().expect("rows") {
        if let Some(package) = row["missing"].as_str() {
            eprintln!("SKIPPED: {} is not run; apt-get install {package}", row["class"]);
        }
    }
    Some(table)
}

/// Lists what is said of each class that was run, provider by provider.
fn said(table: &Value) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = table["rows"].as_array().expect("rows").iter().filter(|row| row["missing"].is_null());
    let cells = |row: &Value| {
        let cells = row["cells"].as_array().expect("cells").iter();
        cells.map(|cell| if cell["status"] == "ok" { "ok".into() } else { text(&cell["rule"]) }).collect()
    };
    rows.map(|row| (text(&row["class"]), cells(row))).collect()
}

#[test]
fn where_nothing_is_blocked_every_handshake_passes_everywhere() {
    let Some(table) = run("vpn-open.toml") else { return };
    let said = said(&table);
    assert!(said.len() >= 3, "at least our own proxies and the provider's interface were run");
    for (class, cells) in said {
        assert_eq!(cells, vec!["ok"; 8], "{class}");
    }
}

#[test]
fn each_provider_blocks_what_it_was_ordered_to_and_the_rule_says_how() {
    let Some(table) = run("vpn-blocked.toml") else { return };
    // PTCL, Jazz, Zong, Telenor, Nayatel, Cybernet, Transworld, Wateen.
    let (ok, drop, reset, silent) = ("ok", "openvpn_udp.drop", "openvpn_tcp.reset", "wireguard.drop");
    let expected = [
        ("openvpn_udp", [drop, ok, drop, ok, ok, ok, ok, ok]),
        ("openvpn_tcp", [reset, reset, ok, ok, ok, ok, ok, ok]),
        ("wireguard", [ok, silent, ok, silent, ok, ok, ok, ok]),
        ("tor", ["tor.tcp.timeout"; 8]),
        ("obfs4", [ok, ok, ok, ok, ok, ok, ok, "obfs4.tcp.refused"]),
        ("socks5", [ok, ok, ok, ok, ok, "socks5.tcp.timeout", ok, ok]),
        ("https_proxy", [ok, ok, ok, ok, ok, ok, "https_proxy.tls.reset", ok]),
        ("vpn_api", ["tls.reset.sni", ok, ok, "tls.reset.sni", ok, ok, ok, ok]),
    ];
    for (class, cells) in said(&table) {
        let wanted = expected.iter().find(|(name, _)| *name == class).expect("a known class").1;
        assert_eq!(cells, wanted, "{class}");
    }
}
