//! What was measured lately, for the volunteer's own eyes: in memory only, told over a socket in the agent's home, and
//! written to a log on disk only where the volunteer's terms say so.

use crate::state::Home;
use faultline_model::{Measurement, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

const REMEMBERED: usize = 50;
/// A log of this size becomes the old one, and the old one before it is gone.
const MAX_LOG_BYTES: u64 = 256 * 1024;
const MAX_ANSWER_BYTES: u64 = 256 * 1024;
const ANSWER_DEADLINE: Duration = Duration::from_secs(1);

/// One measurement, in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentMeasurement {
    /// When it was begun.
    pub at: Timestamp,
    /// What was run.
    pub check: String,
    /// Against what.
    pub target: String,
    /// The first step that failed and how, such as `tls connection_reset`; empty if everything went through.
    pub failure: String,
}

impl From<&Measurement> for RecentMeasurement {
    fn from(measurement: &Measurement) -> Self {
        let failed = measurement.first_failure();
        let failure = failed.map(|step| {
            let code = step.failure.as_ref().map_or("", |failure| failure.code());
            format!("{} {code}", step.layer.as_str())
        });
        Self {
            at: measurement.started_at,
            check: measurement.check.to_string(),
            target: measurement.target.to_string(),
            failure: failure.unwrap_or_default(),
        }
    }
}

/// The latest measurements.
#[derive(Debug, Default)]
pub struct Recent(Mutex<VecDeque<RecentMeasurement>>);

impl Recent {
    /// Remembers a measurement; the oldest is forgotten for it.
    pub fn note(&self, measurement: RecentMeasurement) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back(measurement);
        if all.len() > REMEMBERED {
            all.pop_front();
        }
    }

    /// Returns what is remembered, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<RecentMeasurement> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Tells whoever may enter the home, until it is told to stop. A home whose path is too long for a socket is told
    /// nothing, which is no reason not to measure.
    pub async fn tell(&self, home: &Home, stop: &CancellationToken) {
        let path = home.recent_socket();
        // Left behind by a process that was killed; the home's lock says that there is no other.
        let _ = std::fs::remove_file(&path);
        let Ok(listener) = UnixListener::bind(&path) else {
            tracing::warn!("recent measurements cannot be shown: no socket in the agent's home");
            return;
        };
        loop {
            let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { break };
            let Ok((mut stream, _)) = accepted else { continue };
            let text = serde_json::to_vec(&self.all()).unwrap_or_default();
            let _ = tokio::time::timeout(ANSWER_DEADLINE, stream.write_all(&text)).await;
        }
        let _ = std::fs::remove_file(&path);
    }
}

/// Asks the running agent; nothing if there is none.
#[must_use]
pub fn ask(home: &Home) -> Vec<RecentMeasurement> {
    let read = || -> io::Result<Vec<u8>> {
        let stream = UnixStream::connect(home.recent_socket())?;
        stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
        let mut bytes = Vec::new();
        stream.take(MAX_ANSWER_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Appends a line to the volunteer's log, which never grows past its bound.
///
/// # Errors
/// Passes on what the operating system says.
pub fn log(home: &Home, measurement: &RecentMeasurement) -> io::Result<()> {
    let (path, old) = home.logs();
    if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() >= MAX_LOG_BYTES) {
        std::fs::rename(&path, &old)?;
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
    let RecentMeasurement { at, check, target, failure } = measurement;
    let failure = if failure.is_empty() { "ok" } else { failure };
    writeln!(file, "{at} {check} {target} {failure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize) -> RecentMeasurement {
        RecentMeasurement {
            at: Timestamp::from_unix_ms(0),
            check: "web".into(),
            target: format!("https://t{number}.example.com/"),
            failure: String::new(),
        }
    }

    #[tokio::test]
    async fn the_latest_are_told_over_a_socket_and_leave_nothing_on_disk() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::create(&dir.path().join("home")).expect("a home");
        let (recent, stop) = (Recent::default(), CancellationToken::new());
        (0..60).for_each(|number| recent.note(line(number)));
        let asking = {
            let (home, stop) = (home.clone(), stop.clone());
            tokio::task::spawn_blocking(move || {
                let mut all = vec![];
                while all.is_empty() {
                    all = ask(&home);
                }
                stop.cancel();
                all
            })
        };
        recent.tell(&home, &stop).await;
        let all = asking.await.expect("no panic");
        assert_eq!((all.len(), all[0].clone()), (REMEMBERED, line(10)));
        assert_eq!(std::fs::read_dir(home.dir()).expect("listed").count(), 0);
        assert!(ask(&home).is_empty(), "nobody is there any more");
    }

    #[test]
    fn a_log_is_kept_within_its_bound() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::create(&dir.path().join("home")).expect("a home");
        for number in 0..12_000 {
            log(&home, &line(number)).expect("written");
        }
        let (path, old) = home.logs();
        let bytes = |path| std::fs::metadata(path).expect("a file").len();
        assert!(bytes(&path) + bytes(&old) < 2 * MAX_LOG_BYTES + 200);
        assert!(
            std::fs::read_to_string(path).expect("text").ends_with("web https://t11999.example.com/ ok\n")
        );
    }
}
