//! What the spool survives.

use super::segment::Fault;
use super::*;
use proptest::prelude::*;
use std::fs;

const NOW: i64 = 1_705_758_033_000;

/// The spool's folder inside a temporary one, which others may enter.
struct Directory {
    path: PathBuf,
    _outer: tempfile::TempDir,
}

impl Directory {
    fn path(&self) -> &Path {
        &self.path
    }
}

fn directory() -> Directory {
    let outer = tempfile::tempdir().expect("a directory");
    let inner = outer.path().join("spool");
    Directory { path: inner, _outer: outer }
}

fn now() -> Timestamp {
    Timestamp::from_unix_ms(NOW)
}

fn measurement(number: u64) -> wire::Measurement {
    wire::Measurement {
        id: format!("m{number}"),
        target: "https://x.com/".into(),
        started_at_ms: NOW,
        duration_ms: number,
        ..Default::default()
    }
}

fn open(dir: &Path) -> Spool {
    Spool::open(dir, Bounds::default()).expect("a spool")
}

fn ids(spool: &mut Spool) -> Vec<String> {
    spool.batch(usize::MAX).into_iter().map(|(_, measurement)| measurement.id).collect()
}

fn filled(dir: &Path, count: u64) -> Spool {
    let mut spool = open(dir);
    (0..count).for_each(|number| spool.append(&measurement(number), now()));
    spool
}

fn only_segment(dir: &Path) -> PathBuf {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir).expect("listed").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    paths.remove(0)
}

#[test]
fn only_an_acknowledgement_deletes_and_nothing_is_left_behind() {
    let dir = directory();
    drop(filled(dir.path(), 3));
    let mut spool = open(dir.path());
    assert_eq!(ids(&mut spool), ["m0", "m1", "m2"]);
    let keys: Vec<Key> = spool.batch(2).into_iter().map(|(key, _)| key).collect();
    spool.acknowledge(&keys);
    assert_eq!(ids(&mut spool), ["m2"]);
    let keys: Vec<Key> = spool.batch(2).into_iter().map(|(key, _)| key).collect();
    spool.acknowledge(&keys);
    assert!(spool.is_empty());
    assert_eq!(
        fs::read_dir(dir.path()).expect("listed").count(),
        0,
        "acknowledged data is gone from the disk"
    );
    spool.append(&measurement(9), now());
    assert_eq!(ids(&mut spool), ["m9"]);
}

#[test]
fn a_file_cut_at_any_byte_keeps_every_whole_record() {
    let dir = directory();
    drop(filled(dir.path(), 5));
    let path = only_segment(dir.path());
    let whole = fs::read(&path).expect("read");
    let record = RECORD_HEAD_BYTES + measurement(0).encode_to_vec().len();
    // Number 0 is left out of the wire as a default, so the first record is shorter.
    let ends: Vec<usize> = (1..=5)
        .map(|count| {
            let lens = (0..count).map(|n| RECORD_HEAD_BYTES + measurement(n).encode_to_vec().len());
            HEADER_BYTES + lens.sum::<usize>()
        })
        .collect();
    assert!(ends[0] == HEADER_BYTES + record && ends[4] == whole.len());
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).expect("cut");
        let mut spool = open(dir.path());
        let expected = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(ids(&mut spool).len(), expected, "cut at {cut}");
        let is_clean = ends.contains(&cut) || cut == HEADER_BYTES;
        assert_eq!(spool.losses().damaged, u64::from(!is_clean), "cut at {cut}");
        spool.append(&measurement(77), now());
        drop(spool);
        assert_eq!(ids(&mut open(dir.path())).len(), expected + 1, "cut at {cut}, appended to");
        fs::read_dir(dir.path()).expect("listed").for_each(|entry| {
            fs::remove_file(entry.expect("an entry").path()).expect("removed");
        });
    }
}

#[test]
fn a_zero_filled_tail_and_garbage_are_cut_off_and_counted() {
    for tail in [vec![0; 4096], vec![0xff; 4096], vec![1, 0, 0, 0, 0, 0, 0, 0, 0]] {
        let dir = directory();
        drop(filled(dir.path(), 2));
        let path = only_segment(dir.path());
        let whole = fs::read(&path).expect("read");
        fs::write(&path, [&whole[..], &tail].concat()).expect("grown");
        let mut spool = open(dir.path());
        assert_eq!(ids(&mut spool).len(), 2);
        assert_eq!(spool.losses().damaged, 1);
        assert_eq!(fs::read(&path).expect("read"), whole, "the file is cut, so that it is damaged only once");
    }
}

#[test]
fn a_flipped_bit_never_yields_another_measurement() {
    let dir = directory();
    drop(filled(dir.path(), 3));
    let path = only_segment(dir.path());
    let whole = fs::read(&path).expect("read");
    let good = ids(&mut open(dir.path()));
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).expect("flipped");
        let mut spool = open(dir.path());
        for (_, read) in spool.batch(usize::MAX) {
            let number: u64 = read.id[1..].parse().expect("a number");
            assert_eq!(read, measurement(number), "bit {bit}");
        }
        assert!(good.starts_with(&ids(&mut spool)), "bit {bit}: only the end is lost");
        let _ = fs::remove_file(&path);
        fs::write(&path, &whole).expect("restored");
    }
}

#[test]
fn damage_under_a_running_spool_is_noticed_when_it_is_read() {
    let dir = directory();
    let mut spool = filled(dir.path(), 2);
    let path = only_segment(dir.path());
    let mut bytes = fs::read(&path).expect("read");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).expect("flipped");
    assert_eq!(ids(&mut spool), ["m0"]);
    assert_eq!((spool.losses().damaged, spool.len()), (1, 1));
}

#[test]
fn the_oldest_are_dropped_and_counted_when_the_spool_is_full_or_stale() {
    let dir = directory();
    let bounds = Bounds { bytes: 2000, segment_bytes: 200, ..Bounds::default() };
    let mut spool = Spool::open(dir.path(), bounds).expect("a spool");
    (0..200).for_each(|number| spool.append(&measurement(number), now()));
    assert!(spool.bytes() <= 2000);
    assert_eq!(spool.losses().dropped + spool.len() as u64, 200);
    assert_eq!(ids(&mut spool).last().map(String::as_str), Some("m199"), "the newest stays");
    let later = now() + Duration::from_secs(15 * 86_400);
    let mut young = measurement(200);
    young.started_at_ms = later.unix_ms();
    spool.append(&young, later);
    assert!(spool.losses().dropped >= 190 && ids(&mut spool).contains(&"m200".to_owned()));
}

#[test]
fn a_full_disk_keeps_measurements_in_memory_until_it_takes_them() {
    let dir = directory();
    let mut spool = open(dir.path());
    spool.append(&measurement(0), now());
    spool.faults = [Fault::Full(5), Fault::Full(0), Fault::Full(40)].into();
    (1..4).for_each(|number| spool.append(&measurement(number), now()));
    assert!(spool.is_disk_failing());
    assert_eq!(ids(&mut spool), ["m0", "m1", "m2", "m3"], "none is lost and they can be sent");
    spool.append(&measurement(4), now());
    assert!(!spool.is_disk_failing());
    drop(spool);
    assert_eq!(ids(&mut open(dir.path())), ["m0", "m1", "m2", "m3", "m4"]);
}

#[test]
fn a_file_is_never_written_again_after_a_failed_sync() {
    let dir = directory();
    let mut spool = filled(dir.path(), 1);
    let first = only_segment(dir.path());
    spool.faults = [Fault::Sync].into();
    spool.append(&measurement(1), now());
    let length = fs::metadata(&first).expect("there").len();
    spool.append(&measurement(2), now());
    assert_eq!(fs::metadata(&first).expect("there").len(), length);
    assert_eq!(ids(&mut spool), ["m0", "m1", "m2"], "what could not be synced is written anew elsewhere");
}

#[test]
fn a_segment_of_a_newer_version_is_left_alone() {
    let dir = directory();
    drop(filled(dir.path(), 1));
    let path = only_segment(dir.path());
    let mut bytes = fs::read(&path).expect("read");
    bytes[8] = 9;
    fs::write(&path, &bytes).expect("written");
    let mut spool = open(dir.path());
    spool.append(&measurement(5), now());
    assert_eq!(ids(&mut spool), ["m5"]);
    assert_eq!(fs::read(&path).expect("still there"), bytes);
}

#[test]
fn memory_is_bounded_while_the_disk_fails() {
    let dir = directory();
    let mut spool = open(dir.path());
    let count = MAX_UNWRITTEN as u64 + 40;
    spool.faults = (0..count).map(|_| Fault::Full(0)).collect();
    (0..count).for_each(|number| spool.append(&measurement(number), now()));
    assert_eq!((spool.len(), spool.losses().dropped), (MAX_UNWRITTEN, 40));
}

#[derive(Clone, Debug)]
enum Step {
    Append,
    Acknowledge(usize),
    Reopen,
    Fail(u8),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_each_measurement_waits_until_it_is_acknowledged(steps in proptest::collection::vec(
        prop_oneof![
            4 => Just(Step::Append),
            2 => (0usize..6).prop_map(Step::Acknowledge),
            1 => Just(Step::Reopen),
            1 => (0u8..30).prop_map(Step::Fail),
        ], 1..60)) {
        let dir = directory();
        let bounds = Bounds { segment_bytes: 300, ..Bounds::default() };
        let mut spool = Spool::open(dir.path(), bounds).expect("a spool");
        let (mut waiting, mut made) = (std::collections::BTreeSet::new(), 0);
        for step in steps {
            match step {
                Step::Append => {
                    spool.append(&measurement(made), now());
                    waiting.insert(format!("m{made}"));
                    made += 1;
                }
                Step::Acknowledge(count) => {
                    let batch = spool.batch(count);
                    batch.iter().for_each(|(_, m)| { waiting.remove(&m.id); });
                    let keys: Vec<Key> = batch.into_iter().map(|(key, _)| key).collect();
                    spool.acknowledge(&keys);
                }
                // What waits in memory only is not promised to survive.
                Step::Reopen if !spool.is_disk_failing() => spool = Spool::open(dir.path(), bounds).expect("a spool"),
                Step::Reopen => {}
                Step::Fail(bytes) => spool.faults = [Fault::Full(bytes.into())].into(),
            }
            let held: std::collections::BTreeSet<String> = ids(&mut spool).into_iter().collect();
            prop_assert!(waiting.is_subset(&held), "lost {:?}", waiting.difference(&held));
        }
    }
}
