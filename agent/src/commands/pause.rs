//! `pause` and `resume`: a marker that the running agent looks for.

use super::Failed;
use super::print::say;
use crate::state::Home;
use std::path::Path;

pub(super) fn execute(home: &Path, paused: bool) -> Result<(), Failed> {
    Home::open(home)?.set_paused(paused)?;
    if paused {
        say(format_args!("Measuring is paused. Nothing is measured until: faultline-agent resume"));
    } else {
        say(format_args!("Measuring goes on."));
    }
    Ok(())
}
