//! How many calls a second a trunk is given that has too much to do: half as many at once, then a few more each second
//! that goes well, until it has all that it may have (additive increase, multiplicative decrease).
//!
//! Must not know why a call failed, nor hold anybody back itself: `gate` asks it before a call is claimed, so no callee
//! loses an attempt by it. A trunk that fails every call is the breaker's business.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// From nothing to all of it takes so many seconds that go well.
const STEPS: u32 = 20;

/// The pace of one trunk.
#[derive(Debug)]
pub(super) struct Pace {
    /// What it may be given in any second when nothing is wrong.
    full: u32,
    /// What it is given instead, after an overload.
    limit: Option<u32>,
    /// Of the last second.
    placings: VecDeque<Instant>,
    slowed_at: Option<Instant>,
    stepped_at: Instant,
    /// Some call went well since the last step.
    well: bool,
}

/// The trunk was slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slowed {
    pub calls_per_second: u32,
    /// It had its full pace before.
    pub first: bool,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Self { full: u32::MAX, limit: None, placings: VecDeque::new(), slowed_at: None, stepped_at: now, well: false }
    }

    /// Says what it may be given in any second when nothing is wrong.
    pub fn set_full(&mut self, full: u32) {
        self.full = full;
    }

    /// What it is given in any second, while that is less than it may have.
    pub fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// How many calls it may be given at this moment.
    pub fn room(&mut self, now: Instant) -> usize {
        self.expire(now);
        self.limit.map_or(usize::MAX, |limit| (limit as usize).saturating_sub(self.placings.len()))
    }

    /// When a call of the last second ceases to count.
    pub fn next_room(&self) -> Option<Instant> {
        self.placings.front().map(|at| *at + SECOND)
    }

    /// A call is given to it.
    pub fn placed(&mut self, now: Instant) {
        self.expire(now);
        self.placings.push_back(now);
    }

    /// It did its work for a call.
    pub fn well(&mut self) {
        self.well = true;
    }

    /// It had too much to do for a call that was placed at `placed_at`. What was in the air or claimed already when it was
    /// slowed down says nothing about the slower pace, which a second holds only after that.
    pub fn overloaded(&mut self, now: Instant, placed_at: Instant) -> Option<Slowed> {
        if self.slowed_at.is_some_and(|at| placed_at < at + SECOND) {
            return None;
        }
        self.expire(now);
        let given = u32::try_from(self.placings.len()).unwrap_or(u32::MAX);
        let before = self.limit.unwrap_or(self.full);
        let slower = (before.min(given) / 2).max(1);
        (self.slowed_at, self.stepped_at, self.well) = (Some(now), now, false);
        if slower >= before {
            return None;
        }
        let first = self.limit.replace(slower).is_none();
        Some(Slowed { calls_per_second: slower, first })
    }

    /// Takes the next step up when it is time; true when it has its full pace again.
    pub fn recover(&mut self, now: Instant) -> bool {
        let Some(limit) = self.limit.filter(|_| now >= self.stepped_at + SECOND) else { return false };
        self.stepped_at = now;
        let step = if std::mem::take(&mut self.well) { (self.full / STEPS).max(1) } else { 0 };
        let faster = limit.saturating_add(step);
        self.limit = Some(faster).filter(|faster| *faster < self.full);
        self.limit.is_none()
    }

    fn expire(&mut self, now: Instant) {
        while self.placings.front().is_some_and(|at| *at + SECOND <= now) {
            self.placings.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn placed(pace: &mut Pace, now: Instant, calls: usize) {
        (0..calls).for_each(|_| pace.placed(now));
    }

    #[test]
    fn an_overload_halves_what_it_was_given_and_each_good_second_adds_a_step() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.set_full(40);
        placed(&mut pace, start, 30);
        assert_eq!(pace.room(start), usize::MAX);
        let slowed = pace.overloaded(start, start).unwrap();
        assert_eq!(slowed, Slowed { calls_per_second: 15, first: true });
        assert_eq!(pace.overloaded(start + SECOND, start + SECOND / 2), None, "it was claimed already");
        assert_eq!((pace.room(start), pace.next_room()), (0, Some(start + SECOND)));
        assert_eq!(pace.room(start + SECOND), 15);
        let mut now = start;
        for limit in (17..40).step_by(2) {
            now += SECOND;
            pace.well();
            assert!(!pace.recover(now));
            assert_eq!(pace.limit(), Some(limit));
            assert!(!pace.recover(now), "one step a second");
        }
        assert!(!pace.recover(now + SECOND), "nothing went well in that second");
        pace.well();
        assert!(pace.recover(now + SECOND * 2));
        assert_eq!(pace.limit(), None);
    }

    #[test]
    fn it_is_never_slower_than_a_call_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.set_full(10);
        let one = Some(Slowed { calls_per_second: 1, first: true });
        assert_eq!(pace.overloaded(start, start), one, "nothing was placed lately");
        assert_eq!(pace.overloaded(start + SECOND, start + SECOND), None);
        assert_eq!(pace.room(start + SECOND), 1);
        pace.set_full(1);
        assert!(pace.recover(start + SECOND * 2), "it has no more than that");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Passes(u64),
        Calls,
        Well,
        Overload,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0_u64..700).prop_map(Step::Passes),
            6 => Just(Step::Calls),
            3 => Just(Step::Well),
            1 => Just(Step::Overload),
        ];
        proptest::collection::vec(step, 1..300)
    }

    proptest! {
        /// Whatever happens: no second holds more than the limit of its last placing, which stays within its bounds.
        #[test]
        fn no_second_holds_more_than_the_pace(full in 1_u32..200, steps in steps()) {
            let (mut now, mut history) = (Instant::now(), Vec::new());
            let mut pace = Pace::new(now);
            pace.set_full(full);
            for step in steps {
                let before = pace.limit();
                match step {
                    Step::Passes(millis) => now += Duration::from_millis(millis),
                    Step::Well => pace.well(),
                    Step::Overload => {
                        if let Some(slowed) = pace.overloaded(now, now) {
                            prop_assert!(slowed.calls_per_second <= (before.unwrap_or(full) / 2).max(1));
                        }
                    }
                    Step::Calls if pace.room(now) > 0 => {
                        history.push(now);
                        pace.placed(now);
                        let second = history.iter().filter(|at| **at + SECOND > now).count();
                        prop_assert!(pace.limit().is_none_or(|limit| second <= limit as usize));
                    }
                    Step::Calls => {}
                }
                pace.recover(now);
                prop_assert!(pace.limit().is_none_or(|limit| (1..full).contains(&limit)));
            }
            // Then all goes well.
            for _ in 0..=full.min(STEPS * 2) {
                now += SECOND;
                pace.well();
                pace.recover(now);
            }
            prop_assert_eq!(pace.limit(), None);
        }
    }
}
