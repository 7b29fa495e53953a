//! How calls ended: by the events, and by the carrier's record of the same calls.
//!
//! The record is written before anybody can learn of an end, so an event that knows more than the record made it up.
//! An unknown outcome claims nothing about the end, but it is still about the call that was placed.

use super::events::{CallEnded, UNKNOWN_OUTCOME};
use super::history::History;
use super::names;
use super::record::Placing;
use super::report::Invariant;

pub fn results(history: &History) -> Invariant {
    let records = &history.evidence.records;
    let mut found = records.faults.clone();
    found.extend(records.placings.iter().filter_map(|placing| complaint_about_placing(history, placing)));
    found.extend(history.ended.values().flatten().filter_map(|event| complaint_about_event(history, event)));
    Invariant::none(names::RESULTS, found)
}

/// A call that ended must have been told of, and one that did not end must have died with its process.
fn complaint_about_placing(history: &History, placing: &Placing) -> Option<String> {
    let (call, process) = (placing.call, history.evidence.records.process(placing));
    match &placing.end {
        Some(end) if !history.ended.contains_key(&call) => {
            Some(format!("{call} ended as {} and has no event of its end", end.result))
        }
        None if history.evidence.killed_at(process).is_none() => {
            Some(format!("{call} never ended, and its process {process} was not killed"))
        }
        _ => None,
    }
}

fn complaint_about_event(history: &History, event: &CallEnded) -> Option<String> {
    let placings = history.placings_of(event.call);
    let unknown = event.result == UNKNOWN_OUTCOME;
    let same_call = |placing: &Placing| {
        placing.task == event.task && placing.called == event.called && placing.caller == event.caller
    };
    let same_end = |placing: &Placing| placing.end.as_ref().is_some_and(|end| end.result == event.result);
    let agrees = placings.iter().any(|placing| same_call(placing) && (unknown || same_end(placing)));
    // Claimed and never placed: then there is nothing to compare.
    let nothing_to_say = unknown && placings.is_empty();
    (!agrees && !nothing_to_say).then(|| format!("{event:?} and in the record {placings:?}"))
}
