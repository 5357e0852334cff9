//! Which of a name's addresses one run tries.

use std::net::IpAddr;

/// One run tries at most so many addresses of a family.
const PER_FAMILY: usize = 2;

/// Chooses the addresses of one run, the one that is tried in any case first. Another turn begins elsewhere in each
/// family, so that every address has its turn in the end. IPv4 comes first: every vantage point has it.
pub(super) fn choose(addresses: &[IpAddr], turn: u64) -> Vec<IpAddr> {
    let family = |is_v6: bool| {
        let all: Vec<IpAddr> = addresses.iter().copied().filter(|one| one.is_ipv6() == is_v6).collect();
        let start = usize::try_from(turn % (all.len().max(1) as u64)).unwrap_or(0);
        let count = all.len().min(PER_FAMILY);
        all.into_iter().cycle().skip(start).take(count).collect::<Vec<_>>()
    };
    let (v4, v6) = (family(false), family(true));
    let longest = v4.len().max(v6.len());
    (0..longest).flat_map(|at| [v4.get(at), v6.get(at)]).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn addresses(v4: u8, v6: u8) -> Vec<IpAddr> {
        let one = |text: String| text.parse().expect("an address");
        let v4 = (1..=v4).map(|last| one(format!("192.0.1.{last}")));
        v4.chain((1..=v6).map(|last| one(format!("2a00::{last}")))).collect()
    }

    #[test]
    fn both_families_are_tried_ipv4_first() {
        let chosen = choose(&addresses(5, 5), 0);
        let families: Vec<bool> = chosen.iter().map(IpAddr::is_ipv6).collect();
        assert_eq!(families, [false, true, false, true]);
        assert_eq!(choose(&addresses(1, 0), 7), addresses(1, 0));
        assert_eq!(choose(&addresses(0, 3), 0), addresses(0, 2));
        assert!(choose(&[], 3).is_empty());
    }

    #[test]
    fn every_address_has_its_turn_first_of_its_family() {
        let all = addresses(7, 4);
        let firsts: BTreeSet<IpAddr> = (0..28).flat_map(|turn| choose(&all, turn)).collect();
        assert_eq!(firsts.len(), all.len());
        let first: BTreeSet<IpAddr> = (0..7).map(|turn| choose(&all, turn)[0]).collect();
        assert_eq!(first.len(), 7);
    }

    proptest! {
        #[test]
        fn no_address_is_tried_twice_and_no_more_than_a_few(v4 in 0u8..9, v6 in 0u8..9, turn: u64) {
            let chosen = choose(&addresses(v4, v6), turn);
            let distinct: BTreeSet<&IpAddr> = chosen.iter().collect();
            prop_assert_eq!(distinct.len(), chosen.len());
            let v6_chosen = chosen.iter().filter(|one| one.is_ipv6()).count();
            prop_assert_eq!(v6_chosen, PER_FAMILY.min(v6.into()));
            prop_assert_eq!(chosen.len() - v6_chosen, PER_FAMILY.min(v4.into()));
        }
    }
}
