//! Asks to controls about hosts inside networks that may have been cut off.

use super::super::core::Core;
use super::super::store::Ms;
use super::PATIENCE_MS;
use crate::detect::{Ask, AskReason, Who};
use faultline_model::{CheckKind, Target};
use std::collections::BTreeSet;

/// Controls that are asked at a time.
const CONTROLS: usize = 2;
/// While a network is silent its landmarks are looked at this often; controls have limits of their own.
const FOLLOW_MS: Ms = 150_000;

impl Core {
    /// Asks controls to look at the landmarks of networks that fall silent.
    pub(super) fn ask_landmarks(&mut self, asks: &mut Vec<Ask>) {
        if self.setup.landmarks.is_empty() {
            return;
        }
        let mut wanted: Vec<Target> = Vec::new();
        for (family, since) in self.silence_suspects() {
            for target in self.landmarks_of(family) {
                let asked = self.plan.landmarks.get(target).copied().unwrap_or(Ms::MIN / 4);
                let seen = self.landmark_seen(family, target, since);
                let pause = if seen.is_some() { FOLLOW_MS } else { PATIENCE_MS };
                // What was asked before it was certain does not tell.
                let is_early = seen.is_none() && asked < since && self.now >= since;
                if self.now - asked.max(seen.unwrap_or(asked)) >= pause || is_early {
                    wanted.push(target.clone());
                }
            }
        }
        for target in wanted {
            self.plan.landmarks.insert(target.clone(), self.now);
            let (who, reason, exclude) = (Who::Controls, AskReason::Silence, BTreeSet::new());
            asks.push(Ask { target, check: CheckKind::Web, who, count: CONTROLS, reason, exclude });
        }
    }
}
