//! What the running agent's services share, and how they are put together.

use crate::checks::Checks;
use crate::policy::{Ledger, Policy, Purse, Terms};
use crate::runner::{self, Order};
use crate::spool::{Bounds, Spool, SpoolError, SpoolHandle};
use crate::state::{AgentRecord, Home, StateError};
use crate::status::{BudgetReport, Report, Status};
use crate::uplink::{self, Intake};
use faultline_model::CheckKind;
use faultline_runtime::tls::Identity;
use faultline_runtime::{Supervisor, now};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// How often `status.json` is written.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// Orders on their way to the runner. When full, a schedule waits and a confirmation is refused.
const MAX_ORDERS: usize = 64;

/// Why the agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state cannot be used.
    #[error("cannot use the agent's state")]
    State(#[source] StateError),
    /// The spool cannot be used.
    #[error("cannot open the spool")]
    Spool(#[source] SpoolError),
    /// The TLS identity cannot be used.
    #[error("cannot use the agent's TLS identity")]
    Identity(#[source] faultline_runtime::tls::PeerError),
}

/// What the services share.
#[derive(Debug)]
pub struct Agent {
    /// The home directory.
    pub home: Home,
    /// What `join` settled.
    pub record: AgentRecord,
    /// What waits for the coordinator.
    pub spool: SpoolHandle,
    /// What is told about it all.
    pub status: Status,
    /// The coordinator is there again: whoever waits before trying again may try now.
    pub reconnected: Notify,
    policy: Mutex<Policy>,
    ledger: LedgerFile,
}

impl Agent {
    /// Reads what is on disk.
    ///
    /// # Errors
    /// Says what cannot be used.
    pub fn open(home: Home, record: AgentRecord, checks: &Checks) -> Result<Self, StartError> {
        let spool = Spool::open(&home.spool_dir(), Bounds::default()).map_err(StartError::Spool)?;
        let list = home.list(&record.operators);
        let terms = Terms::of(record.budget.class(), record.control);
        // A damaged ledger counts as a new one: it cannot be told what it held, and the agent must not stay silent.
        let ledger = home.load_json("ledger.json").unwrap_or_else(|_| Ledger::new(&terms, now()));
        let policy =
            Policy::new(terms, checks.keys().copied().collect(), list, ledger).for_control(record.control);
        Ok(Self {
            home,
            record,
            spool: SpoolHandle::new(spool),
            status: Status::default(),
            reconnected: Notify::new(),
            policy: Mutex::new(policy),
            ledger: LedgerFile::default(),
        })
    }

    /// Returns the policy. The lock is never held across an await.
    pub fn policy(&self) -> MutexGuard<'_, Policy> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the ledger on disk, so that whatever was permitted stays permitted only once.
    pub async fn save_ledger(self: &Arc<Self>) {
        let _turn = self.ledger.turn.lock().await;
        let agent = Arc::clone(self);
        let save = move || {
            let ledger = agent.policy().ledger().clone();
            agent.home.save_json("ledger.json", &ledger)
        };
        let saved = tokio::task::spawn_blocking(save).await;
        if let Ok(Err(error)) = saved
            && !self.ledger.is_failing.swap(true, std::sync::atomic::Ordering::Relaxed)
        {
            tracing::warn!(%error, "the ledger cannot be written; limits hold until the next restart only");
        }
    }

    /// Puts together what `status` shows.
    pub async fn report(&self) -> Report {
        let spool = self.spool.state().await;
        let budget = {
            let policy = self.policy();
            let terms = policy.terms();
            BudgetReport {
                checks_per_day: terms.checks_per_day,
                bytes_per_day: terms.bytes_per_day,
                routine_left: policy.left(Purse::Routine),
                confirmations_left: policy.left(Purse::Reserve),
            }
        };
        self.status.report(spool, budget)
    }
}

/// Writers of the ledger take turns; each writes the newest state.
#[derive(Debug, Default)]
struct LedgerFile {
    turn: tokio::sync::Mutex<()>,
    is_failing: std::sync::atomic::AtomicBool,
}

/// What the services need beside the shared state.
#[derive(Debug)]
pub struct Setup {
    /// The device key and its certificate.
    pub identity: Identity,
    /// A file that gets each acknowledged id before the measurement is deleted, for crash tests.
    pub journal: Option<PathBuf>,
}

/// Starts the agent's services.
///
/// # Errors
/// Says why the TLS identity cannot be used.
pub fn start(
    agent: &Arc<Agent>,
    checks: Checks,
    setup: Setup,
    supervisor: &mut Supervisor,
) -> Result<(), StartError> {
    let channel = uplink::channel(&agent.record, &setup.identity).map_err(StartError::Identity)?;
    let (orders, inbox) = mpsc::channel::<Order>(MAX_ORDERS);
    // What the volunteer has not agreed to is not announced, so that nobody plans with it.
    let announced = |kind: &CheckKind| agent.policy().has_opted_in(*kind);
    let kinds = checks.keys().copied().filter(announced).collect();
    let intake = Intake::new(Arc::clone(agent), orders);
    let stop = supervisor.stop_token();
    supervisor.start("runner", runner::run(Arc::clone(agent), checks, inbox, stop.clone()));
    supervisor.start("watch", uplink::watch(channel.clone(), intake, kinds, stop.clone()));
    supervisor.start("upload", uplink::upload(channel, Arc::clone(agent), setup.journal, stop.clone()));
    supervisor.start("report", report(Arc::clone(agent), stop));
    Ok(())
}

/// Writes `status.json` and obeys the `stop` marker.
async fn report(agent: Arc<Agent>, stop: CancellationToken) -> Result<(), StateError> {
    let mut is_failing = false;
    loop {
        let report = agent.report().await;
        let writer = Arc::clone(&agent);
        let write = move || (writer.home.save_fleeting("status.json", &report), writer.home.is_stop_asked());
        if let Ok((written, is_stop_asked)) = tokio::task::spawn_blocking(write).await {
            if is_stop_asked {
                stop.cancel();
            }
            if let Err(error) = &written
                && !is_failing
            {
                tracing::warn!(%error, "the status cannot be written");
            }
            is_failing = written.is_err();
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(REPORT_INTERVAL) => {}
        }
    }
}
