//! The look at the agent's own line, before what failed is believed.

use super::{Run, keep};
use crate::agent::Agent;
use crate::checks::{Check, Job, Outcome, has_signs_of_a_portal, line_of};
use crate::line::Looked;
use faultline_model::{CheckKind, Depth, Engine, Fact, Layer, LineFact, Observation, Why};
use faultline_runtime::now;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Says whether a captive portal answered in the target's place, as far as that can be known. Only what failed or led
/// elsewhere is asked about; what a portal says is no news of a network and is not kept.
pub(super) async fn is_behind_portal(
    agent: &Arc<Agent>,
    selfcheck: &Arc<dyn Check>,
    outcome: &Outcome,
) -> bool {
    let has_signs = has_signs_of_a_portal(outcome);
    let has_failed = outcome.observations.iter().any(|step| step.failure.is_some());
    (has_signs || has_failed) && is_portal(agent, selfcheck, has_signs).await
}

/// Looks at the line, unless the last look still holds, and says whether a portal stands there.
pub(super) async fn is_portal(agent: &Arc<Agent>, selfcheck: &Arc<dyn Check>, has_signs: bool) -> bool {
    let mut last = agent.line.last.lock().await;
    let place = agent.line.place();
    if let Some(looked) = last.as_ref().filter(|looked| looked.holds(&place, has_signs)) {
        return looked.is_portal();
    }
    let fact = look(agent, selfcheck).await;
    let looked = Looked::now(place, fact);
    let is_portal = looked.is_portal();
    if is_portal != last.as_ref().is_some_and(Looked::is_portal) {
        tracing::info!(is_portal, "a captive portal came or went");
    }
    *last = Some(looked);
    is_portal
}

/// Makes a step beside a measurement's own of what is known of its line.
pub(super) fn as_step(line: LineFact) -> Observation {
    Observation {
        layer: Layer::Tcp,
        engine: Engine::Control,
        hop: 0,
        peer: None,
        at: Duration::ZERO,
        took: Duration::ZERO,
        failure: None,
        fact: Fact::Line(line),
    }
}

async fn look(agent: &Arc<Agent>, selfcheck: &Arc<dyn Check>) -> Option<LineFact> {
    let (target, grant) = agent.policy().admit_selfcheck(now()).ok()?;
    let (started_at, clock) = (now(), Instant::now());
    let job = Job {
        target: target.clone(),
        depth: Depth::Light,
        resolver: None,
        control: None,
        diagnosis: grant.diagnosis.clone(),
    };
    let outcome = selfcheck.run(job).await.ok()?;
    let fact = line_of(&outcome).cloned();
    let run = Run {
        kind: CheckKind::Selfcheck,
        target,
        depth: Depth::Light,
        why: Why::Routine,
        token: None,
        parent: None,
        started_at,
        duration: clock.elapsed(),
    };
    keep(agent, &grant, run, outcome).await;
    fact
}
