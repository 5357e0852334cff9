//! `leave`: stops the running agent and deletes everything that it made.

use super::print::say;
use super::{Failed, usage};
use crate::state::{Home, LockError, RunLock};
use anyhow::Context;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

/// A running agent looks for the marker every few seconds and then drains.
const STOP_TRIES: u32 = 120;
const STOP_PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn execute(home: &Path, yes: bool) -> Result<(), Failed> {
    let home = Home::open(home)?;
    if !yes && !confirm(&home)? {
        say(format_args!("Nothing was changed."));
        return Ok(());
    }
    let _lock = stop_running(&home).await?;
    let remaining = home.remove();
    if remaining.is_empty() {
        say(format_args!("The agent has left. Nothing of it remains in {}.", home.dir().display()));
    } else {
        say(format_args!("The agent has left. These files are not the agent's and remain:"));
        remaining.iter().for_each(|path| say(format_args!("  {}", path.display())));
    }
    Ok(())
}

fn confirm(home: &Home) -> Result<bool, Failed> {
    if !std::io::stdin().is_terminal() {
        return Err(usage("leaving deletes the agent's key and its unsent measurements; add --yes to do so"));
    }
    print!("Stop the agent and delete everything in {}? (yes/no) ", home.dir().display());
    std::io::stdout().flush().context("cannot ask")?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the answer")?;
    Ok(line.trim().eq_ignore_ascii_case("yes"))
}

async fn stop_running(home: &Home) -> Result<RunLock, Failed> {
    for attempt in 0..STOP_TRIES {
        match RunLock::take(home) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Taken(_)) if attempt == 0 => home.ask_to_stop(true)?,
            Err(LockError::Taken(_)) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(STOP_PAUSE).await;
    }
    Ok(RunLock::take(home).context("the running agent does not stop; nothing was deleted")?)
}
