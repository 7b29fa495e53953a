//! Whether a trunk may be given a call: what its breaker and its pace say together, for all the service instances that use it.
//!
//! Must not know why a call failed; the classifier says whose failure it was. Who asks here has claimed nothing yet: no
//! callee loses an attempt by a refusal. What was let in counts until it is placed or given up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::breaker::Breaker;
use super::pace::Pace;
use crate::dialer::Admission;
use crate::domain::ids::{ServiceInstanceId, TrunkName};

/// How soon whoever was refused asks again, where nobody knows when there is room.
const SOON: Duration = Duration::from_millis(200);

#[derive(Debug)]
struct State {
    breaker: Breaker,
    pace: Pace,
    /// The calls per second of each service instance.
    shares: BTreeMap<ServiceInstanceId, u32>,
}

/// The gate of one trunk.
#[derive(Debug)]
pub(super) struct Gate {
    trunk: TrunkName,
    /// What the trunk carries in any second, by its settings.
    most: u32,
    /// A copy is with each call that was let in and not placed yet.
    admitted: Arc<()>,
    state: Mutex<State>,
}

/// A call that the trunk failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure<'r> {
    pub placed_at: Instant,
    /// It had too much to do; else something is wrong that will not pass by itself.
    pub overload: bool,
    /// How long it wants to be left alone.
    pub asked: Option<Duration>,
    /// What decided that it was the trunk's.
    pub rule: &'r str,
}

impl Gate {
    pub fn new(trunk: TrunkName, most: Option<u32>, now: Instant) -> Self {
        let state = State { breaker: Breaker::default(), pace: Pace::new(now), shares: BTreeMap::new() };
        Self { trunk, most: most.unwrap_or(u32::MAX), admitted: Arc::default(), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how many calls per second a service instance may place.
    pub fn share(&self, of: &ServiceInstanceId, calls_per_second: u32) {
        let mut state = self.state();
        match calls_per_second {
            0 => drop(state.shares.remove(of)),
            _ => drop(state.shares.insert(of.clone(), calls_per_second)),
        }
        let all = state.shares.values().fold(0_u32, |all, share| all.saturating_add(*share));
        // While nobody dials there is nothing to measure the pace by.
        if all > 0 {
            state.pace.set_full(all.min(self.most));
        }
    }

    /// Lets one call in.
    pub fn admit(&self, now: Instant) -> Option<Admission> {
        let mut state = self.state();
        (self.room(&mut state, now) > 0).then(|| Admission::of(&self.admitted))
    }

    /// While it lets nobody in: when to ask again.
    pub fn closed_until(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        if self.room(&mut state, now) > 0 {
            return None;
        }
        let known = state.breaker.paused_until(now).or_else(|| state.pace.next_room());
        Some(known.filter(|at| *at > now).unwrap_or(now + SOON))
    }

    fn room(&self, state: &mut State, now: Instant) -> usize {
        if state.pace.recover(now) {
            tracing::info!(trunk = %self.trunk, "the trunk gets all its calls per second again");
        }
        let admitted = Arc::strong_count(&self.admitted) - 1;
        state.breaker.room(now).min(state.pace.room(now)).saturating_sub(admitted)
    }

    /// A call is given to it.
    pub fn placed(&self, now: Instant) {
        let mut state = self.state();
        state.breaker.placed();
        state.pace.placed(now);
    }

    /// The trunk did its work for a call: it rang, or ended as the callee's side wanted.
    pub fn well(&self) {
        let mut state = self.state();
        state.pace.well();
        if state.breaker.well() {
            tracing::info!(trunk = %self.trunk, "the trunk takes calls again");
        }
    }

    /// A call said nothing about the trunk.
    pub fn no_news(&self) {
        self.state().breaker.no_news();
    }

    /// The trunk failed a call.
    pub fn failed(&self, now: Instant, failure: Failure<'_>) {
        let (trunk, rule) = (&self.trunk, failure.rule);
        let mut state = self.state();
        let overload = failure.overload.then_some(());
        let slowed = overload.and_then(|()| state.pace.overloaded(now, failure.placed_at));
        let paused = state.breaker.failed(now, failure.asked);
        drop(state);
        if let Some(slowed) = slowed {
            let calls_per_second = slowed.calls_per_second;
            match slowed.first {
                true => tracing::warn!(%trunk, calls_per_second, %rule, "the trunk is overloaded: it gets fewer calls"),
                false => tracing::info!(%trunk, calls_per_second, %rule, "the trunk is overloaded still"),
            }
        }
        if let Some(pause) = paused {
            let seconds = pause.as_secs();
            tracing::error!(%trunk, seconds, %rule, "ALARM: the trunk fails calls; it gets none for a while");
        }
    }

    /// What the trunk is given in any second, while that is less than it may have.
    pub fn pace(&self) -> Option<u32> {
        self.state().pace.limit()
    }

    /// Whether the trunk is left alone.
    pub fn is_paused(&self) -> bool {
        self.state().breaker.is_open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn gate(shares: &[(&str, u32)], now: Instant) -> Gate {
        let gate = Gate::new(TrunkName::new("line"), Some(30), now);
        for (name, share) in shares {
            gate.share(&ServiceInstanceId((*name).into()), *share);
        }
        gate
    }

    fn overload(placed_at: Instant) -> Failure<'static> {
        Failure { placed_at, overload: true, asked: None, rule: "sip-503" }
    }

    #[test]
    fn the_pace_holds_for_all_service_instances_together() {
        let start = Instant::now();
        let gate = gate(&[("a", 10), ("b", 10)], start);
        (0..20).for_each(|_| gate.placed(start));
        gate.failed(start, overload(start));
        assert_eq!(gate.pace(), Some(10));
        assert_eq!(gate.closed_until(start), Some(start + SECOND));
        let now = start + SECOND;
        let admitted: Vec<_> = std::iter::from_fn(|| gate.admit(now)).collect();
        assert_eq!(admitted.len(), 10, "what was let in counts before it is placed");
        drop(admitted);
        (0..9).for_each(|_| gate.placed(now));
        let last = gate.admit(now);
        assert!(last.is_some() && gate.admit(now).is_none());
        gate.share(&ServiceInstanceId("b".into()), 0);
        gate.well();
        assert_eq!(gate.closed_until(now + SECOND), None, "what is left has all of its share");
        assert_eq!(gate.pace(), None);
    }

    #[test]
    fn a_trunk_in_doubt_is_tried_by_one_call_whoever_asks() {
        let start = Instant::now();
        let gate = gate(&[("a", 100)], start);
        let asked = Some(SECOND * 3);
        gate.failed(start, Failure { asked, overload: false, ..overload(start) });
        assert!(gate.is_paused() && gate.pace().is_none());
        assert_eq!(gate.closed_until(start + SECOND), Some(start + SECOND * 3));
        let now = start + SECOND * 3;
        let first = gate.admit(now);
        assert!(first.is_some() && gate.admit(now).is_none());
        drop(first);
        assert!(gate.admit(now).is_some(), "it was given up");
        gate.well();
        assert!(!gate.is_paused() && gate.closed_until(now).is_none());
    }
}
