//! Foreign bytes with the volunteer's address somewhere in them.

#![no_main]

use faultline_agent::scrub::Scrubber;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((at, text)) = data.split_first() else { return };
    let at = usize::from(*at).min(text.len());
    let planted = [&text[..at], b" 39.32.7.209 ", &text[at..]].concat();
    let scrubber = Scrubber::new(&[[39, 32, 7, 209].into(), "2400:adc5:1f:4400:8d2b:31ff:fe44:1a7c".parse().expect("an address")]);
    let scrubbed = scrubber.scrub_bytes(&planted);
    assert!(!scrubbed.windows(11).any(|window| window == b"39.32.7.209"));
    let _ = scrubber.scrub_text(&String::from_utf8_lossy(&planted));
});
