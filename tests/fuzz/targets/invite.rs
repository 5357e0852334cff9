//! An invite, and the volunteer's terms.

#![no_main]

use faultline_agent::policy::Terms;
use faultline_runtime::Invite;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(invite) = Invite::parse(text) {
            assert!(Invite::parse(&invite.to_string()).is_ok(), "what is read can be written");
        }
        if let Ok(terms) = Terms::parse(text) {
            assert_eq!(Terms::parse(&terms.to_toml()), Ok(terms), "what is read can be written");
        }
    }
});
