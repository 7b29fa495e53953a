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
    /// How many of the failed were cancelled: the owner does not see it happen, and is told the sum.
    pub cancelled: u64,
    /// Final callees by the result of their last call.
    pub results: BTreeMap<String, u64>,
}

impl Progress {
    /// Counts a callee that is final after a call.
    pub fn completed_with(&mut self, result: CallResult) {
        self.completed += 1;
        *self.results.entry(result.as_str().to_owned()).or_default() += 1;
    }

    /// Counts callees that were cancelled meanwhile; `cancelled` is how many there are in all.
    pub fn cancelled_so_far(&mut self, cancelled: u64) {
        let more = cancelled.saturating_sub(self.cancelled);
        self.failed += more;
        self.cancelled += more;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cancelled_counts_once() {
        let mut progress = Progress { failed: 3, cancelled: 1, ..Progress::default() };
        progress.cancelled_so_far(5);
        // An older sum, read before a full count, takes nothing away.
        progress.cancelled_so_far(4);
        assert_eq!((progress.failed, progress.cancelled), (7, 5));
        assert_eq!(progress.counts(10).pending, 3);
    }
}
