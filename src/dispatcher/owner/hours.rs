//! When this owner may call: the windows of its tasks, and those of its caller numbers.
//!
//! Must not decide whom to call; it says what is open, and when to look again, so that an owner sleeps through the
//! night and calls in the first second of the morning.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};

use super::Owner;
use crate::clock::Clock;
use crate::dispatcher::task_queue::TaskQueue;
use crate::domain::calling_window::Gate;
use crate::domain::ids::TaskNo;
use crate::domain::phone_number::PhoneNumber;
use crate::domain::service_instance::{CallerNumber, NumberHours};

/// The windows of the caller numbers that have one.
#[derive(Debug, Default)]
pub struct NumberGates(BTreeMap<PhoneNumber, Gate>);

impl NumberGates {
    /// Takes over what is in force now; of a window that stayed the same nothing is forgotten.
    pub fn set(&mut self, numbers: &[CallerNumber]) {
        let mut before = std::mem::take(&mut self.0);
        for caller in numbers {
            let Some(window) = caller.hours.as_ref().map(NumberHours::window) else { continue };
            let known = before.remove(&caller.number).filter(|gate| *gate.window() == window);
            self.0.insert(caller.number.clone(), known.unwrap_or_else(|| Gate::new(window)));
        }
    }

    /// True when a call from this number may begin now.
    pub fn is_open(&self, number: &PhoneNumber, now: DateTime<Utc>) -> bool {
        self.0.get(number).is_none_or(|gate| gate.is_open(now))
    }

    fn is_closing(&self, number: &PhoneNumber, now: DateTime<Utc>) -> bool {
        self.0.get(number).is_some_and(|gate| !gate.stays_open(now))
    }

    fn next_opening(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.0.values_mut().filter_map(|gate| gate.next_opening(now)).min()
    }
}

impl Owner {
    /// Tells the pool which numbers may not be used, and the caller which tasks may call.
    pub(super) fn open_tasks(&mut self, now: DateTime<Utc>) -> HashSet<TaskNo> {
        self.pool.close_numbers(|number| self.numbers.is_closing(number, now));
        let may_call = self.tasks.iter().filter(|(_, queue)| queue.running && queue.gate.stays_open(now));
        may_call.map(|(no, _)| *no).collect()
    }

    /// Waits for the next hour at which more can be called than now.
    pub(super) async fn next_hour(clock: &dyn Clock, hour: Option<DateTime<Utc>>) {
        match hour {
            Some(hour) => clock.sleep_until(hour).await,
            None => std::future::pending().await,
        }
    }

    /// When a window opens or a redial is due, of those that have anybody to call.
    pub(super) fn hour(&mut self) -> Option<DateTime<Utc>> {
        if self.fence.is_none() || !self.tasks.values().any(TaskQueue::has_candidates) {
            return None;
        }
        let now = self.context.clock.now();
        let number = self.numbers.next_opening(now);
        let waiting = self.tasks.values_mut().filter(|queue| queue.running && queue.has_candidates());
        let task = waiting.filter_map(|queue| {
            let due = queue.next_due().filter(|due| *due > now);
            queue.gate.next_opening(now).or(due)
        });
        task.chain(number).min()
    }
}
