//! Makes labelled days, replays them and prints how they were judged.
//!
//! `labelled [--seeds N] [--kind K] [--level normal|hard] [--write DIR] [-v]`

#[path = "../tests/days/mod.rs"]
mod days;

use days::day::Day;
use days::kinds::{KINDS, SLOW_KINDS, make};
use days::land::{Level, count};
use days::score::{Marks, score, stamp};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Options {
    seeds: u64,
    first: u64,
    kind: Option<String>,
    level: Option<String>,
    write: Option<String>,
    is_verbose: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let mut jobs: Vec<(&'static str, u64, Level)> = Vec::new();
    for kind in KINDS.into_iter().chain(SLOW_KINDS) {
        if options.kind.as_ref().is_some_and(|wanted| !wanted.split(',').any(|own| own == kind)) {
            continue;
        }
        for level in [Level::Normal, Level::Hard] {
            if options.level.as_ref().is_none_or(|wanted| format!("{level:?}").to_lowercase() == *wanted) {
                jobs.extend((options.first..options.first + options.seeds).map(|seed| (kind, seed, level)));
            }
        }
    }
    if let Some(folder) = &options.write {
        return jobs.iter().try_for_each(|(kind, seed, level)| {
            let name = format!("{kind}-{level:?}-{seed}").to_lowercase();
            write(&make(kind, *seed, *level), &Path::new(folder).join(name))
        });
    }
    let next = AtomicUsize::new(0);
    let done: Mutex<BTreeMap<usize, (Marks, f64)>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((kind, seed, level)) = jobs.get(at) else { return };
                    let day = make(kind, *seed, *level);
                    let end = stamp(day.land.hours * 3600.0);
                    let said = day.replay();
                    if options.is_verbose && options.kind.is_some() {
                        for one in &said {
                            println!(
                                "  {kind} {seed} {level:?} r{} {} {:?} {} at {} {}",
                                one.revision,
                                one.verdict,
                                one.status,
                                if one.retracted { "RETRACTED" } else { "" },
                                one.detected_at,
                                one.headline
                            );
                        }
                    }
                    let days = count(day.land.agents.len()) * day.land.hours / 24.0;
                    let marks = score(&day.truth, &said, end);
                    for text in
                        marks.wrong.iter().chain(&marks.false_incidents).filter(|_| options.is_verbose)
                    {
                        eprintln!("    {kind} {seed} {level:?}: {text}");
                    }
                    done.lock().expect("no thread panics").insert(at, (marks, days));
                }
            });
        }
    });
    let done = done.into_inner().expect("no thread panics");
    print(&jobs, &done);
    Ok(())
}

fn print(jobs: &[(&'static str, u64, Level)], done: &BTreeMap<usize, (Marks, f64)>) {
    println!(
        "{:<24}{:>8}{:>7}{:>7}{:>7}{:>7}{:>7}{:>8}{:>8}",
        "kind", "level", "right", "wrong", "false", "frag", "retr", "delay", "max"
    );
    for level in [Level::Normal, Level::Hard] {
        let (mut all, mut all_days, mut quiet) = (Marks::default(), 0.0, 0);
        let mut kinds: Vec<&str> = jobs.iter().map(|job| job.0).collect();
        kinds.dedup();
        let mut seen = Vec::new();
        for kind in kinds {
            if seen.contains(&kind) {
                continue;
            }
            seen.push(kind);
            let mut sum = Marks::default();
            let mut runs = 0;
            for (at, _) in jobs.iter().enumerate().filter(|(_, job)| job.0 == kind && job.2 == level) {
                let Some((marks, days)) = done.get(&at) else { continue };
                runs += 1;
                all_days += days;
                quiet +=
                    usize::from(marks.right + marks.wrong.len() == 0 && marks.false_incidents.is_empty());
                add(&mut sum, marks);
            }
            if runs > 0 {
                line(kind, level, &sum);
                add(&mut all, &sum);
            }
        }
        let named = all.right + all.wrong.len();
        line("all", level, &all);
        println!(
            "{level:?}: {:.1} % of {named} verdicts right; {quiet} quiet days without a false word; {:.5} false incidents per agent-day over {all_days:.0}; {} gateways missed",
            100.0 * count(all.right) / count(named.max(1)),
            count(all.false_incidents.len()) / all_days.max(1e-9),
            all.transit_missed
        );
    }
}

fn add(sum: &mut Marks, marks: &Marks) {
    sum.right += marks.right;
    sum.wrong.extend(marks.wrong.iter().cloned());
    sum.false_incidents.extend(marks.false_incidents.iter().cloned());
    sum.fragments += marks.fragments;
    sum.retracted += marks.retracted;
    sum.delays.extend(&marks.delays);
    sum.transit_missed += marks.transit_missed;
}

fn line(kind: &str, level: Level, sum: &Marks) {
    let mut delays = sum.delays.clone();
    delays.sort_by(f64::total_cmp);
    let of = |delay: Option<&f64>| delay.map_or("-".to_owned(), |delay| format!("{delay:.1}"));
    println!(
        "{kind:<24}{:>8}{:>7}{:>7}{:>7}{:>7}{:>7}{:>8}{:>8}",
        format!("{level:?}"),
        sum.right,
        sum.wrong.len(),
        sum.false_incidents.len(),
        sum.fragments,
        sum.retracted,
        of(delays.get(delays.len() / 2)),
        of(delays.last())
    );
}

fn write(day: &Day, folder: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("topology.json"), serde_json::to_string_pretty(&day.topology())?)?;
    let (rows, beats) = day.data();
    let mut file = std::io::BufWriter::new(std::fs::File::create(folder.join("measurements.jsonl"))?);
    for row in rows {
        writeln!(file, "{}", serde_json::to_string(&row)?)?;
    }
    let mut file = std::io::BufWriter::new(std::fs::File::create(folder.join("heartbeats.jsonl"))?);
    for beat in beats {
        writeln!(file, "{}", serde_json::to_string(&beat)?)?;
    }
    let mut truth = serde_json::to_value(&day.truth)?;
    for key in ["incidents", "tolerated"] {
        for item in truth[key].as_array_mut().into_iter().flatten() {
            // What the shipped scorer wants: every key, and a star for anything.
            if key == "incidents" {
                item["agents"] = serde_json::json!([]);
                item["onset_by_asn"] = serde_json::json!({});
                item["end_by_asn"] = serde_json::json!({});
            } else {
                let is_any = item["verdict"].is_null();
                item["verdict"] = if is_any { "*".into() } else { item["verdict"].clone() };
                let is_any = item["targets"].as_array().is_none_or(Vec::is_empty);
                item["targets"] = if is_any { "*".into() } else { item["targets"].clone() };
            }
        }
    }
    truth["kind"] = day.kind.into();
    truth["seed"] = day.seed.into();
    truth["level"] = format!("{:?}", day.land.level).to_lowercase().into();
    truth["end"] = stamp(day.land.hours * 3600.0).to_string().into();
    truth["agent_days"] = (count(day.land.agents.len()) * day.land.hours / 24.0).into();
    std::fs::write(folder.join("truth.json"), serde_json::to_string_pretty(&truth)?)?;
    Ok(())
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options =
        Options { seeds: 10, first: 0, kind: None, level: None, write: None, is_verbose: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--seeds" => options.seeds = value()?.parse()?,
            "--first" => options.first = value()?.parse()?,
            "--kind" => options.kind = Some(value()?),
            "--level" => options.level = Some(value()?),
            "--write" => options.write = Some(value()?),
            "-v" => options.is_verbose = true,
            other => return Err(format!("{other} is not known").into()),
        }
    }
    Ok(options)
}
