//! Subscribers' phone numbers: mobile networks put them into headers and redirects, and block pages show them.
//!
//! What is taken for one: an international number with its plus sign, an international or Pakistani number as it is
//! dialled, and whatever digits follow a key that means a subscriber (`msisdn=`, `imsi:`, ...).

use std::ops::Range;

/// Keys of subscribers' numbers, in lower case.
const KEYS: [&[u8]; 12] = [
    b"msisdn",
    b"imsi",
    b"imei",
    b"mdn",
    b"subscriber",
    b"subno",
    b"mobile",
    b"phone",
    b"cellno",
    b"telno",
    b"calling-line-id",
    b"up-calling",
];
/// Between a key and its number, at most.
const KEY_GAP: usize = 12;
/// Digits of an international number (E.164).
const INTERNATIONAL: Range<usize> = 8..16;

/// Finds phone numbers.
pub(super) fn find(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let run = Run::at(bytes, at);
        if is_phone(bytes, &run) {
            found.push(run.begin..run.end);
        }
        at = run.next;
    }
    found
}

/// Digits, in groups as people write them where a plus sign stands before them.
struct Run {
    /// Where they begin, with the plus sign.
    begin: usize,
    end: usize,
    /// Where to look on.
    next: usize,
    digits: Vec<u8>,
    has_plus: bool,
}

impl Run {
    fn at(bytes: &[u8], at: usize) -> Self {
        let plus = [&b"+"[..], b"%2B", b"%2b", b"&#43;"].into_iter().find(|plus| bytes[..at].ends_with(plus));
        let mut digits = Vec::new();
        let (mut here, mut end) = (at, at);
        while here < bytes.len() {
            let byte = bytes[here];
            if byte.is_ascii_digit() {
                digits.push(byte);
                end = here + 1;
            } else if plus.is_none() || !matches!(byte, b' ' | b'-' | b'(' | b')') || here > end + 1 {
                break;
            }
            here += 1;
        }
        let begin = at - plus.map_or(0, <[u8]>::len);
        Self { begin, end, next: end.max(at + 1), digits, has_plus: plus.is_some() }
    }
}

fn is_phone(bytes: &[u8], run: &Run) -> bool {
    let digits = run.digits.as_slice();
    let is_word = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at)).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'.')
    };
    // Part of a longer word is a hash, a name or a version; after a percent sign stand two digits of another byte.
    let stands_alone = !is_word(run.begin.checked_sub(1))
        && !is_word(Some(run.end).filter(|end| bytes.get(*end) != Some(&b'.')));
    if follows_key(bytes, run.begin) && (6..=20).contains(&digits.len()) {
        return true;
    }
    if run.has_plus {
        return INTERNATIONAL.contains(&digits.len()) && digits[0] != b'0';
    }
    let dialled = match digits {
        [b'0', b'0', b'1'..=b'9', ..] => (10..=17).contains(&digits.len()),
        // 03xx xxxxxxx and 92 3xx xxxxxxx: Pakistan's mobile numbers.
        [b'0', b'3', ..] => digits.len() == 11,
        [b'9', b'2', b'3', ..] => digits.len() == 12,
        _ => false,
    };
    dialled && stands_alone
}

fn follows_key(bytes: &[u8], begin: usize) -> bool {
    let from = begin.saturating_sub(KEY_GAP + 16);
    let before = bytes[from..begin].to_ascii_lowercase();
    let gap = before.iter().rev().take_while(|byte| !byte.is_ascii_alphanumeric()).count();
    let word = &before[..before.len() - gap];
    // `msisdn%3D92...`: the encoded sign stands between key and number.
    let word = word.strip_suffix(b"%3d").or_else(|| word.strip_suffix(b"%3a")).unwrap_or(word);
    (gap > 0 || word.len() + gap < before.len())
        && gap <= KEY_GAP
        && KEYS.iter().any(|key| {
            word.ends_with(key)
                || word.ends_with(&[key, &b"no"[..]].concat())
                || word.ends_with(&[key, &b"number"[..]].concat())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrub(text: &str) -> String {
        let mut kept = text.to_owned();
        for range in find(text.as_bytes()).into_iter().rev() {
            kept.replace_range(range, "#");
        }
        kept
    }

    #[test]
    fn numbers_are_found_as_networks_and_pages_write_them() {
        for (text, expected) in [
            ("http://b.pk/?msisdn=923001234567&c=1", "http://b.pk/?msisdn=#&c=1"),
            ("http://b.pk/?m=%2B923001234567", "http://b.pk/?m=#"),
            ("Dear +92 300 1234567, this site", "Dear #, this site"),
            ("call +1 (202) 555-0143 now", "call # now"),
            ("from 00923001234567.", "from #."),
            ("from 03001234567", "from #"),
            ("X-UP-CALLING-LINE-ID: 3001234567", "X-UP-CALLING-LINE-ID: #"),
            ("{\"imsi\": \"410013001234567\"}", "{\"imsi\": \"#\"}"),
            ("mobileNumber%3D3001234567", "mobileNumber%3D#"),
            ("923001234567", "#"),
        ] {
            assert_eq!(scrub(text), expected, "{text}");
        }
    }

    #[test]
    fn other_numbers_are_left_alone() {
        for text in [
            "1705758000000",
            "20240120",
            "version 10.2.0.1",
            "sha256 0300123456789abcdef",
            "a03001234567",
            "200 OK",
            "Content-Length: 8192",
            "https://x.com/i/status/1748600000000000000",
            "iphone 15",
        ] {
            assert_eq!(scrub(text), text);
        }
    }
}
