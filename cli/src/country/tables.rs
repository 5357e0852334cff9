//! The tables: CSV with a header, columns in any order, unknown ones ignored.
//!
//! | table | columns |
//! | --- | --- |
//! | names | `asn`, `name`; perhaps `operator` (the company, where several networks are one) and `access` (`fixed`, `mobile`) |
//! | shares | `asn` and `share` (0 to 1) or `percent`; perhaps `source` |
//! | upstreams | `asn`, `upstream`; perhaps `weight` (share of paths, 0 to 1) |

use crate::trouble::{Exit, Trouble};
use faultline_model::{Access, Asn};
use std::collections::BTreeMap;
use std::path::Path;

const MAX_TABLE_BYTES: u64 = 64 << 20;
const MAX_ROWS: usize = 500_000;

/// A network with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) asn: Asn,
    pub(crate) name: String,
    pub(crate) operator: String,
    pub(crate) access: Option<Access>,
}

/// A network's share of the users.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Share {
    pub(crate) asn: Asn,
    pub(crate) share: f64,
    pub(crate) source: String,
}

/// From whom a network buys transit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Upstream {
    pub(crate) asn: Asn,
    pub(crate) upstream: Asn,
    pub(crate) weight: f64,
}

/// One row, by column.
struct Row<'a> {
    columns: &'a BTreeMap<String, usize>,
    record: &'a csv::StringRecord,
}

impl Row<'_> {
    fn get(&self, name: &str) -> &str {
        self.columns.get(name).and_then(|at| self.record.get(*at)).unwrap_or("").trim()
    }

    fn asn(&self, name: &str) -> Result<Asn, String> {
        let text = self.get(name);
        let digits = text.trim_start_matches("AS").trim_start_matches("as");
        let number = digits.parse().map_err(|_| format!("{name} {text:?} is no ASN"))?;
        Asn::recorded(number).map_err(|e| e.to_string())
    }

    fn number(&self, name: &str, most: f64) -> Result<f64, String> {
        let text = self.get(name);
        let number: f64 = text.parse().map_err(|_| format!("{name} {text:?} is no number"))?;
        let fits = (0.0..=most).contains(&number);
        if fits { Ok(number) } else { Err(format!("{name} {text:?} does not lie between 0 and {most}")) }
    }
}

/// Reads the names of networks.
pub(crate) fn names(path: &Path) -> Result<Vec<Network>, Trouble> {
    read(path, &["asn", "name"], |row| {
        let access = match row.get("access") {
            "" => None,
            "fixed" => Some(Access::Fixed),
            "mobile" => Some(Access::Mobile),
            other => return Err(format!("access {other:?} is neither fixed nor mobile")),
        };
        let text = |column| row.get(column).chars().filter(|c| !c.is_control()).take(120).collect::<String>();
        Ok(Network { asn: row.asn("asn")?, name: text("name"), operator: text("operator"), access })
    })
}

/// Reads the networks' shares of users.
pub(crate) fn shares(path: &Path) -> Result<Vec<Share>, Trouble> {
    read(path, &["asn"], |row| {
        let share = match (row.get("share"), row.get("percent")) {
            ("", "") => return Err("there is neither a share nor a percent".to_owned()),
            ("", _) => row.number("percent", 100.0)? / 100.0,
            _ => row.number("share", 1.0)?,
        };
        let source = row.get("source").chars().filter(|c| !c.is_control()).take(200).collect();
        Ok(Share { asn: row.asn("asn")?, share, source })
    })
}

/// Reads from whom networks buy transit.
pub(crate) fn upstreams(path: &Path) -> Result<Vec<Upstream>, Trouble> {
    read(path, &["asn", "upstream"], |row| {
        let weight = if row.get("weight").is_empty() { 1.0 } else { row.number("weight", 1.0)? };
        Ok(Upstream { asn: row.asn("asn")?, upstream: row.asn("upstream")?, weight })
    })
}

/// Reads a table whole; a profile rests on it, so that a bad row is an error and not skipped.
fn read<T>(
    path: &Path,
    needed: &[&str],
    parse: impl Fn(&Row<'_>) -> Result<T, String>,
) -> Result<Vec<T>, Trouble> {
    let bad = |e: String| Trouble::new(Exit::Data, format!("{}: {e}", path.display()));
    let length = std::fs::metadata(path).map_err(|e| bad(e.to_string()))?.len();
    if length > MAX_TABLE_BYTES {
        return Err(bad("a table has at most 64 MiB".to_owned()));
    }
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .comment(Some(b'#'))
        .from_path(path)
        .map_err(|e| bad(e.to_string()))?;
    let header = reader.headers().map_err(|e| bad(e.to_string()))?;
    let name = |text: &str| text.trim().trim_start_matches('\u{feff}').to_ascii_lowercase();
    let columns: BTreeMap<String, usize> =
        header.iter().enumerate().map(|(at, text)| (name(text), at)).collect();
    if let Some(missing) = needed.iter().find(|column| !columns.contains_key(**column)) {
        return Err(
            bad(format!("the header has no column {missing}")).hint("see docs/operator.md for the tables")
        );
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| bad(e.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        let row = Row { columns: &columns, record: &record };
        rows.push(parse(&row).map_err(|e| bad(format!("line {line}: {e}")))?);
        if rows.len() > MAX_ROWS {
            return Err(bad(format!("a table has at most {MAX_ROWS} rows")));
        }
    }
    Ok(rows)
}
