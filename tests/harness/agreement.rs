//! Do the events tell what the carrier recorded? Compared call by call, and callee by callee.
//!
//! Delivery is at least once: an event may come again, with the same id and the same bytes. Everything else that
//! differs is collected and shown together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::downstream::Event;
use super::record::{Call, Record};

const SHOWN: usize = 20;

/// Fails unless record and events agree and each of the `accepted` callees has exactly one final event.
#[track_caller]
pub fn assert_agree(record: &Record, events: &[Arc<Event>], accepted: usize) {
    assert_none(&disagreements(record, events, accepted));
}

/// The same after a daemon was killed: what it had open may have ended in any way, or never have begun.
#[track_caller]
pub fn assert_agree_after_a_crash(record: &Record, events: &[Arc<Event>], accepted: usize) {
    let (unknown, known): (Vec<_>, Vec<_>) =
        events.iter().cloned().partition(|event| event.text("result") == "UNKNOWN_OUTCOME");
    let told: HashSet<&str> = unknown.iter().map(|event| event.text("callId")).collect();
    let mut found = record.faults.clone();
    compare_calls(&record.only(|call| !told.contains(call.id.as_str())), &distinct(&known, &mut found), &mut found);
    compare_callees(&distinct(events, &mut found), accepted, &mut found);
    assert_none(&found);
}

#[track_caller]
fn assert_none(found: &[String]) {
    let shown: Vec<_> = found.iter().take(SHOWN).map(String::as_str).collect();
    assert!(found.is_empty(), "{} disagreements:\n{}", found.len(), shown.join("\n"));
}

/// All that does not fit.
pub fn disagreements(record: &Record, events: &[Arc<Event>], accepted: usize) -> Vec<String> {
    let mut found = record.faults.clone();
    let events = distinct(events, &mut found);
    compare_calls(record, &events, &mut found);
    compare_callees(&events, accepted, &mut found);
    found
}

/// Each event once, by its id.
fn distinct<'e>(events: &'e [Arc<Event>], found: &mut Vec<String>) -> Vec<&'e Event> {
    let mut by_id: HashMap<&str, &Event> = HashMap::new();
    let mut distinct = Vec::new();
    for event in events {
        match by_id.insert(event.attribute("id"), event) {
            None => distinct.push(&**event),
            Some(first) if first.body == event.body && first.routing_key == event.routing_key => {}
            Some(_) => found.push(format!("two different events with the id {}", event.attribute("id"))),
        }
    }
    distinct
}

fn compare_calls(record: &Record, events: &[&Event], found: &mut Vec<String>) {
    let calls: HashMap<&str, &Call> = record.calls.iter().map(|call| (call.id.as_str(), call)).collect();
    let mut told = HashSet::new();
    for event in events.iter().filter(|event| event.kind() == "call.ended") {
        let id = event.text("callId");
        if !told.insert(id) {
            found.push(format!("{id} has two events of its end"));
        }
        match calls.get(id) {
            None => found.push(format!("{id} ended by its event and is not in the record")),
            Some(call) => compare_call(call, event, found),
        }
    }
    for call in record.calls.iter().filter(|call| !told.contains(call.id.as_str())) {
        found.push(format!("{} is in the record and has no event of its end: {call:?}", call.id));
    }
}

fn compare_call(call: &Call, event: &Event, found: &mut Vec<String>) {
    let result = call.end.as_ref().map_or("", |(result, _)| result);
    for (what, recorded, told) in [
        ("result", result, event.text("result")),
        ("task", &call.task, event.text("taskId")),
        ("called number", &call.called, event.text("calledNumber")),
        ("caller number", &call.caller, event.text("callerNumber")),
    ] {
        if recorded != told {
            found.push(format!("{}: the {what} is {recorded:?} in the record and {told:?} in the event", call.id));
        }
    }
}

fn compare_callees(events: &[&Event], accepted: usize, found: &mut Vec<String>) {
    let mut callees: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in events.iter().filter(|event| matches!(event.kind(), "call.ended" | "callee.failed")) {
        callees.entry(event.text("calleeId")).or_default().push(event);
    }
    if callees.len() != accepted {
        found.push(format!("{accepted} callees were accepted, and {} have events", callees.len()));
    }
    for (id, events) in &callees {
        let finals = events.iter().filter(|event| event.is_final()).count();
        if finals != 1 {
            found.push(format!("the callee {id} has {finals} final events"));
        }
        compare_attempts(id, events, found);
    }
}

/// Attempts are counted from 1 without a gap; `callee.failed` says how many there were.
fn compare_attempts(id: &str, events: &[&Event], found: &mut Vec<String>) {
    let (ended, failed): (Vec<&Event>, Vec<&Event>) = events.iter().partition(|event| event.kind() == "call.ended");
    let mut attempts: Vec<_> = ended.iter().map(|event| event.data()["attempt"].as_u64().unwrap_or(0)).collect();
    attempts.sort_unstable();
    if !attempts.iter().copied().eq(1..=attempts.len() as u64) {
        found.push(format!("the callee {id} has the attempts {attempts:?}"));
    }
    let last = |event: &&Event| event.data()["attempt"] == attempts.len();
    if ended.iter().any(|event| event.is_final() && !last(event)) {
        found.push(format!("the callee {id} was called again after its final event"));
    }
    if failed.iter().any(|event| event.data()["attempts"] != attempts.len()) {
        found.push(format!("the callee {id} failed after another number of attempts than {}", attempts.len()));
    }
}
