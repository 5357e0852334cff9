//! A resolver's reply.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = faultline_agent::net::dns::read_reply("www.example.com", data);
});
