//! `run`: the agent itself.

use super::Failed;
use crate::agent::{Agent, Setup, start};
use crate::checks;
use crate::net::{Net, Roots};
use crate::runner::raise_file_limit;
use crate::state::{Home, LockError, RunLock};
use faultline_runtime::{LogFormat, Supervisor, init_telemetry};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Services end within this time after a signal.
const GRACE: Duration = Duration::from_secs(4);
/// `status` holds the lock for a moment to see whether anybody does.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn execute(home: &Path, roots: &Roots) -> Result<(), Failed> {
    init_telemetry("info", LogFormat::Text);
    raise_file_limit();
    let home = Home::open(home)?;
    let _lock = lock(&home).await?;
    home.ask_to_stop(false)?;
    let (record, identity) = home.agent()?;
    let net = Arc::new(Net::new(roots)?);
    let checks = checks::known(&net);
    let agent = Arc::new(Agent::open(home, record, &checks)?.knowing(net.own()).watching_line());
    tracing::info!(agent = agent.record.agent_id, control = agent.record.control, "the agent runs");
    let journal = std::env::var_os("FAULTLINE_ACK_JOURNAL").map(PathBuf::from);
    let mut supervisor = Supervisor::new();
    start(&agent, checks, Setup { identity, journal }, &mut supervisor)?;
    supervisor.run(GRACE).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    tracing::info!("the agent has stopped");
    Ok(())
}

async fn lock(home: &Home) -> Result<RunLock, LockError> {
    for _ in 1..LOCK_TRIES {
        match RunLock::take(home) {
            Err(LockError::Taken(_)) => tokio::time::sleep(LOCK_PAUSE).await,
            other => return other,
        }
    }
    RunLock::take(home)
}
