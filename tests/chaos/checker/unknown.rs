//! Whether each unknown outcome has its excuse: the daemon that held the attempt was killed or stopped while the
//! attempt was open.
//!
//! An attempt is open from the commit of its claim to the commit of its end, and the latter is nowhere to be seen for
//! an end that was never recorded. What is known is when the carrier ended the call: the end is recorded within
//! moments of the daemon's hearing of that, unless Postgres is away.

use std::collections::HashMap;

use uuid::Uuid;

use super::events::CallEnded;
use super::evidence::{Evidence, Fault, FaultKind};
use super::history::{CalleeKey, Claims, History};
use super::names;
use super::report::Invariant;

/// From the carrier's end of a call to its commit.
const UNTIL_RECORDED: i64 = 2_000_000;

/// From the return of Postgres to the commit of what waited for it: the daemon tries again every two seconds at
/// the least, and a new connection takes its time.
const UNTIL_RECORDED_AFTER_AN_OUTAGE: i64 = 5_000_000;

/// A time in which a process could not record anything.
#[derive(Debug, Clone, Copy)]
struct Silence {
    from: i64,
    until: i64,
}

pub fn unknown_outcomes(history: &History) -> Invariant {
    let found = history.unknown_outcomes().filter_map(|event| complaint(history, event));
    Invariant::none(names::UNKNOWN_OUTCOMES, found.collect())
}

fn complaint(history: &History, event: &CallEnded) -> Option<String> {
    let call = event.call;
    let Some(claims) = history.attempts.get(&call).and_then(|attempt| attempt.claims) else {
        return Some(format!("{call} was never claimed"));
    };
    let Some(process) = process_of(history.evidence, claims.holder) else {
        return Some(format!("{call} was claimed by {}, which is no process of the run", claims.holder));
    };
    let ended_at = ended_at(history, call, process);
    let recorded_by = ended_at.map_or(i64::MAX, |at| recorded_by(history.evidence, at));
    let excused = silences(history.evidence, process).any(|silence| explains(silence, claims, recorded_by));
    (!excused).then(|| {
        let Claims { last_at, .. } = claims;
        format!("{call} was claimed at {last_at} by {process}, and ended by the record at {ended_at:?}")
    })
}

/// The process was silenced while the attempt was open. A claim counts also if it was committed during the silence:
/// the statement was on its way to Postgres, which does not know of its sender's death.
fn explains(silence: Silence, claims: Claims, recorded_by: i64) -> bool {
    silence.from <= recorded_by && claims.last_at <= silence.until
}

/// A kill is a silence for ever: what a dead process claims, it claimed before. A stop ends, and what was claimed after
/// it has no excuse.
fn silences<'e>(evidence: &'e Evidence, process: &'e str) -> impl Iterator<Item = Silence> {
    let faults = evidence.faults.iter().filter(move |fault| fault.process.as_deref() == Some(process));
    let silence = |fault: &Fault| match fault.kind {
        FaultKind::Kill => Some(Silence { from: fault.at, until: i64::MAX }),
        FaultKind::Stop => Some(Silence { from: fault.at, until: fault.until }),
        // All others leave the daemon what it needs to record every end.
        _ => None,
    };
    let death = evidence.killed_at(process).map(|from| Silence { from, until: i64::MAX });
    faults.filter_map(silence).chain(death)
}

fn process_of(evidence: &Evidence, holder: Uuid) -> Option<&str> {
    let mut processes = evidence.processes.iter();
    processes.find(|(_, process)| process.holder == Some(holder)).map(|(name, _)| name.as_str())
}

/// When the process heard of the end of its call, by the carrier's ledger: after that the attempt is soon not open any more.
fn ended_at(history: &History, call: Uuid, process: &str) -> Option<i64> {
    let placings = history.placings_of(call).iter();
    let own = placings.filter(|placing| history.evidence.records.process(placing) == process);
    own.filter_map(|placing| placing.end.as_ref()).filter_map(|end| end.heard_at).max()
}

/// By when an end must have been recorded. An outage that begins before that puts it off.
fn recorded_by(evidence: &Evidence, ended_at: i64) -> i64 {
    let mut outages: Vec<&Fault> =
        evidence.faults.iter().filter(|fault| fault.keeps_from_recording() && fault.until >= ended_at).collect();
    outages.sort_unstable_by_key(|outage| outage.at);
    outages.iter().fold(ended_at + UNTIL_RECORDED, |by, outage| match outage.at <= by {
        true => by.max(outage.until + UNTIL_RECORDED_AFTER_AN_OUTAGE),
        false => by,
    })
}

/// How soon somebody has to be at the address again: those who hang up say so for 32 s.
const BACK_WITHIN: i64 = 20_000_000;

/// Nobody's outcome may be unknown whose call was written down before the kill, when a daemon was soon at its address again.
pub fn kept_and_unknown(history: &History) -> Invariant {
    let kept: HashMap<(CalleeKey, u32), i64> = history
        .evidence
        .dump
        .dialogs
        .iter()
        .map(|row| (((row.task_no, row.seq), row.attempt), row.committed_at))
        .collect();
    let found = history.unknown_outcomes().filter_map(|event| {
        let attempt = history.attempts.get(&event.call)?;
        let kept_at = *kept.get(&(attempt.callee, attempt.number))?;
        let process = process_of(history.evidence, attempt.claims?.holder)?;
        let killed_at = history.evidence.killed_at(process)?;
        let is_back = kept_at < killed_at && is_back(history.evidence, process, killed_at);
        is_back
            .then(|| format!("{} was written down at {kept_at}, and {process} was killed at {killed_at}", event.call))
    });
    Invariant::none(names::KEPT_AND_UNKNOWN, found.collect())
}

fn is_back(evidence: &Evidence, process: &str, killed_at: i64) -> bool {
    let address = evidence.processes[process].port;
    let mut others = evidence.processes.values().filter(|other| other.port == address);
    others.any(|other| other.started_at.is_some_and(|at| (killed_at..killed_at + BACK_WITHIN).contains(&at)))
}
