//! What follows an attempt that ended: nothing more, or another one, and when.
//!
//! So far a callee is tried again only after a failure that was not its own (trunk, limit, our stop): such an
//! end is not counted, until there were so many in a row that something else must be wrong.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::call::{CallEnd, CallResult};

/// How often and how soon a callee is tried again after failures that were not its own.
#[derive(Debug, Clone, Copy)]
pub struct UncountedRule {
    /// After so many in a row, the next one counts.
    pub most: u32,
    pub delay: Duration,
}

/// What an ended attempt means for its callee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub counted: bool,
    pub next: Next,
}

/// What comes after the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The callee is final.
    Nothing,
    /// Another attempt at `at`; `uncounted` failures in a row so far.
    Again { at: DateTime<Utc>, uncounted: u32 },
}

impl UncountedRule {
    /// Judges the end of an attempt that had `uncounted` uncounted ones directly before it.
    pub fn judge(&self, end: &CallEnd, uncounted: u32) -> Verdict {
        if end.counted || uncounted >= self.most {
            return Verdict { counted: true, next: Next::Nothing };
        }
        // Our own stop says nothing about the trunk: its callees are due at once.
        let delay = if end.result == CallResult::Cancel { Duration::ZERO } else { self.delay };
        let at = end.ended_at + delay;
        Verdict { counted: false, next: Next::Again { at, uncounted: uncounted + 1 } }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::call::Scope;

    #[test]
    fn uncounted_failures_are_tried_again_until_there_are_too_many() {
        let rule = UncountedRule { most: 2, delay: Duration::from_secs(5) };
        let at = DateTime::from_timestamp(1_000, 0).unwrap();
        let mut end = CallEnd::unknown(at, at);
        assert_eq!(rule.judge(&end, 0), Verdict { counted: true, next: Next::Nothing });

        end.counted = false;
        end.scope = Scope::Trunk;
        let again = |uncounted| Next::Again { at: at + Duration::from_secs(5), uncounted };
        assert_eq!(rule.judge(&end, 0), Verdict { counted: false, next: again(1) });
        assert_eq!(rule.judge(&end, 1), Verdict { counted: false, next: again(2) });
        assert_eq!(rule.judge(&end, 2), Verdict { counted: true, next: Next::Nothing });

        end.result = CallResult::Cancel;
        assert_eq!(rule.judge(&end, 0).next, Next::Again { at, uncounted: 1 });
    }
}
