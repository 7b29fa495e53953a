//! How calls ended: by the events, and by the carrier's record of the same calls.
//!
//! The record is written before anybody can learn of an end, so an event that knows more than the record made it up.
//! An unknown outcome claims nothing about the end, but it is still about the call that was placed.

use super::events::{CallEnded, UNKNOWN_OUTCOME};
use super::history::History;
use super::names;
use super::record::{End, Placing};
use super::report::Invariant;

pub fn results(history: &History) -> Invariant {
    let records = &history.evidence.records;
    let mut found = records.faults.clone();
    found.extend(records.placings.iter().filter_map(|placing| complaint_about_placing(history, placing)));
    found.extend(history.ended.values().flatten().filter_map(|event| complaint_about_event(history, event)));
    Invariant::none(names::RESULTS, found)
}

/// A call that ended must have been told of, and each must have ended: the carrier gives up whom nobody speaks to.
fn complaint_about_placing(history: &History, placing: &Placing) -> Option<String> {
    let (call, process) = (placing.call, history.evidence.records.process(placing));
    match &placing.end {
        Some(end) if !history.ended.contains_key(&call) => {
            Some(format!("{call} ended as {} and has no event of its end", end.result))
        }
        None => Some(format!("{call} of the process {process} never ended")),
        _ => None,
    }
}

fn complaint_about_event(history: &History, event: &CallEnded) -> Option<String> {
    let placings = history.placings_of(event.call);
    let unknown = event.result == UNKNOWN_OUTCOME;
    let same_call = |placing: &Placing| {
        placing.task == Some(event.task) && placing.called == event.called && placing.caller == event.caller
    };
    let same_end =
        |placing: &Placing| placing.end.as_ref().is_some_and(|end| means(history, (placing, end), &event.result));
    let agrees = placings.iter().any(|placing| same_call(placing) && (unknown || same_end(placing)));
    // Claimed and never placed: then there is nothing to compare.
    let nothing_to_say = unknown && placings.is_empty();
    (!agrees && !nothing_to_say).then(|| format!("{event:?} and in the record {placings:?}"))
}

/// How long an answer may be from being written down.
const UNTIL_KEPT: i64 = 2_000_000;
/// The ring timeout of all tasks, less what the way of the INVITE to the carrier's ledger takes off it on a busy machine.
const RING_TIMEOUT: i64 = 8_000_000;
/// What an answer or a refusal may lie unread at a busy daemon, while it does something else about the call.
const CROSSING: i64 = 3_000_000;
/// From such a crossing to the exit of a process that was asked to stop.
const UNTIL_THE_EXIT: i64 = 10_000_000;

/// Whether the event may say so of a call that the carrier saw end in this way.
fn means(history: &History, (placing, end): (&Placing, &End), told: &str) -> bool {
    let rang_long = end.at >= placing.at + RING_TIMEOUT;
    match (end.result.as_str(), told) {
        // Ours: the ring timeout, or a stop.
        ("CANCELLED", "NO_ANSWER") => rang_long,
        ("CANCELLED", "CANCEL") => true,
        // The answer crossed our CANCEL, and was hung up at once.
        ("ANSWERED", "NO_ANSWER" | "CANCEL") => placing.cancelled,
        ("ANSWERED", "AGENT_FAILED") => lost_its_agent(history, placing) || left_while_joined((placing, end)),
        // The refusal crossed our taking back.
        ("USER_BUSY" | "INVALID_NUMBER", "CANCEL") => was_asked_to_stop(history, (placing, end)),
        (seen, told) => seen == told,
    }
}

/// The agent was not there; or it was, and that could not be written down before the process died.
fn lost_its_agent(history: &History, placing: &Placing) -> bool {
    let evidence = history.evidence;
    let died_at = evidence.processes.get(evidence.records.process(placing)).and_then(|process| process.ended_at);
    placing.agent_at.is_none_or(|agent_at| died_at.is_some_and(|died_at| agent_at + UNTIL_KEPT >= died_at))
}

/// The callee hung up just when it was told where the agent is.
fn left_while_joined((placing, end): (&Placing, &End)) -> bool {
    placing.agent_at.is_some_and(|agent_at| end.at <= agent_at + CROSSING)
}

fn was_asked_to_stop(history: &History, (placing, end): (&Placing, &End)) -> bool {
    let evidence = history.evidence;
    let process = evidence.processes.get(evidence.records.process(placing)).filter(|process| !process.killed);
    let exit = process.and_then(|process| process.ended_at);
    exit.is_some_and(|exit| (end.at..end.at + UNTIL_THE_EXIT).contains(&exit))
}
