//! The limits, recounted from the carrier's record: slots at any instant, calls in any second.
//!
//! All records are put together before anything is counted, because a takeover is where the sum of two daemons could
//! be too much. Spans are half-open: what ends at an instant has made room for what begins at it.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::evidence::{Evidence, Plan, ServiceInstance};
use super::names;
use super::record::Placing;
use super::report::Invariant;

const SECOND: i64 = 1_000_000;

/// The carrier is behind a network: what it hears may be late by so much, and so two calls closer together than they were made.
pub const HEARD_LATE: i64 = 50_000;

/// From when to when a slot is held.
type Span = (i64, i64);

/// The highest sum at any instant is held against a limit.
struct Group<'e> {
    what: String,
    limit: usize,
    placings: Vec<&'e Placing>,
}

impl Group<'_> {
    /// By how much the limit was passed, and where.
    fn excess(&self, kind: &str, most: (usize, i64)) -> Option<(usize, String)> {
        let (figure, at) = most;
        let excess = figure.checked_sub(self.limit).filter(|excess| *excess > 0)?;
        Some((excess, format!("{}: {figure} {kind} {at}, and the limit is {}", self.what, self.limit)))
    }
}

/// Each group counts with the most that its limit was ever passed by.
pub fn slots(evidence: &Evidence) -> Invariant {
    let mut groups = service_instances(evidence, |instance| instance.max_concurrent);
    groups.extend(tasks(evidence));
    groups.extend(caller_numbers(evidence));
    let excess =
        |group: &Group| group.excess("slots at", most_at_once(group.placings.iter().map(|placing| slot(placing))));
    let mut found: Vec<(usize, String)> = groups.iter().filter_map(excess).collect();
    found.extend(without_a_limit(evidence).map(|complaint| (1, complaint)));
    sum(names::SLOTS, found)
}

pub fn calls_per_second(evidence: &Evidence) -> Invariant {
    let groups = service_instances(evidence, |instance| instance.max_cps);
    // A placing is in those seconds that began less than a second before it: the most spans at once is the most
    // placings in any second.
    let second = |placing: &&Placing| (placing.at, placing.at + SECOND - HEARD_LATE);
    let excess = |group: &Group| {
        group.excess("calls in the second that ends with", most_at_once(group.placings.iter().map(second)))
    };
    sum(names::CALLS_PER_SECOND, groups.iter().filter_map(excess).collect())
}

fn sum(name: &'static str, found: Vec<(usize, String)>) -> Invariant {
    let figure = found.iter().map(|(excess, _)| excess).sum();
    Invariant::new(name, (figure, 0), found.into_iter().map(|(_, complaint)| complaint).collect())
}

/// A call is up until the carrier says that it is over, whatever became of its daemon.
fn slot(placing: &Placing) -> Span {
    // Whom the carrier never heard of it never called.
    let unended = if placing.heard { i64::MAX } else { placing.at };
    let end = placing.end.as_ref().map_or(unended, |end| end.at);
    // What is heard late seems to begin late: of two calls in turn, the first may have been heard at once.
    (placing.at, end.max(placing.at + SECOND - HEARD_LATE))
}

/// The most spans that cover one instant, and the first such instant.
fn most_at_once(spans: impl Iterator<Item = Span>) -> (usize, i64) {
    let mut changes: Vec<(i64, i32)> = spans.flat_map(|(from, until)| [(from, 1), (until, -1)]).collect();
    // At one instant what ends comes before what begins.
    changes.sort_unstable();
    let (mut held, mut most) = (0, (0, 0));
    for (at, change) in changes {
        held += change;
        if held > most.0 {
            most = (held, at);
        }
    }
    (usize::try_from(most.0).unwrap_or(0), most.1)
}

fn service_instances(evidence: &Evidence, limit: impl Fn(&ServiceInstance) -> usize) -> Vec<Group<'_>> {
    let mut by_caller = by_caller(evidence);
    let group = |instance: &ServiceInstance| {
        let numbers = instance.caller_numbers.iter();
        let placings = numbers.flat_map(|caller| by_caller.remove(caller.number.as_str()).unwrap_or_default());
        Group {
            what: format!("service instance {}", instance.id),
            limit: limit(instance),
            placings: placings.collect(),
        }
    };
    evidence.plan.service_instances.iter().map(group).collect()
}

fn caller_numbers(evidence: &Evidence) -> Vec<Group<'_>> {
    let mut by_caller = by_caller(evidence);
    let callers = evidence.plan.service_instances.iter().flat_map(|instance| &instance.caller_numbers);
    let limited = callers.filter_map(|caller| Some((caller.number.as_str(), caller.max_concurrent?)));
    let group = |(number, limit): (&str, usize)| {
        let placings = by_caller.remove(number).unwrap_or_default();
        Group { what: format!("caller number {number}"), limit, placings }
    };
    limited.map(group).collect()
}

fn tasks(evidence: &Evidence) -> Vec<Group<'_>> {
    let mut by_task: HashMap<Uuid, Vec<&Placing>> = HashMap::new();
    for placing in &evidence.records.placings {
        // One without an attempt is another invariant's.
        let Some(task) = placing.task else { continue };
        by_task.entry(task).or_default().push(placing);
    }
    let group = |task: &super::evidence::PlannedTask| {
        let placings = by_task.remove(&task.task_id).unwrap_or_default();
        Group { what: format!("task {}", task.task_id), limit: task.concurrency, placings }
    };
    evidence.plan.tasks.iter().map(group).collect()
}

fn by_caller(evidence: &Evidence) -> HashMap<&str, Vec<&Placing>> {
    let mut by_caller: HashMap<&str, Vec<&Placing>> = HashMap::new();
    for placing in &evidence.records.placings {
        by_caller.entry(&placing.caller).or_default().push(placing);
    }
    by_caller
}

/// Calls of a task through a number that is not its service instance's escape the counting above.
fn without_a_limit(evidence: &Evidence) -> impl Iterator<Item = String> {
    let numbers = numbers_of_tasks(&evidence.plan);
    evidence.records.placings.iter().filter_map(move |placing| {
        let task = placing.task?;
        let planned = numbers.get(&task).is_some_and(|callers| callers.contains(&placing.caller.as_str()));
        let Placing { call, caller, .. } = placing;
        (!planned).then(|| format!("{call} was placed for the task {task} through {caller}, which is not planned"))
    })
}

fn numbers_of_tasks(plan: &Plan) -> BTreeMap<Uuid, Vec<&str>> {
    let numbers = |id: &str| {
        let instances = plan.service_instances.iter().filter(|instance| instance.id == id);
        instances.flat_map(|instance| &instance.caller_numbers).map(|caller| caller.number.as_str()).collect()
    };
    plan.tasks.iter().map(|task| (task.task_id, numbers(&task.service_instance_id))).collect()
}
