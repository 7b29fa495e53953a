//! What became of callees and attempts: one last word for each callee, one end for each attempt, no attempt too many.
//!
//! Events count once for each id: that one comes again is the bus's right, that two tell the same is not.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::events::CallEnded;
use super::evidence::Evidence;
use super::history::{CalleeKey, History};
use super::names;
use super::record::Placing;
use super::report::Invariant;

/// Also the other way round: a last word about nobody is one too many.
pub fn final_events(history: &History) -> Invariant {
    let mut words: HashMap<Uuid, usize> = HashMap::new();
    for (callee, _) in history.evidence.events.distinct().filter_map(|event| event.last_word()) {
        *words.entry(callee).or_default() += 1;
    }
    let told = |(callee, (task_no, seq)): (&Uuid, &CalleeKey)| match words.get(callee).copied().unwrap_or(0) {
        1 => None,
        words => Some(format!("the callee {callee}, {seq} of task {task_no}, has {words} final events")),
    };
    let mut found: Vec<String> = history.callees.iter().filter_map(told).collect();
    let strangers = words.keys().filter(|callee| !history.callees.contains_key(callee));
    found.extend(strangers.map(|callee| format!("{callee} has a final event and is no callee")));
    Invariant::none(names::FINAL_EVENTS, found)
}

/// An attempt is what the log has, and what any carrier was asked for.
pub fn attempts(history: &History) -> Invariant {
    let logged: HashSet<Uuid> =
        history.attempts.iter().filter(|(_, attempt)| attempt.logged).map(|(call, _)| *call).collect();
    let calls: HashSet<Uuid> = logged.iter().chain(history.placings.keys()).copied().collect();
    let told = |call: &Uuid| match history.ended.get(call).map_or(0, Vec::len) {
        1 => None,
        events => Some(format!("the attempt {call} has {events} events of its end")),
    };
    let mut found: Vec<String> = calls.iter().filter_map(told).collect();
    let unlogged = history.ended.keys().filter(|call| !logged.contains(call));
    found.extend(unlogged.map(|call| format!("{call} has an event of its end and is not in the log")));
    found.extend(history.ended.values().flatten().filter_map(|event| wrong_name(history, event)));
    found.extend(gaps(history.evidence));
    Invariant::none(names::ATTEMPTS, found)
}

/// The event must name callee and attempt as its call's id does.
fn wrong_name(history: &History, event: &CallEnded) -> Option<String> {
    let attempt = history.attempts.get(&event.call)?;
    let right = history.callees.get(&event.callee) == Some(&attempt.callee) && attempt.number == event.attempt;
    let (task_no, seq) = attempt.callee;
    (!right).then(|| format!("{event:?}, and it is attempt {} of callee {seq} of task {task_no}", attempt.number))
}

/// The attempts of a callee are numbered from 1 without a gap.
fn gaps(evidence: &Evidence) -> Vec<String> {
    let mut numbers: HashMap<CalleeKey, Vec<u32>> = HashMap::new();
    for row in &evidence.dump.attempts {
        numbers.entry((row.task_no, row.seq)).or_default().push(row.attempt);
    }
    let gap = |((task_no, seq), mut numbers): (CalleeKey, Vec<u32>)| {
        numbers.sort_unstable();
        let whole = numbers.iter().copied().eq(1..=u32::try_from(numbers.len()).unwrap());
        (!whole).then(|| format!("the callee {seq} of task {task_no} has the attempts {numbers:?}"))
    };
    numbers.into_iter().filter_map(gap).collect()
}

pub fn budgets(evidence: &Evidence) -> Invariant {
    let mut counted: HashMap<CalleeKey, usize> = HashMap::new();
    for row in evidence.dump.attempts.iter().filter(|row| row.counted) {
        *counted.entry((row.task_no, row.seq)).or_default() += 1;
    }
    let allowed = evidence.plan.attempts_allowed;
    let above = counted.into_iter().filter(|(_, counted)| *counted > allowed);
    let found = above.map(|((task_no, seq), counted)| {
        format!("the callee {seq} of task {task_no} has {counted} counted attempts of {allowed}")
    });
    Invariant::none(names::BUDGETS, found.collect())
}

/// By the numbers of the attempts, not by the clock: an event's time is rounded and its daemon's own.
pub fn calls_after_the_last_word(history: &History) -> Invariant {
    let mut last: HashMap<CalleeKey, u32> = HashMap::new();
    for (callee, attempt) in history.evidence.events.distinct().filter_map(|event| event.last_word()) {
        // One about nobody is another invariant's.
        let Some(key) = history.callees.get(&callee) else { continue };
        last.entry(*key).and_modify(|last| *last = attempt.min(*last)).or_insert(attempt);
    }
    let complaint = |placing: &Placing| {
        let attempt = history.attempts.get(&placing.call)?;
        let last = *last.get(&attempt.callee)?;
        let Placing { call, at, .. } = placing;
        let number = attempt.number;
        (number > last).then(|| format!("{call} was placed at {at} as attempt {number}, and {last} was the last"))
    };
    let found = history.evidence.records.placings.iter().filter_map(complaint);
    Invariant::none(names::AFTER_THE_LAST_WORD, found.collect())
}
