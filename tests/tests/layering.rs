//! Who may import whom, and what must never be reached: the crate table of ARCHITECTURE.md as a test.
//!
//! Direct imports are read from the members' manifests; what is reached is asked of `cargo tree`, which knows
//! features and platforms. Nothing is downloaded: whoever runs the tests has built the workspace.

use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use toml::{Table, Value};

/// Folder, crate, and the crates of the workspace that it may import.
const TABLE: &[(&str, &str, &[&str])] = &[
    ("shared/model", "faultline-model", &[]),
    ("shared/analysis", "faultline-analysis", &["faultline-model"]),
    ("proto", "faultline-proto", &["faultline-model"]),
    ("shared/runtime", "faultline-runtime", &["faultline-model"]),
    ("agent", "faultline-agent", &["faultline-model", "faultline-proto", "faultline-runtime"]),
    (
        "coordinator",
        "faultline-coordinator",
        &["faultline-model", "faultline-proto", "faultline-runtime", "faultline-analysis"],
    ),
    ("cli", "faultline", &["faultline-model", "faultline-proto", "faultline-runtime", "faultline-analysis"]),
];

/// Whatever does IO, knows the time or throws dice.
const IMPURE: &[&str] =
    &["tokio", "tonic", "hyper", "reqwest", "mio", "socket2", "rusqlite", "tempfile", "rand", "getrandom"];

/// Crate, and what it must not reach by any way through its ordinary dependencies.
const NEVER: &[(&str, &[&str])] = &[
    ("faultline-model", IMPURE),
    ("faultline-analysis", IMPURE),
    ("faultline-proto", &["faultline-analysis", "faultline-runtime"]),
    ("faultline-runtime", &["faultline-analysis", "faultline-proto"]),
    (
        "faultline-agent",
        &["faultline-analysis", "faultline-coordinator", "rusqlite", "libsqlite3-sys", "sqlx", "diesel"],
    ),
    ("faultline-coordinator", &["faultline-agent"]),
    ("faultline", &["faultline-agent", "faultline-coordinator"]),
];

/// One TLS, one crypto provider: aws-lc-rs under rustls.
const BANNED: &[&str] = &["openssl", "openssl-sys", "native-tls", "ring", "boring", "mbedtls"];

/// Present once, because two of them mean two sets of types or two runtimes.
const ONCE: &[&str] = &["rustls", "tokio", "hyper", "tonic", "prost", "h2", "aws-lc-rs", "serde", "rusqlite"];

/// Versions below which a published vulnerability or a known fault lies.
const FLOORS: &[(&str, [u64; 3])] = &[
    ("tonic", [0, 12, 3]),
    ("h2", [0, 4, 16]),
    ("hyper", [1, 5, 1]),
    ("rustls", [0, 23, 45]),
    ("hickory-proto", [0, 26, 1]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn manifest(folder: &str) -> Result<Table> {
    let path = root().join(folder).join("Cargo.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    text.parse().with_context(|| format!("parsing {}", path.display()))
}

/// Returns every dependency of a manifest, of all kinds, with how it is written.
fn dependencies(manifest: &Table) -> Vec<(String, Value)> {
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables = kinds.iter().filter_map(|kind| manifest.get(*kind).and_then(Value::as_table));
    tables.flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Asks cargo for the names and versions of what is reached.
fn reached(arguments: &[&str]) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--prefix", "none", "--format", "{p}"])
        .args(arguments)
        .current_dir(root())
        .output()
        .context("running cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).context("cargo tree writes UTF-8")?.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            found.entry(name.to_owned()).or_default().insert(version.trim_start_matches('v').to_owned());
        }
    }
    Ok(found)
}

fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

#[test]
fn every_crate_imports_only_what_the_table_allows() -> Result<()> {
    for (folder, name, allowed) in TABLE {
        let manifest = manifest(folder)?;
        let package = manifest.get("package").and_then(|package| package.get("name"));
        ensure!(package.and_then(Value::as_str) == Some(*name), "{folder} is not {name}");
        for (dependency, _) in dependencies(&manifest) {
            let is_ours = dependency == "faultline" || dependency.starts_with("faultline-");
            ensure!(
                !is_ours || allowed.contains(&dependency.as_str()),
                "{name} imports {dependency}; an edge between crates needs a decision record and this table"
            );
        }
    }
    Ok(())
}

#[test]
fn every_member_stands_in_the_table() -> Result<()> {
    let workspace = manifest(".")?;
    let members = workspace.get("workspace").and_then(|w| w.get("members")).and_then(Value::as_array);
    let members: BTreeSet<&str> = members.into_iter().flatten().filter_map(Value::as_str).collect();
    let known: BTreeSet<&str> = TABLE.iter().map(|(folder, _, _)| *folder).chain(["tests"]).collect();
    ensure!(members == known, "members {members:?}, table {known:?}");
    Ok(())
}

#[test]
fn versions_and_lints_live_in_the_workspace() -> Result<()> {
    for folder in TABLE.iter().map(|(folder, _, _)| *folder).chain(["tests"]) {
        let manifest = manifest(folder)?;
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        ensure!(lints.and_then(Value::as_bool) == Some(true), "{folder} does not take the workspace's lints");
        for (dependency, value) in dependencies(&manifest) {
            let is_inherited = value.get("workspace").and_then(Value::as_bool) == Some(true);
            let is_path = value.get("path").is_some();
            ensure!(is_inherited || is_path, "{folder}: {dependency} has a version of its own");
        }
    }
    Ok(())
}

#[test]
fn the_core_stays_pure_and_the_agent_never_judges() -> Result<()> {
    for (name, never) in NEVER {
        let found = reached(&["--package", name, "--edges", "normal"])?;
        ensure!(found.contains_key(*name), "cargo tree does not know {name}");
        for banned in *never {
            ensure!(!found.contains_key(*banned), "{name} reaches {banned}");
        }
    }
    Ok(())
}

#[test]
fn there_is_one_tls_one_crypto_provider_and_nothing_below_a_known_fault() -> Result<()> {
    let found = reached(&["--workspace", "--edges", "normal,build,dev"])?;
    for banned in BANNED {
        ensure!(!found.contains_key(*banned), "{banned} is in the tree");
    }
    for once in ONCE {
        let versions = found.get(*once).map_or(0, BTreeSet::len);
        ensure!(versions <= 1, "{once} is in the tree {versions} times");
    }
    for (name, floor) in FLOORS {
        for version in found.get(*name).into_iter().flatten() {
            ensure!(numbers(version).as_slice() >= floor.as_slice(), "{name} {version} is below {floor:?}");
        }
    }
    Ok(())
}
