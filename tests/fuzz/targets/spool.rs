//! A spool segment, as a crash or a broken disk left it.

#![no_main]

use faultline_agent::spool::{Bounds, Spool};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
    let private = dir.path().join("spool");
    faultline_runtime::create_private_dir(&private).expect("made");
    // Behind a good head most of the time, so that the records are reached.
    let head = [&b"FLTSPOOL"[..], &[1, 0, 0, 0, 0, 0, 0, 0]].concat();
    let file = if data.first().is_some_and(|byte| byte % 8 == 0) { data.to_vec() } else { [&head, data].concat() };
    std::fs::write(private.join("0000000000000001.seg"), file).expect("written");
    let mut spool = Spool::open(&private, Bounds::default()).expect("whatever stands there, it opens");
    let batch = spool.batch(50);
    let keys: Vec<_> = batch.iter().map(|(key, _)| *key).collect();
    spool.acknowledge(&keys);
});
