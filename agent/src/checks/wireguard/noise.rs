//! WireGuard's first two messages: `Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s` without a pre-shared key.
//!
//! ```text
//! initiation, 148 bytes: 1 0 0 0 | sender 4 | ephemeral 32 | static 48 | timestamp 28 | mac1 16 | mac2 16
//! response,    92 bytes: 2 0 0 0 | sender 4 | receiver 4 | ephemeral 32 | nothing 16 | mac1 16 | mac2 16
//! cookie,      64 bytes: 3 0 0 0 | ...
//! ```
//! Curve and cipher are those of the one crypto provider; it lacks BLAKE2s, which comes from RustCrypto. A handshake here
//! opens nothing: its keys are thrown away once the answer has proved who made it.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::rand;
use blake2::digest::consts::U16;
use blake2::digest::{KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac, Digest};
use faultline_model::Timestamp;

const CONSTRUCTION: &[u8] = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
const IDENTIFIER: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";
const LABEL_MAC1: &[u8] = b"mac1----";
/// The second of TAI64 that is Unix's first.
const TAI64_EPOCH: u64 = 0x4000_0000_0000_000a;
/// Length of an initiation.
pub(super) const INITIATION: usize = 148;
const RESPONSE: usize = 92;
const COOKIE: usize = 64;
const BLOCK: usize = 64;

type Bytes = [u8; 32];

/// What a server says.
#[derive(Debug)]
pub(super) enum Answer {
    Response([u8; RESPONSE]),
    Cookie,
}

/// Tells what an answer is by its type and length.
pub(super) fn read(datagram: &[u8]) -> Option<Answer> {
    match datagram {
        [2, 0, 0, 0, ..] => datagram.try_into().ok().map(Answer::Response),
        [3, 0, 0, 0, ..] if datagram.len() == COOKIE => Some(Answer::Cookie),
        _ => None,
    }
}

/// One initiation, and what is needed to read its answer.
pub(super) struct Initiation {
    pub(super) datagram: [u8; INITIATION],
    sender: [u8; 4],
    own: PrivateKey,
    ephemeral: PrivateKey,
    chain: Bytes,
    hash: Bytes,
}

impl Initiation {
    /// Makes an initiation; none if a key cannot be used.
    pub(super) fn new(server: &Bytes, client: &Bytes, now: Timestamp) -> Option<Self> {
        let own = PrivateKey::from_private_key(&X25519, client).ok()?;
        let ephemeral = PrivateKey::generate(&X25519).ok()?;
        let mut sender = [0; 4];
        rand::fill(&mut sender).ok()?;
        let public = public(&ephemeral)?;
        let mut chain = hash(&[CONSTRUCTION]);
        let mut state = hash(&[&hash(&[&chain, IDENTIFIER]), server]);
        chain = derive(&chain, &public)[0];
        state = hash(&[&state, &public]);
        let [next, key, _] = derive(&chain, &shared(&ephemeral, server)?);
        let own_sealed = seal(&key, &self::public(&own)?, &state)?;
        state = hash(&[&state, &own_sealed]);
        let [next, key, _] = derive(&next, &shared(&own, server)?);
        let time_sealed = seal(&key, &tai64n(now), &state)?;
        state = hash(&[&state, &time_sealed]);
        let mut bytes = vec![1, 0, 0, 0];
        for part in [&sender[..], &public, &own_sealed, &time_sealed] {
            bytes.extend_from_slice(part);
        }
        bytes.extend(mac(&hash(&[LABEL_MAC1, server]), &bytes)?);
        bytes.extend([0; 16]);
        Some(Self { datagram: bytes.try_into().ok()?, sender, own, ephemeral, chain: next, hash: state })
    }

    /// Says whether a response names this initiation.
    pub(super) fn is_answered_by(&self, response: &[u8; RESPONSE]) -> bool {
        response[8..12] == self.sender
    }

    /// Says whether a response was made by the holder of the server's private key.
    pub(super) fn is_completed_by(&self, response: &[u8; RESPONSE]) -> bool {
        self.open(response).is_some()
    }

    fn open(&self, response: &[u8; RESPONSE]) -> Option<()> {
        let peer: Bytes = response[12..44].try_into().ok()?;
        let chain = derive(&self.chain, &peer)[0];
        let state = hash(&[&self.hash, &peer]);
        let chain = derive(&chain, &shared(&self.ephemeral, &peer)?)[0];
        let chain = derive(&chain, &shared(&self.own, &peer)?)[0];
        let [_, middle, key] = derive(&chain, &[0; 32]);
        let state = hash(&[&state, &middle]);
        let mut nothing: [u8; 16] = response[44..60].try_into().ok()?;
        cipher(&key)?.open_in_place(nonce(), Aad::from(state), &mut nothing).ok()?;
        Some(())
    }
}

fn public(key: &PrivateKey) -> Option<Bytes> {
    key.compute_public_key().ok()?.as_ref().try_into().ok()
}

fn shared(own: &PrivateKey, peer: &Bytes) -> Option<Bytes> {
    let peer = UnparsedPublicKey::new(&X25519, peer);
    agree(own, peer, (), |secret| secret.try_into().map_err(|_| ())).ok()
}

fn hash(parts: &[&[u8]]) -> Bytes {
    let mut hasher = Blake2s256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// HMAC over BLAKE2s (RFC 2104); no key here is longer than a block.
fn hmac(key: &Bytes, parts: &[&[u8]]) -> Bytes {
    let pad = |with: u8| {
        let mut block = [with; BLOCK];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let (inner, outer) = (pad(0x36), pad(0x5c));
    let message = [&[&inner[..]], parts].concat();
    hash(&[&outer, &hash(&message)])
}

/// HKDF with three outputs; callers take as many as they need.
fn derive(chain: &Bytes, input: &[u8]) -> [Bytes; 3] {
    let secret = hmac(chain, &[input]);
    let first = hmac(&secret, &[&[1]]);
    let second = hmac(&secret, &[&first, &[2]]);
    let third = hmac(&secret, &[&second, &[3]]);
    [first, second, third]
}

fn mac(key: &Bytes, bytes: &[u8]) -> Option<[u8; 16]> {
    let mut mac = Blake2sMac::<U16>::new_from_slice(key).ok()?;
    mac.update(bytes);
    Some(mac.finalize().into_bytes().into())
}

fn cipher(key: &Bytes) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(LessSafeKey::new)
}

/// Each key seals one message.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn seal(key: &Bytes, plain: &[u8], state: &Bytes) -> Option<Vec<u8>> {
    let mut sealed = plain.to_vec();
    cipher(key)?.seal_in_place_append_tag(nonce(), Aad::from(state), &mut sealed).ok()?;
    Some(sealed)
}

fn tai64n(now: Timestamp) -> [u8; 12] {
    let ms = u64::try_from(now.unix_ms()).unwrap_or(0);
    let nanos = u32::try_from(ms % 1000 * 1_000_000).unwrap_or(0);
    let mut stamp = [0; 12];
    stamp[..8].copy_from_slice(&(TAI64_EPOCH + ms / 1000).to_be_bytes());
    stamp[8..].copy_from_slice(&nanos.to_be_bytes());
    stamp
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blake2s_and_its_hmac_agree_with_known_answers() {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        // RFC 7693, appendix B.
        assert_eq!(hex(&hash(&[b"abc"])), "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
        // The initial chaining key of every WireGuard handshake, as other implementations have it.
        let chain = hash(&[CONSTRUCTION]);
        assert_eq!(chain[..8], [96, 226, 109, 174, 243, 39, 239, 192]);
        assert_eq!(hash(&[&chain, IDENTIFIER])[..8], [34, 17, 179, 97, 8, 26, 197, 102]);
    }

    #[test]
    fn an_initiation_has_the_shape_that_filters_look_for() {
        let initiation = Initiation::new(&[9; 32], &[7; 32], Timestamp::from_unix_ms(1_700_000_000_000))
            .expect("an initiation");
        assert_eq!(initiation.datagram.len(), INITIATION);
        assert_eq!(initiation.datagram[..4], [1, 0, 0, 0]);
        assert_eq!(initiation.datagram[132..], [0; 16], "no cookie is known");
    }

    #[test]
    fn only_a_response_is_one_and_a_forged_one_completes_nothing() {
        let mut forged = [0u8; RESPONSE];
        forged[0] = 2;
        let now = Timestamp::from_unix_ms(0);
        let initiation = Initiation::new(&[9; 32], &[7; 32], now).expect("an initiation");
        forged[8..12].copy_from_slice(&initiation.sender);
        forged[12..44].copy_from_slice(&[5; 32]);
        assert!(matches!(read(&forged), Some(Answer::Response(_))));
        assert!(initiation.is_answered_by(&forged) && !initiation.is_completed_by(&forged));
        assert!(read(&forged[..91]).is_none() && read(&[3; 64]).is_none() && read(&[]).is_none());
    }
}
