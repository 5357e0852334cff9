//! The record of a check's steps, kept outside the futures that take them, so that a check that is cut short
//! still reports what it saw.

use faultline_model::{Engine, Fact, Failure, Layer, Observation};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// As many as the wire takes.
const MAX_STEPS: usize = 64;

/// The steps of one check.
#[derive(Debug)]
pub(super) struct Steps {
    began: Instant,
    list: Mutex<Vec<Step>>,
}

#[derive(Debug)]
struct Step {
    observation: Observation,
    is_finished: bool,
}

/// A step that was begun and has not ended.
pub(super) struct Begun<'a> {
    steps: &'a Steps,
    index: Option<usize>,
}

impl Steps {
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), list: Mutex::default() }
    }

    /// Begins a step.
    pub(super) fn start(&self, layer: Layer, engine: Engine, hop: u8, peer: Option<SocketAddr>) -> Begun<'_> {
        let mut list = self.list();
        let index = (list.len() < MAX_STEPS).then_some(list.len());
        if index.is_some() {
            let at = self.began.elapsed();
            let (took, failure, fact) = (std::time::Duration::ZERO, None, Fact::None);
            let observation = Observation { layer, engine, hop, peer, at, took, failure, fact };
            list.push(Step { observation, is_finished: false });
        }
        Begun { steps: self, index }
    }

    /// Ends every unfinished step with a failure.
    pub(super) fn fail_unfinished(&self, failure: &Failure) {
        let elapsed = self.began.elapsed();
        for step in self.list().iter_mut().filter(|step| !step.is_finished) {
            step.observation.took = elapsed.saturating_sub(step.observation.at);
            step.observation.failure = Some(failure.clone());
            step.is_finished = true;
        }
    }

    /// Returns the steps in the order in which they were begun, but that a hop's page comes after all connections of
    /// its hop: it was fetched over one of them, and its success makes the failure of another address good.
    pub(super) fn finish(self) -> Vec<Observation> {
        let list = self.list.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut steps: Vec<Observation> = list.into_iter().map(|step| step.observation).collect();
        let mut page = 0;
        while page < steps.len() {
            let is_page = steps[page].layer == Layer::Http && steps[page].engine == Engine::System;
            for later in page + 1..steps.len() {
                let step = &steps[later];
                let is_beside = step.engine == Engine::System
                    && step.hop == steps[page].hop
                    && matches!(step.layer, Layer::Tcp | Layer::Tls);
                if is_page && is_beside {
                    steps[page..=later].rotate_right(1);
                    page += 1;
                }
            }
            page += 1;
        }
        steps
    }

    fn list(&self) -> MutexGuard<'_, Vec<Step>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Begun<'_> {
    /// Notes what is known before the step ends.
    pub(super) fn see(&self, fact: Fact) {
        let mut list = self.steps.list();
        if let Some(step) = self.index.and_then(|index| list.get_mut(index)) {
            step.observation.fact = fact;
        }
    }

    /// Ends the step.
    pub(super) fn end(self, failure: Option<Failure>, fact: Fact) {
        let elapsed = self.steps.began.elapsed();
        let mut list = self.steps.list();
        if let Some(step) = self.index.and_then(|index| list.get_mut(index)) {
            step.observation.took = elapsed.saturating_sub(step.observation.at);
            step.observation.failure = failure;
            step.observation.fact = fact;
            step.is_finished = true;
        }
    }
}
