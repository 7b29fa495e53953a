//! Keeps calls from a trunk that fails them all: after some failures in a row that were the trunk's, it gets none for a
//! while, and then one at a time, until one of them reaches somebody.
//!
//! Must not know why a call failed; the classifier says whose failure it was. What is refused here was never claimed, so
//! no callee loses an attempt by it.

use std::time::{Duration, Instant};

/// Failures in a row that may be chance.
const MOST_FAILURES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The breaker of one trunk.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    paused_until: Option<Instant>,
    /// A call of a trunk in doubt is in the air, and nothing is known of it yet.
    trying: bool,
}

impl Breaker {
    /// How many calls the trunk may be given at this moment.
    pub fn room(&self, now: Instant) -> usize {
        match self.paused_until {
            None => usize::MAX,
            Some(until) if until > now || self.trying => 0,
            Some(_) => 1,
        }
    }

    /// Until when it gets none.
    pub fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.paused_until.filter(|until| *until > now)
    }

    /// Whether the trunk is in doubt: it gets no call, or one to try it.
    pub fn is_open(&self) -> bool {
        self.paused_until.is_some()
    }

    /// A call is given to it.
    pub fn placed(&mut self) {
        self.trying = self.paused_until.is_some();
    }

    /// The trunk did its work for a call: it rang, or ended as the callee's side wanted. True when that is news.
    pub fn well(&mut self) -> bool {
        std::mem::take(self).paused_until.is_some()
    }

    /// A call said nothing about the trunk.
    pub fn no_news(&mut self) {
        self.trying = false;
    }

    /// The trunk failed a call, and may have said how long it wants to be left alone; gives how long it gets no calls, when
    /// that has just begun.
    pub fn failed(&mut self, now: Instant, asked: Option<Duration>) -> Option<Duration> {
        self.trying = false;
        self.failures = self.failures.saturating_add(1);
        // Calls that were in the air when it began say nothing new.
        if self.paused_until.is_some_and(|until| until > now) {
            return None;
        }
        let doublings = self.failures.checked_sub(MOST_FAILURES);
        let own =
            doublings.map(|doublings| FIRST_PAUSE.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)));
        let pause = own.max(asked)?.min(LONGEST_PAUSE);
        self.paused_until = Some(now + pause);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_trunk_that_fails_every_call_is_asked_less_and_less_often() {
        let (mut breaker, mut now) = (Breaker::default(), Instant::now());
        for _ in 1..MOST_FAILURES {
            assert_eq!(breaker.failed(now, None), None);
            assert_eq!(breaker.room(now), usize::MAX);
        }
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = SECOND * pause;
            assert_eq!(breaker.failed(now, None), Some(pause));
            assert_eq!((breaker.room(now), breaker.room(now + pause)), (0, 1));
            now += pause;
            breaker.placed();
            assert_eq!(breaker.room(now), 0, "one at a time");
        }
        assert!(breaker.well());
        assert_eq!(breaker.room(now), usize::MAX);
    }

    #[test]
    fn a_trunk_gets_the_time_that_it_asks_for() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        assert_eq!(breaker.failed(now, Some(SECOND * 30)), Some(SECOND * 30));
        assert_eq!(breaker.failed(now, None), None, "it was in the air already");
        assert_eq!(breaker.room(now + SECOND * 29), 0);
        breaker.placed();
        breaker.no_news();
        assert_eq!(breaker.room(now + SECOND * 30), 1, "what we stopped ourselves says nothing");
        assert_eq!(Breaker::default().failed(now, Some(SECOND * 900)), Some(LONGEST_PAUSE));
    }
}
