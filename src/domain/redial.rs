//! What follows an attempt that ended: nothing more, or another one, and when.
//!
//! A callee has one budget of redials, whatever the reasons. What was not the callee's failure (trunk, limit, our
//! stop) is not counted and uses nothing of it, until there were so many in a row that something else must be wrong.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::call::{CallEnd, CallResult};
use super::calling_window::CallingWindow;

/// How often and how soon a callee is tried again after failures that were not its own.
#[derive(Debug, Clone, Copy)]
pub struct UncountedRule {
    /// After so many in a row, the next one counts.
    pub most: u32,
    pub delay: Duration,
}

/// The results after which a task may call again.
pub const REDIAL_REASONS: [CallResult; 7] = [
    CallResult::CallRejected,
    CallResult::UserBusy,
    CallResult::Suspend,
    CallResult::InvalidNumber,
    CallResult::PoweredOff,
    CallResult::NetworkBusy,
    CallResult::NoAnswer,
];

/// When a task calls a callee again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedialRule {
    /// Of [`REDIAL_REASONS`].
    pub reasons: Vec<CallResult>,
    /// Counted calls after the first, for all reasons together.
    pub times: u32,
    pub interval_minutes: u32,
}

/// What a task says about calling again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedialTerms {
    pub rule: Option<RedialRule>,
    /// A redial is due when the task may call.
    pub window: CallingWindow,
}

/// What came before an attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Attempts that counted.
    pub counted: u32,
    /// Failures directly before it that did not count.
    pub uncounted: u32,
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
    /// Another attempt at `at`; what came before it.
    Again { at: DateTime<Utc>, tally: Tally },
}

impl RedialRule {
    /// How long to wait after an end with this result, with so many counted attempts before; `None`: no more calls.
    fn wait(&self, result: CallResult, counted: u32) -> Option<Duration> {
        let covered = self.reasons.contains(&result) && counted < self.times;
        covered.then(|| Duration::from_secs(60 * u64::from(self.interval_minutes)))
    }
}

impl UncountedRule {
    /// Judges the end of an attempt.
    pub fn judge(&self, end: &CallEnd, tally: Tally, terms: &RedialTerms) -> Verdict {
        let counted = end.counted || tally.uncounted >= self.most;
        let (wait, tally) = if counted {
            let wait = terms.rule.as_ref().and_then(|rule| rule.wait(end.result, tally.counted));
            (wait, Tally { counted: tally.counted + 1, uncounted: 0 })
        } else {
            // Our own stop says nothing about the trunk: its callees are due at once.
            let wait = if end.result == CallResult::Cancel { Duration::ZERO } else { self.delay };
            (Some(wait), Tally { uncounted: tally.uncounted + 1, ..tally })
        };
        let next = wait.map_or(Next::Nothing, |wait| {
            let due = (end.ended_at + wait).max(end.not_before.unwrap_or(end.ended_at));
            Next::Again { at: terms.window.next_chance(due).unwrap_or(due), tally }
        });
        Verdict { counted, next }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::call::Scope;
    use crate::domain::calling_window::{CallingDays, DailyRange};

    const RULE: UncountedRule = UncountedRule { most: 2, delay: Duration::from_secs(5) };

    fn terms(rule: Option<RedialRule>, times: DailyRange) -> RedialTerms {
        let time_zone = "UTC".parse().unwrap();
        RedialTerms { rule, window: CallingWindow { time_zone, days: CallingDays::ALL, times: vec![times] } }
    }

    fn end(result: CallResult, at: DateTime<Utc>) -> CallEnd {
        CallEnd { result, scope: Scope::Callee, ..CallEnd::unknown(at, at) }
    }

    fn not_its_own(result: CallResult, at: DateTime<Utc>) -> CallEnd {
        CallEnd { scope: Scope::Trunk, counted: false, ..end(result, at) }
    }

    fn noon() -> DateTime<Utc> {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn uncounted_failures_are_tried_again_until_there_are_too_many() {
        let terms = terms(None, DailyRange::WHOLE_DAY);
        let judge = |end: &CallEnd, uncounted| RULE.judge(end, Tally { counted: 0, uncounted }, &terms);
        let counted = Verdict { counted: true, next: Next::Nothing };
        assert_eq!(judge(&CallEnd::unknown(noon(), noon()), 0), counted);

        let again = |seconds, uncounted| {
            let at = noon() + TimeDelta::seconds(seconds);
            Verdict { counted: false, next: Next::Again { at, tally: Tally { counted: 0, uncounted } } }
        };
        let refused = not_its_own(CallResult::NetworkBusy, noon());
        assert_eq!(judge(&refused, 0), again(5, 1));
        assert_eq!(judge(&refused, 1), again(5, 2));
        assert_eq!(judge(&refused, 2), counted);
        assert_eq!(judge(&not_its_own(CallResult::Cancel, noon()), 0), again(0, 1));
    }

    #[test]
    fn a_trunk_is_not_asked_again_before_it_wants_to_be() {
        let terms = terms(None, DailyRange::WHOLE_DAY);
        let at = |seconds| {
            let not_before = Some(noon() + TimeDelta::seconds(seconds));
            let end = CallEnd { not_before, ..not_its_own(CallResult::NetworkBusy, noon()) };
            match RULE.judge(&end, Tally::default(), &terms).next {
                Next::Again { at, .. } => (at - noon()).num_seconds(),
                Next::Nothing => panic!(),
            }
        };
        assert_eq!((at(30), at(1)), (30, 5));
    }

    #[test]
    fn all_reasons_share_one_budget() {
        for times in 1..=3 {
            let rule = RedialRule { reasons: REDIAL_REASONS.to_vec(), times, interval_minutes: 7 };
            let terms = terms(Some(rule), DailyRange::WHOLE_DAY);
            let mut tally = Tally::default();
            for (attempt, result) in (0..).zip(REDIAL_REASONS) {
                let verdict = RULE.judge(&end(result, noon()), tally, &terms);
                match verdict.next {
                    Next::Again { at, tally: next } => {
                        assert_eq!((at, next.counted), (noon() + TimeDelta::minutes(7), attempt + 1));
                        tally = next;
                    }
                    Next::Nothing => {
                        assert_eq!(attempt, times);
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_reason_is_final_and_what_is_not_counted_costs_nothing() {
        let rule = RedialRule { reasons: vec![CallResult::NetworkBusy], times: 1, interval_minutes: 10 };
        let terms = terms(Some(rule), DailyRange::WHOLE_DAY);
        for result in CallResult::ALL.iter().copied().filter(|result| *result != CallResult::NetworkBusy) {
            assert_eq!(RULE.judge(&end(result, noon()), Tally::default(), &terms).next, Next::Nothing, "{result}");
        }
        let refused = not_its_own(CallResult::NetworkBusy, noon());
        let Next::Again { tally, .. } = RULE.judge(&refused, Tally::default(), &terms).next else { panic!() };
        assert_eq!(tally, Tally { counted: 0, uncounted: 1 });
        // One too many in a row counts, and then the rule of the task holds for it.
        let verdict = RULE.judge(&refused, Tally { counted: 0, uncounted: 2 }, &terms);
        let at = noon() + TimeDelta::minutes(10);
        let next = Next::Again { at, tally: Tally { counted: 1, uncounted: 0 } };
        assert_eq!(verdict, Verdict { counted: true, next });
        assert_eq!(RULE.judge(&refused, Tally { counted: 1, uncounted: 2 }, &terms).next, Next::Nothing);
    }

    #[test]
    fn a_redial_outside_the_window_waits_for_its_opening() {
        let rule = RedialRule { reasons: vec![CallResult::UserBusy], times: 1, interval_minutes: 30 };
        let morning = terms(Some(rule), DailyRange { start: 540, end: 740 });
        let due =
            |at: &str| match RULE.judge(&end(CallResult::UserBusy, at.parse().unwrap()), Tally::default(), &morning) {
                Verdict { next: Next::Again { at, .. }, .. } => at.to_rfc3339(),
                other => panic!("{other:?}"),
            };
        assert_eq!(due("2026-11-23T11:49:59Z"), "2026-11-23T12:19:59+00:00");
        assert_eq!(due("2026-11-23T11:50:00Z"), "2026-11-24T09:00:00+00:00");
        assert_eq!(due("2026-11-23T11:49:59.970Z"), "2026-11-24T09:00:00+00:00", "too late to begin");
    }
}
