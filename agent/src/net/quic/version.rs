//! Version negotiation packets (RFC 9000, section 17.2.1), which anybody on the way can make.
//!
//! ```text
//! 1 bit set, 7 bits unused | version 0 (4 bytes) | length, destination id | length, source id | versions, 4 bytes each
//! ```

/// A longer offer is cut.
const MAX_VERSIONS: usize = 16;

/// Reads the versions that a datagram offers, if it is a version negotiation packet.
///
/// Whether it belongs to the connection is not looked at: quinn does that, and a forgery is a fact too.
#[must_use]
pub fn read_offered_versions(datagram: &[u8]) -> Option<Vec<u32>> {
    let (first, rest) = datagram.split_first()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    if first & 0x80 == 0 || u32::from_be_bytes(*version) != 0 {
        return None;
    }
    let (_destination, rest) = split_id(rest)?;
    let (_source, rest) = split_id(rest)?;
    let versions = rest.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes));
    Some(versions.take(MAX_VERSIONS).collect())
}

fn split_id(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_offer_is_read_and_other_packets_are_none() {
        let offer = [0xc0, 0, 0, 0, 0, 2, 9, 9, 1, 8, 0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf];
        assert_eq!(read_offered_versions(&offer), Some(vec![1, 0x6b33_43cf]));
        let mut initial = offer;
        initial[4] = 1;
        assert_eq!(read_offered_versions(&initial), None);
        let mut short = offer;
        short[0] = 0x40;
        assert_eq!(read_offered_versions(&short), None);
        assert_eq!(read_offered_versions(&offer[..7]), None, "cut within an id");
        assert_eq!(read_offered_versions(&offer[..13]), Some(vec![]), "cut within the first version");
    }

    proptest! {
        #[test]
        fn no_datagram_panics_or_gives_more_than_it_holds(
            bytes in proptest::collection::vec(any::<u8>(), 0..1500),
        ) {
            if let Some(versions) = read_offered_versions(&bytes) {
                prop_assert!(versions.len() <= MAX_VERSIONS && versions.len() * 4 + 7 <= bytes.len());
            }
        }

        #[test]
        fn every_offer_is_read_back(
            versions in proptest::collection::vec(any::<u32>(), 0..40),
            ids in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut bytes = vec![0x80, 0, 0, 0, 0, ids.len() as u8];
            bytes.extend(&ids);
            bytes.push(0);
            versions.iter().for_each(|version| bytes.extend(version.to_be_bytes()));
            let kept = versions[..versions.len().min(MAX_VERSIONS)].to_vec();
            prop_assert_eq!(read_offered_versions(&bytes), Some(kept));
        }
    }
}
