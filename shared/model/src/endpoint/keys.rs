//! Base64 and hexadecimal of fixed length, strictly: one text per value, so that a target has one normal form.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Reads `N` bytes of standard base64, with its padding or without.
pub(super) fn base64_bytes<const N: usize>(text: &str, is_padded: bool) -> Option<[u8; N]> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let expected = if is_padded { (3 - N % 3) % 3 } else { 0 };
    if padding != expected || digits.len() != (N * 8).div_ceil(6) {
        return None;
    }
    let (mut bytes, mut filled) = ([0u8; N], 0);
    let (mut bits, mut width) = (0u32, 0u32);
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        width += 6;
        if width >= 8 {
            width -= 8;
            *bytes.get_mut(filled)? = (bits >> width & 0xff) as u8;
            filled += 1;
            bits &= (1 << width) - 1;
        }
    }
    // Bits that belong to no byte must be zero, or two texts would mean the same.
    (filled == N && bits == 0).then_some(bytes)
}

/// Writes standard base64 with its padding.
pub(super) fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = (group >> (18 - 6 * at) & 63) as usize;
            text.push(if at <= chunk.len() { char::from(ALPHABET[digit]) } else { '=' });
        }
    }
    text
}

/// Reads `N` bytes in hexadecimal digits of either case.
pub(super) fn hex_bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0u8; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(bytes)
}

/// Writes hexadecimal digits as bridge lines have them, in capitals.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
