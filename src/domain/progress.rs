//! How far a task is.

use std::collections::BTreeMap;

use super::call::CallResult;
use super::task::Counts;

/// What an owner counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    pub calling: u64,
    pub completed: u64,
    pub failed: u64,
    /// Final callees by the result of their last call.
    pub results: BTreeMap<String, u64>,
}

impl Progress {
    /// Counts a callee that is final after a call.
    pub fn completed_with(&mut self, result: CallResult) {
        self.completed += 1;
        *self.results.entry(result.as_str().to_owned()).or_default() += 1;
    }

    /// The counts when `total` callees were imported.
    pub fn counts(&self, total: i64) -> Counts {
        let total = u64::try_from(total).unwrap_or(0);
        Counts {
            pending: total.saturating_sub(self.calling + self.completed + self.failed),
            calling: self.calling,
            completed: self.completed,
            failed: self.failed,
        }
    }
}
