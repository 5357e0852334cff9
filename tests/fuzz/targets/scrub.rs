//! Foreign bytes with the volunteer's address somewhere in them.

#![no_main]

use faultline_agent::scrub::Scrubber;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// Made once: there are hundreds of forms of an address.
static SCRUBBER: LazyLock<Scrubber> = LazyLock::new(|| {
    Scrubber::new(&[[39, 32, 7, 209].into(), "2400:adc5:1f:4400:8d2b:31ff:fe44:1a7c".parse().expect("an address")])
});

fuzz_target!(|data: &[u8]| {
    let Some((at, text)) = data.split_first() else { return };
    let at = usize::from(*at).min(text.len());
    let planted = [&text[..at], b" 39.32.7.209 ", &text[at..]].concat();
    let scrubbed = SCRUBBER.scrub_bytes(&planted);
    // With a digit beside it that makes another octet it is another address, such as 139.32.7.209.
    let is_digit = |at: Option<usize>| at.and_then(|at| scrubbed.get(at)).is_some_and(u8::is_ascii_digit);
    let mut places = scrubbed.windows(11).enumerate().filter(|(_, window)| *window == b"39.32.7.209");
    assert!(places.all(|(at, _)| is_digit(at.checked_sub(1)) || is_digit(Some(at + 11))), "it is found alone");
    let _ = SCRUBBER.scrub_text(&String::from_utf8_lossy(&planted));
});
