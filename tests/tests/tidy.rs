//! What a machine can hold of the conventions and no lint does: sizes, reasons, texts that are safe to
//! publish, numbering, links.

use anyhow::{Context, Result, ensure};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const MAX_FILE_LINES: usize = 500;
const MAX_FUNCTION_LINES: usize = 80;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the project, with its path from the root.
struct Text {
    path: String,
    body: String,
}

/// Reads every text file with one of the endings, or all of them for none; build output is passed over.
fn texts(endings: &[&str]) -> Result<Vec<Text>> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))? {
            let path = entry.context("listing")?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | ".git" | "node_modules" | "faultline-data") {
                    folders.push(path);
                }
            } else if endings.is_empty() || endings.iter().any(|ending| name.ends_with(ending)) {
                // What is not UTF-8 is a picture or recorded data.
                let Ok(body) = std::fs::read_to_string(&path) else { continue };
                let path = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
                found.push(Text { path, body });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    ensure!(!found.is_empty(), "no file with {endings:?}");
    Ok(found)
}

/// Fails with all findings at once, so that one run is enough to mend them.
fn none(findings: &[String]) -> Result<()> {
    ensure!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
    Ok(())
}

/// Returns the lines before the file's own tests.
fn without_tests(body: &str) -> usize {
    let tests = body.find("\n#[cfg(test)]\nmod ");
    body[..tests.unwrap_or(body.len())].lines().count()
}

#[test]
fn files_and_functions_stay_small() -> Result<()> {
    let mut findings = Vec::new();
    for Text { path, body } in texts(&[".rs"])? {
        let lines = without_tests(&body);
        if lines > MAX_FILE_LINES {
            findings.push(format!("{path}: {lines} lines; at most {MAX_FILE_LINES} without tests"));
        }
        for (line, name, length) in functions(&body) {
            if length > MAX_FUNCTION_LINES {
                findings
                    .push(format!("{path}:{line}: {name} has {length} lines; at most {MAX_FUNCTION_LINES}"));
            }
        }
    }
    none(&findings)
}

/// Returns each function's line, name and lines of code. rustfmt puts a function's end at its own indentation.
fn functions(body: &str) -> Vec<(usize, String, usize)> {
    let lines: Vec<&str> = body.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let Some(after) = trimmed.split_once("fn ").filter(|(before, _)| is_function_head(before)) else {
            continue;
        };
        let end = format!("{}}}", &line[..line.len() - trimmed.len()]);
        let body = lines[index..].iter().take_while(|line| **line != end && !line.ends_with("; }"));
        let code = body.filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//"));
        let name: String = after.1.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let is_whole = line.ends_with('}') || line.ends_with(';');
        // A function without a name is a macro's pattern.
        if !is_whole && !name.is_empty() {
            found.push((index + 1, name, code.count()));
        }
    }
    found
}

fn is_function_head(before: &str) -> bool {
    let words = ["pub", "pub(crate)", "pub(super)", "async", "const", "extern", "\"C\""];
    before.split_whitespace().all(|word| words.contains(&word) || word.starts_with("pub(in"))
}

#[test]
fn nothing_panics_on_a_value_and_every_allowance_has_a_reason() -> Result<()> {
    // Put together here, so that this file does not find itself.
    let unwrap = [".unwrap", "()"].concat();
    let mut findings = Vec::new();
    for Text { path, body } in texts(&[".rs"])? {
        for (index, line) in body.lines().enumerate() {
            if line.contains(&unwrap) && !line.trim_start().starts_with("//") {
                findings.push(format!(
                    "{path}:{}: {unwrap}; say why it cannot fail with expect, or use ?",
                    index + 1
                ));
            }
        }
        for start in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in body.match_indices(start).filter(|(at, _)| starts_line(&body, *at)) {
                let attribute = &body[at..at + body[at..].find(")]").unwrap_or(0)];
                if !attribute.contains("reason = ") {
                    let line = body[..at].lines().count() + 1;
                    findings.push(format!("{path}:{line}: {start}…)] has no reason"));
                }
            }
        }
    }
    none(&findings)
}

fn starts_line(body: &str, at: usize) -> bool {
    body[..at].rsplit('\n').next().is_some_and(|before| before.trim().is_empty())
}

#[test]
fn no_text_carries_a_postponed_task_a_registry_or_a_machines_path() -> Result<()> {
    let banned = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X:"],
        ["dbg", "!("],
        ["index.crates", ".io"],
        ["static.crates", ".io"],
        ["deb.debian", ".org"],
        ["snapshot.debian", ".org"],
        ["pypi", ".org"],
        ["npmjs", ".org"],
        ["/ro", "ot/"],
        ["/wo", "rk/"],
    ];
    let endings = [
        ".rs",
        ".md",
        ".toml",
        ".proto",
        ".yml",
        ".yaml",
        ".sh",
        "Dockerfile",
        "demo",
        "test",
        "run",
        ".css",
        ".js",
    ];
    let mut findings = Vec::new();
    for Text { path, body } in texts(&endings)? {
        for (index, line) in body.lines().enumerate() {
            for word in banned.iter().map(|parts| parts.concat()).filter(|word| line.contains(word.as_str()))
            {
                findings.push(format!("{path}:{}: {word}", index + 1));
            }
        }
    }
    none(&findings)
}

#[test]
fn every_field_and_call_of_the_wire_is_explained() -> Result<()> {
    let mut findings = Vec::new();
    for Text { path, body } in texts(&[".proto"])? {
        let mut before = "";
        for (index, line) in body.lines().map(str::trim).enumerate() {
            let is_entry = (line.ends_with(';') && line.contains(" = ") && !line.starts_with("syntax"))
                || line.starts_with("rpc ");
            let is_block = ["message ", "enum ", "service "].iter().any(|word| line.starts_with(word));
            if (is_entry || is_block) && !before.starts_with("//") {
                findings.push(format!("{path}:{}: {line}", index + 1));
            }
            before = line;
        }
    }
    none(&findings)
}

#[test]
fn decisions_are_numbered_without_gaps_and_titled_alike() -> Result<()> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("docs/decisions"))
        .context("listing the decisions")?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    ensure!(!files.is_empty(), "there are no decisions");
    for (number, path) in (1..).zip(&files) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        ensure!(
            name.starts_with(&format!("{number:04}-")) && name.ends_with(".md"),
            "{name} should be {number:04}-…"
        );
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {name}"))?;
        ensure!(
            text.starts_with(&format!("# {number:04}: ")),
            "{name} does not begin with its number and title"
        );
    }
    Ok(())
}

#[test]
fn links_between_pages_lead_somewhere() -> Result<()> {
    let mut findings = Vec::new();
    for Text { path, body } in texts(&[".md"])? {
        let folder = root().join(Path::new(&path).parent().unwrap_or(Path::new("")));
        for (at, _) in body.match_indices("](") {
            let link = body[at + 2..].split([')', '#', ' ']).next().unwrap_or_default();
            let is_local = !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:");
            if is_local && !folder.join(link).exists() {
                findings.push(format!("{path}: {link}"));
            }
        }
    }
    none(&findings)
}

#[test]
fn the_commands_can_be_run() -> Result<()> {
    for name in ["demo", "test", ".ci/run"] {
        let path = root().join(name);
        let mode =
            std::fs::metadata(&path).with_context(|| format!("{name} is missing"))?.permissions().mode();
        ensure!(mode & 0o111 == 0o111, "{name} is not executable");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {name}"))?;
        ensure!(text.starts_with("#!/usr/bin/env bash\n"), "{name} is no bash script");
        ensure!(text.contains("\nset -euo pipefail\n"), "{name} does not stop at its first failure");
    }
    Ok(())
}

/// `docs/faults.md` says which test holds each fault: a table of rows that end in a test's name and its file.
#[test]
fn every_test_that_the_page_of_faults_names_exists() -> Result<()> {
    let page =
        std::fs::read_to_string(root().join("docs/faults.md")).context("reading the page of faults")?;
    let mut findings = Vec::new();
    let mut rows = 0;
    for line in page.lines().filter(|line| line.starts_with("| ") && line.ends_with("` |")) {
        let quoted: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        let [test, file] = quoted.as_slice() else {
            findings.push(format!("no test and file in: {line}"));
            continue;
        };
        rows += 1;
        let body = std::fs::read_to_string(root().join(file)).unwrap_or_default();
        if !body.contains(&format!("fn {test}()")) {
            findings.push(format!("{file} has no test {test}"));
        }
    }
    ensure!(rows > 40, "only {rows} rows are read");
    none(&findings)
}
