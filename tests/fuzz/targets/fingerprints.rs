//! Fingerprint files of others.

#![no_main]

use faultline_analysis::judge::Fingerprints;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let names = ["fingerprints_dns.csv", "fingerprints_http.csv", "false_positive_signatures.json", "blockpage_signatures.json"];
    let Some((first, bytes)) = data.split_first() else { return };
    let name = names[usize::from(*first) % names.len()];
    let (_, loaded) = Fingerprints::with_files([(name, bytes)]);
    assert!(loaded.len() <= 1);
});
