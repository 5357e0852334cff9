//! Task lists in force and before: parsed once, shared.

use crate::store::{Registry, StoreError};
use faultline_model::{CheckKind, SignedList, Target, TargetSpec, TaskList, Timestamp};
use faultline_runtime::{OperatorRoot, SigningError};
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

/// Why a push is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    /// The list is not what operators signed.
    #[error("the list is refused")]
    Signing(#[source] SigningError),
    /// Another root verified the lists before.
    #[error("this coordinator obeys another operator root; agents would refuse lists signed under a new one")]
    OtherRoot,
    /// The store failed.
    #[error("the list cannot be kept")]
    Store(#[source] StoreError),
}

/// One signed list with what it says.
#[derive(Debug)]
pub(crate) struct KeptList {
    pub(crate) list: TaskList,
    pub(crate) signed: SignedList,
}

#[derive(Debug, Default)]
struct Held {
    root: Option<OperatorRoot>,
    versions: BTreeMap<u64, Arc<KeptList>>,
}

/// All lists that this coordinator ever kept.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    held: RwLock<Held>,
}

impl Lists {
    /// Reads the lists back from the store. A list that no longer verifies is left out and logged.
    pub(crate) async fn load(registry: &dyn Registry) -> Result<Self, StoreError> {
        let Some(root) = registry.operator_root().await? else { return Ok(Self::default()) };
        let mut versions = BTreeMap::new();
        for signed in registry.lists().await? {
            match root.verify(&signed) {
                Ok(list) => {
                    versions.insert(list.version, Arc::new(KeptList { list, signed }));
                }
                Err(error) => tracing::error!(reason = error.reason(), "a kept task list does not verify"),
            }
        }
        Ok(Self { held: RwLock::new(Held { root: Some(root), versions }) })
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Returns the newest list.
    pub(crate) fn newest(&self) -> Option<Arc<KeptList>> {
        self.read().versions.last_key_value().map(|(_, kept)| Arc::clone(kept))
    }

    /// Returns the newest list's version, 0 for none.
    pub(crate) fn version(&self) -> u64 {
        self.read().versions.last_key_value().map_or(0, |(version, _)| *version)
    }

    /// Returns a target's entry if that version of the list allows the check of it.
    pub(crate) fn allowed(&self, version: u64, check: CheckKind, target: &Target) -> Option<TargetSpec> {
        let held = self.read();
        let list = &held.versions.get(&version)?.list;
        list.find(target).filter(|_| list.allows(check, target)).cloned()
    }

    /// Says whether that version of the list lets controls look at a landmark.
    pub(crate) fn allows_landmark(&self, version: u64, check: CheckKind, target: &Target) -> bool {
        self.read().versions.get(&version).is_some_and(|kept| kept.list.allows_landmark(check, target))
    }

    /// Says whether a target is a landmark of any version.
    pub(crate) fn is_landmark(&self, target: &Target) -> bool {
        let held = self.read();
        held.versions.values().any(|kept| kept.list.landmarks.iter().any(|own| own.target == *target))
    }

    /// Returns a target's entry in the newest version that has it.
    pub(crate) fn spec(&self, target: &Target) -> Option<TargetSpec> {
        let held = self.read();
        held.versions.values().rev().find_map(|kept| kept.list.find(target)).cloned()
    }

    /// Verifies a list that shall be the newest. Nothing is kept yet.
    pub(crate) fn verify(
        &self,
        signed: &SignedList,
        root: &OperatorRoot,
        now: Timestamp,
    ) -> Result<TaskList, PushError> {
        root.validate().map_err(PushError::Signing)?;
        let held = self.read();
        if held.root.as_ref().is_some_and(|known| known != root) {
            return Err(PushError::OtherRoot);
        }
        let version = held.versions.last_key_value().map_or(0, |(version, _)| *version);
        root.verify_newer(signed, version, now).map_err(PushError::Signing)
    }

    /// Keeps a verified list, on disk first.
    pub(crate) async fn keep(
        &self,
        registry: &dyn Registry,
        list: TaskList,
        signed: SignedList,
        root: OperatorRoot,
    ) -> Result<(), PushError> {
        let version = list.version;
        registry.keep_list(version, signed.clone(), root.clone()).await.map_err(PushError::Store)?;
        let mut held = self.held.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        held.root = Some(root);
        held.versions.insert(version, Arc::new(KeptList { list, signed }));
        Ok(())
    }
}
