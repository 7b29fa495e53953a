//! How a simulated call goes: drawn from the seed, the number and the attempt, so that it does not depend on the
//! order in which calls are placed.

use std::ops::RangeInclusive;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::dialer::CallOrder;
use crate::domain::call::{CallResult, HangupBy};
use crate::settings::{Forced, SimulatedTrunk};

/// What happens in one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub result: CallResult,
    /// Whether the callee's phone rings at all.
    pub rings: bool,
    /// From the placing to the answer or the refusal.
    pub ring: Duration,
    pub talk: Duration,
    pub hangup_by: HangupBy,
}

/// The result of a call, or that there is none: forced by the longest ending of the number, else by chance.
pub fn outcome(settings: &SimulatedTrunk, order: &CallOrder) -> Forced {
    let number = order.called.e164();
    let endings = settings.force.iter().filter(|(ending, _)| number.ends_with(ending.as_str()));
    let forced = endings.max_by_key(|(ending, _)| ending.len()).map(|(_, attempts)| attempts);
    let place = order.attempt.saturating_sub(1) as usize;
    match forced.and_then(|attempts| attempts.get(place).or(attempts.last())) {
        Some(forced) => *forced,
        None => Forced::Result(weighted(&settings.results, chance(settings.seed, order, "result"))),
    }
}

impl Script {
    /// Draws times for a call with this result.
    pub fn draw(settings: &SimulatedTrunk, order: &CallOrder, result: CallResult) -> Self {
        let chance = |what| chance(settings.seed, order, what);
        let by_callee = chance("hangup").is_multiple_of(2);
        Self {
            result,
            rings: matches!(
                result,
                CallResult::Answered
                    | CallResult::NoAnswer
                    | CallResult::CallRejected
                    | CallResult::IntelligentAnswer
                    | CallResult::AgentFailed
            ),
            ring: within(&settings.ring, chance("ring")),
            // Nobody talks when the agent cannot be connected: the callee is released at once.
            talk: match result {
                CallResult::AgentFailed => Duration::ZERO,
                _ => within(&settings.talk, chance("talk")),
            },
            hangup_by: if by_callee { HangupBy::Callee } else { HangupBy::Agent },
        }
    }
}

/// A number that is the same for the same call and question, and looks random.
fn chance(seed: u64, order: &CallOrder, question: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(order.attempt.to_be_bytes());
    hash.update(order.called.e164().as_bytes());
    hash.update(question.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    u64::from_be_bytes(first)
}

/// In whole milliseconds, as the range is given and as events tell the time: what is told can be waited for.
fn within(range: &RangeInclusive<Duration>, chance: u64) -> Duration {
    let millis = |duration: &Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (start, end) = (millis(range.start()), millis(range.end()));
    Duration::from_millis(start + chance % (end - start + 1))
}

fn weighted(weights: &[(CallResult, u32)], chance: u64) -> CallResult {
    let total: u64 = weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut left = chance % total.max(1);
    for (result, weight) in weights {
        match left.checked_sub(u64::from(*weight)) {
            Some(rest) => left = rest,
            None => return *result,
        }
    }
    CallResult::Others
}
