//! The concurrency pool of one service instance: slots and calls per second, counted exactly.
//!
//! A *slot* (of task, service instance and caller number at once) is held from before the claim to the later of
//! the call's end and one second after it was placed. A *permit* of the pace is reserved with the slot and
//! becomes a placing when the call is placed: any second then holds at most `max_cps` placings. Proof: of
//! placings within one second take the one reserved last; at its reservation each other one was either still
//! reserved or placed less than a second ago, so all of them were counted, and the sum was below the limit.
//!
//! One owner holds the pool and nobody else counts, so nothing here locks and no call costs a write.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
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
    /// Counts nowhere.
    Uncounted,
}

impl Slot {
    /// A slot that no limit knows of, for a test that takes away what holds the others.
    pub fn uncounted(task: TaskNo, number: PhoneNumber) -> Self {
        Self { task, number, stage: Stage::Uncounted }
    }

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

/// A caller number with the slots that it has.
#[derive(Debug, Default, Clone, Copy)]
struct Number {
    gauge: Gauge,
    /// Its hours are over, or have not come.
    closed: bool,
    /// When it was used last, counted in calls: among equals the lowest is next.
    turn: u64,
}

impl Number {
    fn is_usable(self) -> bool {
        !self.closed && self.gauge.free() > 0
    }
}

/// Slots and pace of one service instance.
#[derive(Debug, Default)]
pub struct Pool {
    instance: Gauge,
    tasks: HashMap<TaskNo, Gauge>,
    numbers: HashMap<PhoneNumber, Number>,
    turns: u64,
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
        let listed: HashSet<&PhoneNumber> = numbers.iter().map(|caller| &caller.number).collect();
        self.numbers.retain(|number, Number { gauge, .. }| {
            gauge.limit = 0;
            gauge.held > 0 || listed.contains(number)
        });
        for caller in numbers {
            self.turns += 1;
            let new = Number { turn: self.turns, ..Number::default() };
            let number = self.numbers.entry(caller.number.clone()).or_insert(new);
            number.gauge.limit = caller.max_concurrent.unwrap_or(u32::MAX).min(share.max_concurrent);
        }
    }

    /// Says which numbers may not be used at the moment; all others may.
    pub fn close_numbers(&mut self, is_closed: impl Fn(&PhoneNumber) -> bool) {
        self.numbers.iter_mut().for_each(|(name, number)| number.closed = is_closed(name));
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

    /// Takes a slot and a permit for a call of `task`: from the number that is asked for if that can be, else from the
    /// one with the most slots free, numbers with as many taking turns.
    pub fn take(&mut self, now: Instant, task: TaskNo, preferred: Option<&PhoneNumber>) -> Option<Slot> {
        if self.room(now) == 0 || !self.task_has_room(task) {
            return None;
        }
        let usable = |name: &&PhoneNumber| self.numbers.get(*name).is_some_and(|number| number.is_usable());
        let number = preferred.filter(usable).or_else(|| self.most_free())?.clone();
        self.count(task, &number);
        self.turns += 1;
        self.numbers.entry(number.clone()).and_modify(|used| used.turn = self.turns);
        self.reserved += 1;
        Some(Slot { task, number, stage: Stage::Reserved })
    }

    fn most_free(&self) -> Option<&PhoneNumber> {
        let usable = self.numbers.iter().filter(|(_, number)| number.is_usable());
        usable.max_by_key(|(_, number)| (number.gauge.free(), Reverse(number.turn))).map(|(name, _)| name)
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
            Stage::Uncounted => {}
        }
    }

    /// Keeps a slot held until a moment, and then frees it: nobody will tell when its call ends.
    pub fn linger(&mut self, slot: Slot, until: Instant) {
        if matches!(slot.stage, Stage::Uncounted) {
            return;
        }
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

    /// Slots that may be held.
    pub fn limit(&self) -> u32 {
        self.instance.limit
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
        self.numbers.entry(number.clone()).or_default().gauge.held += 1;
    }

    fn uncount(&mut self, task: TaskNo, number: &PhoneNumber) {
        self.instance.held -= 1;
        if let Some(gauge) = self.tasks.get_mut(&task) {
            gauge.held -= 1;
        }
        if let Some(number) = self.numbers.get_mut(number) {
            number.gauge.held -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
