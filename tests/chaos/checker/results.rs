//! How calls ended: by the events, and by the carrier's record of the same calls.
//!
//! The record is written before anybody can learn of an end, so an event that knows more than the record made it up.
//! An unknown outcome claims nothing about the end, but it is still about the call that was placed.

use super::events::{CallEnded, UNKNOWN_OUTCOME};
use super::evidence::{Evidence, Fault, FaultKind};
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
        None if placing.heard => Some(format!("{call} of the process {process} never ended")),
        _ => None,
    }
}

fn complaint_about_event(history: &History, event: &CallEnded) -> Option<String> {
    let placings = history.placings_of(event.call);
    let unknown = event.result == UNKNOWN_OUTCOME;
    let same_call = |placing: &Placing| {
        placing.task == Some(event.task) && placing.called == event.called && placing.caller == event.caller
    };
    let same_end = |placing: &Placing| match &placing.end {
        Some(end) => means(history, (placing, end), &event.result),
        None => !placing.heard && NEVER_HEARD.contains(&event.result.as_str()),
    };
    let agrees = placings.iter().any(|placing| same_call(placing) && (unknown || same_end(placing)));
    // Claimed and never placed: then there is nothing to compare.
    let nothing_to_say = unknown && placings.is_empty();
    (!agrees && !nothing_to_say).then(|| format!("{event:?} and in the record {placings:?}"))
}

/// What a call may come to that the carrier never heard of: the trunk's silence, or a stop.
const NEVER_HEARD: [&str; 2] = ["NETWORK_BUSY", "CANCEL"];
/// How late what was said may be read on a busy machine, so that a CANCEL is sent after it.
const CROSSING: i64 = 1_000_000;
/// The longest between two INVITEs of one transaction before an agent is given up, 8 s (RFC 3261, section 17.1.1.2: after 0.5, 1,
/// 2, 4 and 8 s), and its way.
const UNTIL_SAID_AGAIN: i64 = 9_000_000;
/// How long an answer may be from being written down.
const UNTIL_KEPT: i64 = 2_000_000;
/// The ring timeout of all tasks, less what the way of the INVITE to the carrier's ledger takes off it on a busy machine.
const RING_TIMEOUT: i64 = 9_000_000;

/// Whether the event may say so of a call that the carrier saw end in this way.
fn means(history: &History, (placing, end): (&Placing, &End), told: &str) -> bool {
    let rang_long = end.at >= placing.at + RING_TIMEOUT;
    match (end.result.as_str(), told) {
        // Ours: the ring timeout, or a stop.
        ("CANCELLED", "NO_ANSWER") => rang_long,
        ("CANCELLED", "CANCEL") => true,
        // Nobody picked up for as long as the carrier lets a phone ring.
        ("RANG_OUT", "NO_ANSWER") => true,
        // It was silent until we gave it up.
        ("CANCELLED", "NETWORK_BUSY") => placing.missed,
        // The answer crossed our CANCEL, and was hung up at once.
        ("ANSWERED", "NO_ANSWER" | "CANCEL") => placing.cancelled_at.is_some(),
        ("ANSWERED", "AGENT_FAILED") => {
            lost_its_agent(history, (placing, end)) || was_not_heard(history, (placing, end))
        }
        // The refusal crossed our CANCEL.
        ("USER_BUSY" | "INVALID_NUMBER", "NO_ANSWER" | "CANCEL") => {
            placing.cancelled_at.is_some_and(|cancelled_at| cancelled_at <= end.at + CROSSING)
        }
        (seen, told) => seen == told,
    }
}

/// The carrier heard nothing of what the agent or the callee was to be told, until it was said again.
fn was_not_heard(history: &History, (placing, end): (&Placing, &End)) -> bool {
    let mut silences = history.evidence.faults.iter().filter(|fault| fault.kind == FaultKind::TrunkDeaf);
    let is_of = |silence: &Fault, agent_at| silence.at <= end.at && agent_at <= silence.until + UNTIL_SAID_AGAIN;
    placing.agent_at.is_some_and(|agent_at| silences.any(|silence| is_of(silence, agent_at)))
}

/// The agent was not there; or it was, and that could not be written down before the process died.
fn lost_its_agent(history: &History, (placing, end): (&Placing, &End)) -> bool {
    let evidence = history.evidence;
    let process = evidence.records.process(placing);
    let died_at = evidence.processes.get(process).and_then(|process| process.ended_at);
    // An agent that came after the end was not there either.
    placing.agent_at.filter(|agent_at| *agent_at <= end.at).is_none_or(|agent_at| {
        died_at.is_some_and(|died_at| time_to_record(evidence, process, (agent_at, died_at)) <= UNTIL_KEPT)
    })
}

/// How long a process could write to the database between two instants: while it was not suspended, and the database was there.
fn time_to_record(evidence: &Evidence, process: &str, (from, until): (i64, i64)) -> i64 {
    let is_its_own = |fault: &Fault| fault.kind == FaultKind::Stop && fault.process.as_deref() == Some(process);
    let hindrances = evidence.faults.iter().filter(|fault| is_its_own(fault) || fault.keeps_from_recording());
    let mut spans: Vec<(i64, i64)> = hindrances.map(|fault| (fault.at.max(from), fault.until.min(until))).collect();
    spans.sort_unstable();
    let (mut free, mut since) = (0, from);
    for (begins, ends) in spans.into_iter().filter(|(begins, ends)| begins < ends) {
        free += (begins - since).max(0);
        since = since.max(ends);
    }
    free + (until - since).max(0)
}
