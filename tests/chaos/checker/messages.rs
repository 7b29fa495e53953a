//! Whether what was written reached the consumer, whether what it got was written, and that nothing is under way.
//!
//! The outbox is empty at the end, so what was in it is known from the witness that the database kept of each insert.

use std::collections::HashSet;

use uuid::Uuid;

use super::evidence::Evidence;
use super::names;
use super::report::Invariant;

fn consumed(evidence: &Evidence) -> HashSet<Uuid> {
    evidence.events.all.iter().map(|event| event.id).collect()
}

pub fn lost(evidence: &Evidence) -> Invariant {
    let consumed = consumed(evidence);
    let lost = evidence.dump.written.iter().filter(|(id, _)| !consumed.contains(id));
    Invariant::none(names::LOST, lost.map(|(id, kind)| format!("{kind} {id}")).collect())
}

/// The same event published twice is the same bytes.
pub fn made_up(evidence: &Evidence) -> Invariant {
    let consumed = consumed(evidence);
    let unwritten = consumed.iter().filter(|id| !evidence.dump.written.contains_key(id));
    let mut found: Vec<String> = unwritten.map(|id| format!("{id} was never written")).collect();
    found.extend(evidence.events.in_two_versions.iter().map(|id| format!("two different events came as {id}")));
    Invariant::none(names::MADE_UP, found)
}

/// Licences, redials and events: when all tasks are done and everybody has listened, none is left.
pub fn left_over(evidence: &Evidence) -> Invariant {
    Invariant::none(names::LEFT_OVER, evidence.dump.left_over.clone())
}
