//! Replays a directory of recorded rows: `replay DIR`, prints `{"incidents": [...]}`.

use faultline_analysis::replay::{Heartbeat, Row, Topology, run_with_presence};
use flate2::read::MultiGzDecoder;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).map(PathBuf::from).ok_or("usage: replay DIR")?;
    let topology: Topology = serde_json::from_reader(open(&directory, "topology.json")?)?;
    let mut bad = 0;
    let lines = open(&directory, "measurements.jsonl")?.lines();
    let rows = lines.map_while(Result::ok).filter_map(|line| {
        let row = serde_json::from_str::<Row>(&line);
        bad += usize::from(row.is_err());
        row.ok()
    });
    let beats = open(&directory, "heartbeats.jsonl")?.lines().map_while(Result::ok);
    let beats = beats.filter_map(|line| serde_json::from_str::<Heartbeat>(&line).ok());
    let output = run_with_presence(&topology, rows, beats)?;
    eprintln!("{} incidents, {bad} bad lines", output.incidents.len());
    println!("{}", serde_json::to_string_pretty(&output)?);
    Ok(())
}

fn open(directory: &Path, name: &str) -> Result<Box<dyn BufRead>, Box<dyn Error>> {
    let plain = directory.join(name);
    if plain.exists() {
        return Ok(Box::new(BufReader::new(File::open(plain)?)));
    }
    let packed: Box<dyn Read> =
        Box::new(MultiGzDecoder::new(File::open(directory.join(format!("{name}.gz")))?));
    Ok(Box::new(BufReader::new(packed)))
}
