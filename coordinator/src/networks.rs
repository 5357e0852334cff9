//! Which network an address belongs to: sorted ranges, in memory. The address goes no further than the look-up.

use faultline_model::Asn;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

/// A table with more rows is refused.
const MAX_ROWS: usize = 4_000_000;

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NetworksError {
    /// The file cannot be read.
    #[error("cannot read the network table {path}")]
    Read {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: csv::Error,
    },
    /// A line does not hold what it must.
    #[error("line {line} of the network table: {reason}")]
    Line {
        /// The line's number, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}

/// The table. IPv4 addresses are kept as IPv4-mapped IPv6 ones, so that there is one order.
#[derive(Clone, Debug, Default)]
pub struct Networks {
    ranges: Vec<(u128, u128, Asn)>,
}

impl Networks {
    /// Reads a CSV file with the columns `start,end,asn,name`; a first line with these names is skipped, and so are
    /// ranges that nobody announces (`asn` 0).
    ///
    /// # Errors
    /// Names the line at fault.
    pub fn read(path: &Path) -> Result<Self, NetworksError> {
        let read_error = |source| NetworksError::Read { path: path.display().to_string(), source };
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_path(path)
            .map_err(read_error)?;
        let mut networks = Self::default();
        for record in reader.records() {
            let record = record.map_err(read_error)?;
            let line = record.position().map_or(0, csv::Position::line);
            if line == 1 && record.get(0) == Some("start") {
                continue;
            }
            let range = parse(&record).map_err(|reason| NetworksError::Line { line, reason })?;
            networks.ranges.extend(range);
            if networks.ranges.len() > MAX_ROWS {
                return Err(NetworksError::Line { line, reason: format!("more than {MAX_ROWS} ranges") });
            }
        }
        networks.ranges.sort_unstable();
        Ok(networks)
    }

    /// Returns the network that an address belongs to.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<Asn> {
        let wanted = as_number(address);
        let after = self.ranges.partition_point(|(start, _, _)| *start <= wanted);
        let (_, end, asn) = self.ranges.get(after.checked_sub(1)?)?;
        (wanted <= *end).then_some(*asn)
    }

    /// Returns how many ranges there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }
}

fn parse(record: &csv::StringRecord) -> Result<Option<(u128, u128, Asn)>, String> {
    let address = |column: usize, name: &str| {
        let text = record.get(column).unwrap_or_default().trim();
        text.parse::<IpAddr>().map_err(|_| format!("{name} {text:?} is no address"))
    };
    let (start, end) = (address(0, "start")?, address(1, "end")?);
    if start.is_ipv4() != end.is_ipv4() || start > end {
        return Err(format!("the range {start} to {end} runs backwards"));
    }
    let text = record.get(2).unwrap_or_default().trim();
    let number =
        text.trim_start_matches("AS").parse::<u32>().map_err(|_| format!("asn {text:?} is no number"))?;
    if number == 0 {
        return Ok(None);
    }
    let asn = Asn::new(number).map_err(|e| e.to_string())?;
    Ok(Some((as_number(start), as_number(end), asn)))
}

fn as_number(address: IpAddr) -> u128 {
    let v6: Ipv6Addr = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    v6.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<Networks, NetworksError> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("networks.csv");
        std::fs::write(&path, text).expect("written");
        Networks::read(&path)
    }

    #[test]
    fn an_address_finds_its_network_whatever_its_family() {
        let text = "start,end,asn,name\n101.50.64.0,101.50.127.255,23674,Nayatel\n39.32.0.0,39.63.255.255,17557,PTCL\n\
                    2001:4f8::,2001:4f8:ffff:ffff:ffff:ffff:ffff:ffff,9541,Cybernet\n10.0.0.0,10.1.0.0,0,none\n";
        let networks = table(text).expect("a good table");
        let find = |text: &str| networks.find(text.parse().expect("an address")).map(Asn::get);
        assert_eq!(networks.len(), 3);
        for (address, asn) in [
            ("101.50.64.0", Some(23674)),
            ("101.50.127.255", Some(23674)),
            ("::ffff:101.50.100.1", Some(23674)),
            ("101.50.128.0", None),
            ("39.40.1.2", Some(17557)),
            ("2001:4f8::1", Some(9541)),
            ("1.1.1.1", None),
            ("::1", None),
        ] {
            assert_eq!(find(address), asn, "{address}");
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        for (bad, says) in [
            ("1.1.1.1,1.1.1.0,15,x", "line 2 of the network table: the range"),
            ("1.1.1.1,1.1.1.9,64512,x", "AS64512 is reserved"),
            ("1.1.1.1,nonsense,15,x", "end \"nonsense\" is no address"),
            ("1.1.1.1,1.1.1.2", "asn \"\" is no number"),
        ] {
            let error = table(&format!("start,end,asn,name\n{bad}\n")).expect_err(bad);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
