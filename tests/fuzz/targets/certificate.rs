//! A certificate, as the handshake's facts read it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (issuer, subject) = faultline_agent::net::tls::names_in(data);
    assert!(issuer.chars().count() <= 200 && subject.chars().count() <= 200, "names are bounded");
});
