//! The first cells of a Tor link (tor-spec, "Negotiating versions with VERSIONS cells" and "CERTS cells").
//!
//! VERSIONS is the one cell with a circuit id of two bytes; what follows it has four, as every version from 4 on.

use aws_lc_rs::digest;
use faultline_model::{Failure, TunnelFact};
use x509_parser::prelude::{FromDer, X509Certificate};

const VERSIONS: u8 = 7;
const CERTS: u8 = 129;
const OFFERED: [u16; 3] = [3, 4, 5];
/// The kind of certificate that holds a relay's RSA identity, signed by itself.
const RSA_IDENTITY: u8 = 2;
const FIXED_PAYLOAD: usize = 509;

/// Writes the VERSIONS cell.
pub(super) fn versions() -> Vec<u8> {
    let mut cell = vec![0, 0, VERSIONS, 0, 6];
    OFFERED.iter().for_each(|version| cell.extend(version.to_be_bytes()));
    cell
}

/// What is known of a link.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) has_versions: bool,
    pub(super) has_certificates: bool,
    pub(super) identity: Option<[u8; 20]>,
    version: u16,
}

impl Links {
    /// Takes all whole cells from the front of what came.
    pub(super) fn take(&mut self, buffer: &mut Vec<u8>, fact: &mut TunnelFact) -> Result<(), Failure> {
        loop {
            let width = if self.has_versions && self.version >= 4 { 4 } else { 2 };
            let Some(command) = buffer.get(width).copied() else { return Ok(()) };
            if !self.has_versions && (command != VERSIONS || buffer[..2] != [0, 0]) {
                return Err(Failure::TunnelInvalidReply);
            }
            let is_variable = command == VERSIONS || command >= 128;
            let (start, length) = if is_variable {
                let Some([high, low]) = buffer.get(width + 1..width + 3) else { return Ok(()) };
                (width + 3, usize::from(u16::from_be_bytes([*high, *low])))
            } else {
                (width + 1, FIXED_PAYLOAD)
            };
            let Some(payload) = buffer.get(start..start + length) else { return Ok(()) };
            match command {
                VERSIONS if !self.has_versions => self.read_versions(payload, fact)?,
                CERTS => {
                    fact.note("certs");
                    self.has_certificates = true;
                    self.identity = identity(payload);
                }
                other => fact.note(&format!("cell {other}")),
            }
            buffer.drain(..start + length);
        }
    }

    fn read_versions(&mut self, payload: &[u8], fact: &mut TunnelFact) -> Result<(), Failure> {
        let offered: Vec<u16> =
            payload.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        let names: Vec<String> = offered.iter().take(12).map(ToString::to_string).collect();
        fact.note(&format!("versions {}", names.join(" ")));
        let common = offered.iter().copied().filter(|version| OFFERED.contains(version)).max();
        self.version = common.ok_or(Failure::TunnelInvalidReply)?;
        self.has_versions = true;
        Ok(())
    }
}

/// Finds the RSA identity's fingerprint: SHA-1 over the public key in DER.
fn identity(payload: &[u8]) -> Option<[u8; 20]> {
    let (count, mut rest) = payload.split_first()?;
    for _ in 0..*count {
        let (head, after) = rest.split_first_chunk::<3>()?;
        let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let (certificate, after) = after.split_at_checked(length)?;
        if head[0] == RSA_IDENTITY {
            let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
            let key = &parsed.public_key().subject_public_key.data;
            return digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key).as_ref().try_into().ok();
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, proptest};

    fn take(bytes: &[u8]) -> (Result<(), Failure>, Links, TunnelFact) {
        let (mut links, mut fact, mut buffer) = (Links::default(), TunnelFact::default(), bytes.to_vec());
        let taken = links.take(&mut buffer, &mut fact);
        (taken, links, fact)
    }

    #[test]
    fn versions_are_negotiated_and_the_cells_after_them_are_wider() {
        let answer = [&[0, 0, 7, 0, 4, 0, 4, 0, 9][..], &[0, 0, 0, 0, 129, 0, 1, 0]].concat();
        let (taken, links, fact) = take(&answer);
        assert_eq!(taken, Ok(()));
        assert!(links.has_versions && links.has_certificates && links.identity.is_none());
        assert_eq!(fact.replies, ["versions 4 9", "certs"]);
        for cut in 0..9 {
            assert!(!take(&answer[..cut]).1.has_versions);
        }
    }

    #[test]
    fn what_is_no_relay_is_told_at_once() {
        assert_eq!(take(b"HTTP/1.1 400").0, Err(Failure::TunnelInvalidReply));
        assert_eq!(take(&[0, 0, 7, 0, 2, 0, 99]).0, Err(Failure::TunnelInvalidReply), "no common version");
    }

    proptest! {
        #[test]
        fn no_bytes_of_a_peer_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = take(&bytes);
            let _ = take(&[&[0, 0, 7, 0, 2, 0, 4][..], &bytes].concat());
            let _ = identity(&bytes);
        }
    }
}
