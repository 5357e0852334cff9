//! What the running agent's services share, and how they are put together.

use crate::checks::Checks;
use crate::latest::Latest;
use crate::line::LineWatch;
use crate::policy::terms::local_zone;
use crate::policy::{Allowance, Ledger, Policy, Purse, Terms};
use crate::recent::Recent;
use crate::runner::{self, Order};
use crate::scrub::Own;
use crate::spool::{Bounds, Spool, SpoolError, SpoolHandle};
use crate::state::{AgentRecord, BudgetChoice, Home, StateError};
use crate::status::{BudgetReport, Report, Status, TermsReport};
use crate::uplink::{self, Intake};
use faultline_model::OwnHosts;
use faultline_runtime::tls::Identity;
use faultline_runtime::{Supervisor, now};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    /// What is known of the line's own addresses, in memory only.
    pub own: Arc<Own>,
    /// What is known of the agent's own line.
    pub line: LineWatch,
    /// The coordinator is there again: whoever waits before trying again may try now.
    pub reconnected: Notify,
    /// What was measured lately, for the volunteer.
    pub recent: Recent,
    /// What a diagnosis would explain.
    pub latest: Latest,
    /// The terms changed, so that what was announced to the coordinator is not true any more.
    pub terms_changed: Notify,
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
        let terms = home.terms().map_err(StartError::State)?;
        let allowance = terms.lower(granted(&record, &terms));
        // A damaged ledger counts as a new one: it cannot be told what it held, and the agent must not stay silent.
        let ledger = home.load_json("ledger.json").unwrap_or_else(|_| Ledger::new(&allowance, now()));
        let mut policy = Policy::new(allowance, checks.keys().copied().collect(), list, ledger)
            .for_control(record.control)
            .standing_in(record.country, local_zone())
            .reached_at(OwnHosts::of(&record.addresses));
        policy.set_terms(terms.clone(), granted(&record, &terms));
        Ok(Self {
            home,
            record,
            spool: SpoolHandle::new(spool),
            status: Status::default(),
            own: Arc::default(),
            line: LineWatch::default(),
            reconnected: Notify::new(),
            recent: Recent::default(),
            latest: Latest::default(),
            terms_changed: Notify::new(),
            policy: Mutex::new(policy),
            ledger: LedgerFile::default(),
        })
    }

    /// Shares what the checks' network learns of the line's own addresses.
    #[must_use]
    pub fn knowing(self, own: Arc<Own>) -> Self {
        for address in OwnHosts::of(&self.record.addresses).addresses() {
            own.coordinator_at(address);
        }
        Self { own, ..self }
    }

    /// Watches where this machine's traffic leaves.
    #[must_use]
    pub fn watching_line(self) -> Self {
        Self { line: LineWatch::watching(), ..self }
    }

    /// Returns the policy. The lock is never held across an await.
    pub fn policy(&self) -> MutexGuard<'_, Policy> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the ledger on disk, so that whatever was permitted stays permitted only once. Checks that begin together are
    /// content with one writing.
    pub async fn save_ledger(self: &Arc<Self>) {
        let mine = self.ledger.wanted.fetch_add(1, Ordering::Relaxed) + 1;
        let mut saved_until = self.ledger.saved_until.lock().await;
        if *saved_until >= mine {
            return;
        }
        let wanted = self.ledger.wanted.load(Ordering::Relaxed);
        let agent = Arc::clone(self);
        let save = move || {
            let ledger = agent.policy().ledger().clone();
            agent.home.save_json("ledger.json", &ledger)
        };
        let saved = tokio::task::spawn_blocking(save).await;
        if let Ok(Err(error)) = saved
            && !self.ledger.is_failing.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "the ledger cannot be written; limits hold until the next restart only");
        }
        *saved_until = wanted;
    }

    /// Returns the budget that the volunteer chose: by the terms, or when joining.
    #[must_use]
    pub fn budget(&self) -> BudgetChoice {
        self.policy().terms().budget.unwrap_or(self.record.budget)
    }

    /// Puts the terms on disk in force if they differ from those in force. Terms that cannot be read change nothing: the
    /// agent goes on under those it has, and says so.
    pub fn reload_terms(&self) {
        let terms = match self.home.terms() {
            Ok(terms) => terms,
            Err(error) => {
                let text = error.to_string();
                if self.status.terms_error(Some(text.clone())) {
                    tracing::warn!(error = text, "the terms cannot be read; those in force stay");
                }
                return;
            }
        };
        self.status.terms_error(None);
        let mut policy = self.policy();
        if *policy.terms() == terms {
            return;
        }
        tracing::info!("the volunteer's terms changed");
        let granted = granted(&self.record, &terms);
        policy.set_terms(terms, granted);
        drop(policy);
        self.terms_changed.notify_one();
    }

    /// Puts together what `status` shows.
    pub async fn report(&self) -> Report {
        let spool = self.spool.state().await;
        let (budget, terms) = {
            let policy = self.policy();
            let allowance = policy.allowance();
            let is_still = policy.allows_now(now()).err().map(|refusal| refusal.reason().to_owned());
            let terms = TermsReport { risk: policy.risk(), is_still, error: None };
            let budget = BudgetReport {
                checks_per_day: allowance.checks_per_day,
                bytes_per_day: allowance.bytes_per_day,
                routine_left: policy.left(Purse::Routine),
                confirmations_left: policy.left(Purse::Reserve),
            };
            (budget, terms)
        };
        self.status.report(spool, budget, terms)
    }
}

fn granted(record: &AgentRecord, terms: &Terms) -> Allowance {
    Allowance::of(terms.budget.unwrap_or(record.budget).class(), record.control)
}

/// Writers of the ledger take turns; each writes the newest state, for all who asked for it before.
#[derive(Debug, Default)]
struct LedgerFile {
    wanted: AtomicU64,
    /// Whoever asked until then is served.
    saved_until: tokio::sync::Mutex<u64>,
    is_failing: AtomicBool,
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
    let channel =
        uplink::channel(&agent.record, &setup.identity, &agent.own).map_err(StartError::Identity)?;
    let (orders, inbox) = mpsc::channel::<Order>(MAX_ORDERS);
    let intake = Intake::new(Arc::clone(agent), orders);
    let stop = supervisor.stop_token();
    supervisor.start("runner", runner::run(Arc::clone(agent), checks, inbox, stop.clone()));
    supervisor.start("watch", uplink::watch(channel.clone(), intake, stop.clone()));
    supervisor.start("upload", uplink::upload(channel, Arc::clone(agent), setup.journal, stop.clone()));
    supervisor.start("recent", recent(Arc::clone(agent), stop.clone()));
    supervisor.start("report", report(Arc::clone(agent), stop));
    Ok(())
}

/// Tells the volunteer what was measured lately.
async fn recent(agent: Arc<Agent>, stop: CancellationToken) -> Result<(), StateError> {
    agent.recent.tell(&agent.home, &stop).await;
    stop.cancelled().await;
    Ok(())
}

/// Writes `status.json`, obeys the `stop` marker and puts changed terms in force.
async fn report(agent: Arc<Agent>, stop: CancellationToken) -> Result<(), StateError> {
    let mut is_failing = false;
    loop {
        let report = agent.report().await;
        let writer = Arc::clone(&agent);
        let write = move || {
            writer.reload_terms();
            (writer.home.save_fleeting("status.json", &report), writer.home.is_stop_asked())
        };
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
