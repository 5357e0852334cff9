//! Citizen Lab's test lists: CSV with the columns `url` and `category_code`; other columns are ignored.
//!
//! Every URL becomes a service of its own, because the format knows no services.

use super::Fault;
use super::draft::{Draft, Entry};
use ::csv::{ReaderBuilder, StringRecord};
use faultline_model::{Category, CheckKind, Role, ServiceId, Target, TargetSpec};
use std::collections::BTreeSet;

/// Says whether a text is CSV: by the file's ending, else by a header with a `url` column.
pub(super) fn is_csv(name: &str, text: &str) -> bool {
    let path = name.split(['?', '#']).next().unwrap_or(name).to_ascii_lowercase();
    if path.ends_with(".toml") {
        return false;
    }
    let header = text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default();
    path.ends_with(".csv") || header.split(',').any(|column| column.trim() == "url")
}

/// Reads a file. Rows that are no valid target come back beside the good ones.
pub(super) fn parse(source: &str, text: &str) -> Result<(Draft, Vec<Fault>), Vec<Fault>> {
    let fault = |line, key: &str, message: String| Fault {
        source: source.to_owned(),
        line,
        key: key.to_owned(),
        message,
    };
    let mut reader =
        ReaderBuilder::new().flexible(true).from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => return Err(vec![fault(1, "", error.to_string())]),
    };
    let column = |name: &str| header.iter().position(|column| column.trim() == name);
    let (Some(url), Some(category)) = (column("url"), column("category_code")) else {
        return Err(vec![fault(1, "", "the header needs the columns url and category_code".to_owned())]);
    };
    let (mut entries, mut bad) = (Vec::new(), Vec::new());
    let mut taken = BTreeSet::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, |position| position.line());
                bad.push(fault(usize::try_from(line).unwrap_or(0), "", error.to_string()));
                continue;
            }
        };
        let line = record.position().map_or(0, ::csv::Position::line);
        let line = usize::try_from(line).unwrap_or(0);
        match read_row(&record, (url, category), &mut taken) {
            Ok(spec) => entries.push(Entry { spec, source: source.to_owned(), line }),
            Err((key, message)) => bad.push(fault(line, key, message)),
        }
    }
    Ok((Draft { settings: None, entries }, bad))
}

fn read_row(
    record: &StringRecord,
    (url, category): (usize, usize),
    taken: &mut BTreeSet<String>,
) -> Result<TargetSpec, (&'static str, String)> {
    let cell = |column| record.get(column).unwrap_or_default().trim();
    let target = Target::new(cell(url)).map_err(|e| ("url", e.to_string()))?;
    let category = Category::new(cell(category)).map_err(|e| ("category_code", e))?;
    let service = unique_service(target.host(), taken).map_err(|e| ("url", e))?;
    let path = target.url().path().to_owned();
    let name: String = if path == "/" { target.host().to_owned() } else { target.host().to_owned() + &path };
    Ok(TargetSpec {
        target,
        service,
        service_name: name.chars().take(60).collect(),
        role: Role::Site,
        category,
        checks: vec![CheckKind::Web],
        domestic: None,
    })
}

/// Names a service after its host; a second one of the same host gets a number.
fn unique_service(host: &str, taken: &mut BTreeSet<String>) -> Result<ServiceId, String> {
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let base: String = host.trim_start_matches("www.").chars().map(plain).take(34).collect();
    let name = (1_usize..)
        .map(|n| if n == 1 { base.clone() } else { format!("{base}-{n}") })
        .find(|name| taken.insert(name.clone()))
        .unwrap_or(base);
    ServiceId::new(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "url,category_code,category_description,date_added,source,notes\n\
        https://www.example.com/,NEWS,News,2014-04-15,citizenlab,\"a note,\nover two lines\"\n\
        http://www.example.com/a,NEWS,,,,\n\
        https://192.0.2.1/,NEWS,,,,\n\
        https://good.example/,n/a,,,,\n";

    #[test]
    fn each_url_is_a_service_of_its_own_and_bad_rows_are_named_with_their_lines() {
        let (draft, bad) = parse("pk.csv", TEXT).expect("readable");
        let services: Vec<&str> = draft.entries.iter().map(|entry| entry.spec.service.as_str()).collect();
        assert_eq!(services, ["example-com", "example-com-2"]);
        assert_eq!(draft.entries[1].spec.service_name, "www.example.com/a");
        let said: Vec<String> = bad.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 2);
        assert!(said[0].starts_with("pk.csv:5: url: "), "{}", said[0]);
        assert!(said[1].starts_with("pk.csv:6: category_code: "), "{}", said[1]);
    }

    #[test]
    fn csv_is_known_by_its_ending_or_its_header() {
        assert!(is_csv("https://lists.example/pk.csv?raw=1", ""));
        assert!(is_csv("download", TEXT));
        assert!(!is_csv("core.toml", TEXT));
        assert!(parse("x.csv", "a,b\n1,2\n").is_err());
    }
}
