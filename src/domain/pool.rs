//! The concurrency pool of one service instance: slots and calls per second, counted exactly.
//!
//! A *slot* (of task, service instance and caller number at once) is held from before the claim to the later of
//! the call's end and one second after it was placed. A *permit* of the pace is reserved with the slot and
//! becomes a placing when the call is placed: any second then holds at most `max_cps` placings. Proof: of
//! placings within one second take the one reserved last; at its reservation each other one was either still
//! reserved or placed less than a second ago, so all of them were counted, and the sum was below the limit.
//!
//! One owner holds the pool and nobody else counts, so nothing here locks and no call costs a write.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::ids::TaskNo;
use super::phone_number::PhoneNumber;
use super::service_instance::{CallerNumber, Share};

/// How long a placing counts: a second, and a little for the slewing of the clocks that others measure it by.
const PLACING_SECOND: Duration = Duration::from_millis(1_003);

/// The right to make one call. Must go back to the pool by [`Pool::give_back`] or [`Pool::ended`].
#[derive(Debug)]
#[must_use = "a slot that is lost is held for ever"]
pub struct Slot {
    task: TaskNo,
    number: PhoneNumber,
    stage: Stage,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Reserved,
    Placed(Instant),
    /// A call that another run of the daemon placed: its pace is not ours.
    Foreign,
}

impl Slot {
    /// The number to call from.
    pub fn caller_number(&self) -> &PhoneNumber {
        &self.number
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Gauge {
    limit: u32,
    held: u32,
}

impl Gauge {
    fn free(self) -> u32 {
        self.limit.saturating_sub(self.held)
    }
}

/// Slots and pace of one service instance.
#[derive(Debug, Default)]
pub struct Pool {
    instance: Gauge,
    tasks: HashMap<TaskNo, Gauge>,
    numbers: HashMap<PhoneNumber, Gauge>,
    /// The numbers in turn; the front one is asked first.
    turn: VecDeque<PhoneNumber>,
    max_cps: u32,
    reserved: u32,
    placings: VecDeque<Instant>,
    /// Slots that come free by themselves, by the moment: of calls that ended within a second of their placing, and of
    /// calls of which nobody knows.
    lingering: BTreeMap<(Instant, u64), (TaskNo, PhoneNumber)>,
    lingered: u64,
}

impl Pool {
    /// Sets the limits; what is held above them stays, and nothing starts until the count is below.
    pub fn set_limits(&mut self, share: Share, numbers: &[CallerNumber]) {
        self.instance.limit = share.max_concurrent;
        self.max_cps = share.max_cps;
        self.numbers.retain(|_, gauge| {
            gauge.limit = 0;
            gauge.held > 0
        });
        for caller in numbers {
            self.numbers.entry(caller.number.clone()).or_default().limit = caller.max_concurrent.unwrap_or(u32::MAX);
        }
        self.turn = numbers.iter().map(|caller| caller.number.clone()).collect();
    }

    /// Sets which tasks may call, and how many calls each may have up.
    pub fn set_tasks(&mut self, concurrencies: &[(TaskNo, u32)]) {
        self.tasks.retain(|_, gauge| {
            gauge.limit = 0;
            gauge.held > 0
        });
        for (task, concurrency) in concurrencies {
            self.tasks.entry(*task).or_default().limit = *concurrency;
        }
    }

    /// How many calls could start now, were there callees of tasks with room.
    pub fn room(&mut self, now: Instant) -> u32 {
        self.expire(now);
        let counted = self.reserved + u32::try_from(self.placings.len()).unwrap_or(u32::MAX);
        self.instance.free().min(self.max_cps.saturating_sub(counted))
    }

    /// True when `task` has a slot left of its own.
    pub fn task_has_room(&self, task: TaskNo) -> bool {
        self.tasks.get(&task).is_some_and(|gauge| gauge.free() > 0)
    }

    /// Takes a slot and a permit for a call of `task`, from the next number in turn that is free.
    pub fn take(&mut self, now: Instant, task: TaskNo) -> Option<Slot> {
        if self.room(now) == 0 || !self.task_has_room(task) {
            return None;
        }
        let free = |number: &PhoneNumber| self.numbers.get(number).is_some_and(|gauge| gauge.free() > 0);
        let place = self.turn.iter().position(free)?;
        self.turn.rotate_left(place + 1);
        let number = self.turn.back()?.clone();
        self.count(task, &number);
        self.reserved += 1;
        Some(Slot { task, number, stage: Stage::Reserved })
    }

    /// Holds a slot for a call that is in the air already, placed by another run of the daemon.
    pub fn hold(&mut self, task: TaskNo, number: PhoneNumber) -> Slot {
        self.count(task, &number);
        Slot { task, number, stage: Stage::Foreign }
    }

    /// The call of `slot` was placed; `now` was read after the placing.
    pub fn placed(&mut self, slot: &mut Slot, now: Instant) {
        slot.stage = Stage::Placed(now);
        self.reserved -= 1;
        self.placings.push_back(now);
    }

    /// Takes back a slot whose call was never placed.
    pub fn give_back(&mut self, slot: Slot) {
        if matches!(slot.stage, Stage::Reserved) {
            self.reserved -= 1;
        }
        self.uncount(slot.task, &slot.number);
    }

    /// Takes back a slot whose call ended; it comes free a second after the placing at the earliest.
    pub fn ended(&mut self, slot: Slot, now: Instant) {
        match slot.stage {
            Stage::Placed(at) if at + PLACING_SECOND > now => self.linger(slot, at + PLACING_SECOND),
            Stage::Placed(_) | Stage::Foreign => self.uncount(slot.task, &slot.number),
            Stage::Reserved => self.give_back(slot),
        }
    }

    /// Keeps a slot held until a moment, and then frees it: nobody will tell when its call ends.
    pub fn linger(&mut self, slot: Slot, until: Instant) {
        self.lingered += 1;
        self.lingering.insert((until, self.lingered), (slot.task, slot.number));
    }

    /// The next moment at which something comes free by itself.
    pub fn next_change(&self) -> Option<Instant> {
        let slot = self.lingering.keys().next().map(|(at, _)| *at);
        let permit = self.placings.front().map(|at| *at + PLACING_SECOND);
        slot.into_iter().chain(permit).min()
    }

    /// Slots held at this moment.
    pub fn held(&self) -> u32 {
        self.instance.held
    }

    /// Frees what came free by itself.
    pub fn expire(&mut self, now: Instant) {
        while self.placings.front().is_some_and(|at| *at + PLACING_SECOND <= now) {
            self.placings.pop_front();
        }
        while let Some(entry) = self.lingering.first_entry().filter(|entry| entry.key().0 <= now) {
            let (task, number) = entry.remove();
            self.uncount(task, &number);
        }
    }

    fn count(&mut self, task: TaskNo, number: &PhoneNumber) {
        self.instance.held += 1;
        self.tasks.entry(task).or_default().held += 1;
        self.numbers.entry(number.clone()).or_default().held += 1;
    }

    fn uncount(&mut self, task: TaskNo, number: &PhoneNumber) {
        self.instance.held -= 1;
        if let Some(gauge) = self.tasks.get_mut(&task) {
            gauge.held -= 1;
        }
        if let Some(gauge) = self.numbers.get_mut(number) {
            gauge.held -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(last: u32) -> PhoneNumber {
        PhoneNumber::from_stored(format!("+4930000000{last}"))
    }

    fn pool(max_concurrent: u32, max_cps: u32, numbers: &[Option<u32>]) -> Pool {
        let mut pool = Pool::default();
        let callers: Vec<_> = (0..)
            .zip(numbers)
            .map(|(last, &max_concurrent)| CallerNumber { number: number(last), max_concurrent })
            .collect();
        pool.set_limits(Share { max_concurrent, max_cps }, &callers);
        pool.set_tasks(&[(TaskNo(1), u32::MAX)]);
        pool
    }

    #[test]
    fn a_slot_is_held_for_a_second_after_the_placing() {
        let mut pool = pool(1, 100, &[None]);
        let start = Instant::now();
        let mut slot = pool.take(start, TaskNo(1)).unwrap();
        pool.placed(&mut slot, start);
        pool.ended(slot, start + Duration::from_millis(1));
        assert!(pool.take(start + Duration::from_millis(999), TaskNo(1)).is_none());
        assert_eq!(pool.next_change(), Some(start + PLACING_SECOND));
        assert!(pool.take(start + PLACING_SECOND, TaskNo(1)).is_some());
    }

    #[test]
    fn numbers_take_turns_and_a_full_one_is_passed_over() {
        let mut pool = pool(10, 10, &[Some(1), None]);
        let start = Instant::now();
        let slots: Vec<_> = (0..4).filter_map(|_| pool.take(start, TaskNo(1))).collect();
        let used: Vec<_> = slots.iter().map(|slot| slot.caller_number().clone()).collect();
        assert_eq!(used, [number(0), number(1), number(1), number(1)]);
        pool.set_limits(Share { max_concurrent: 10, max_cps: 10 }, &[]);
        assert!(pool.take(start, TaskNo(1)).is_none(), "no number, no call");
        slots.into_iter().for_each(|slot| pool.give_back(slot));
        assert_eq!(pool.held(), 0);
    }

    #[test]
    fn a_permit_that_is_given_back_can_be_used_at_once() {
        let mut pool = pool(10, 1, &[None]);
        let start = Instant::now();
        let slot = pool.take(start, TaskNo(1)).unwrap();
        assert!(pool.take(start, TaskNo(1)).is_none());
        pool.give_back(slot);
        assert!(pool.take(start, TaskNo(1)).is_some());
    }

    #[test]
    fn a_slot_of_an_unknown_call_is_held_until_its_moment() {
        let mut pool = pool(1, 10, &[None]);
        let start = Instant::now();
        let slot = pool.hold(TaskNo(1), number(0));
        pool.linger(slot, start + Duration::from_secs(7));
        assert!(pool.take(start + Duration::from_millis(6_999), TaskNo(1)).is_none());
        assert!(pool.take(start + Duration::from_secs(7), TaskNo(1)).is_some());
    }

    proptest! {
        /// Random takes, placings and ends, against a plain recount of the history after each step.
        #[test]
        fn no_limit_is_passed_in_any_history(steps in prop::collection::vec((0u8..4, 0u64..400), 1..300)) {
            let (slots, cps, task_limit, number_limit) = (6, 4, 5, 3);
            let mut pool = pool(slots, cps, &[Some(number_limit), Some(number_limit)]);
            pool.set_tasks(&[(TaskNo(1), task_limit)]);
            let mut now = Instant::now();
            let (mut reserved, mut up, mut placed_at, mut lifetimes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for (step, wait) in steps {
                match step {
                    0 => reserved.extend(pool.take(now, TaskNo(1))),
                    1 if !reserved.is_empty() => {
                        let mut slot: Slot = reserved.remove(0);
                        pool.placed(&mut slot, now);
                        placed_at.push(now);
                        up.push((now, slot));
                    }
                    2 if !up.is_empty() => {
                        let (at, slot) = up.remove(0);
                        pool.ended(slot, now);
                        lifetimes.push((at, now.max(at + Duration::from_secs(1))));
                    }
                    _ => now += Duration::from_millis(wait),
                }
                let in_air = up.len() + lifetimes.iter().filter(|(_, end)| *end > now).count();
                prop_assert!(in_air <= task_limit as usize);
                let second = placed_at.iter().filter(|at| **at + Duration::from_secs(1) > now).count();
                prop_assert!(second <= cps as usize);
            }
        }
    }
}
