//! `pause` and `resume`: a marker that the running agent looks for.

use super::Failed;
use crate::state::Home;
use std::path::Path;

pub(super) fn execute(home: &Path, paused: bool) -> Result<(), Failed> {
    Home::open(home)?.set_paused(paused)?;
    if paused {
        println!("Measuring is paused. Nothing is measured until: faultline-agent resume");
    } else {
        println!("Measuring goes on.");
    }
    Ok(())
}
