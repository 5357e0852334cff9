//! Ports that no endpoint may have, whoever signed it: an agent must not be made to knock at other people's doors.

/// Ports of logins, mail, file sharing, databases, printers, telephony and whatever amplifies: the Fetch standard's list of
/// bad ports, and services that a browser never meets. Sorted.
const DENIED: &[u16] = &[
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 67, 68, 69, 77, 79, 87, 88, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 138, 139, 143, 161, 162, 179, 389, 427,
    445, 464, 465, 502, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 623, 631,
    636, 873, 902, 989, 990, 993, 995, 1433, 1434, 1521, 1719, 1720, 1723, 1883, 1900, 2049, 2375, 2376,
    3128, 3268, 3306, 3389, 3659, 3702, 4045, 4190, 4786, 5038, 5060, 5061, 5353, 5355, 5432, 5555, 5672,
    5683, 5900, 5901, 5985, 5986, 6000, 6379, 6443, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 7547,
    8291, 9100, 9200, 9300, 10080, 10250, 11211, 27017, 27018, 50000,
];

/// Says whether a port belongs to services that no check may touch.
#[must_use]
pub fn is_denied_port(port: u16) -> bool {
    DENIED.binary_search(&port).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_denied_ports_are_sorted_and_hold_what_matters() {
        assert!(DENIED.is_sorted());
        for port in [22, 25, 53, 139, 445, 3389, 6667] {
            assert!(is_denied_port(port), "{port}");
        }
        for port in [80, 443, 1080, 1194, 8443, 9001, 51820] {
            assert!(!is_denied_port(port), "{port}");
        }
    }
}
