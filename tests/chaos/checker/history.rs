//! The evidence put together by call and by callee, once for all invariants.
//!
//! It computes the ids of callees and calls from the tables' keys by itself: that the daemon computes the same is part
//! of what is judged.

use std::collections::HashMap;

use uuid::Uuid;

use super::events::{CallEnded, UNKNOWN_OUTCOME};
use super::evidence::Evidence;
use super::record::Placing;

/// Where a callee stands: `task_no` and `seq`.
pub type CalleeKey = (i64, i64);

/// The licences that one attempt had: more than one if it was given back and claimed again.
#[derive(Debug, Clone, Copy)]
pub struct Claims {
    /// When the first was committed.
    pub first_at: i64,
    /// When the last was committed.
    pub last_at: i64,
    /// Who had the last.
    pub holder: Uuid,
}

/// An attempt, as the database knows it.
#[derive(Debug, Default)]
pub struct Attempt {
    pub number: u32,
    pub callee: CalleeKey,
    pub claims: Option<Claims>,
    /// It is in `attempts`: it has ended.
    pub logged: bool,
}

pub struct History<'e> {
    pub evidence: &'e Evidence,
    /// By the id of its call, which need not have been placed.
    pub attempts: HashMap<Uuid, Attempt>,
    /// Every placing of a call.
    pub placings: HashMap<Uuid, Vec<&'e Placing>>,
    /// The events of a call's end, each once.
    pub ended: HashMap<Uuid, Vec<&'e CallEnded>>,
    pub callees: HashMap<Uuid, CalleeKey>,
}

fn callee_id(task: Uuid, seq: i64) -> Uuid {
    Uuid::new_v5(&task, seq.to_string().as_bytes())
}

pub fn call_id(task: Uuid, seq: i64, attempt: u32) -> Uuid {
    Uuid::new_v5(&task, format!("{seq}:{attempt}").as_bytes())
}

impl<'e> History<'e> {
    pub fn of(evidence: &'e Evidence) -> Self {
        let mut placings: HashMap<Uuid, Vec<&Placing>> = HashMap::new();
        for placing in &evidence.records.placings {
            placings.entry(placing.call).or_default().push(placing);
        }
        let mut ended: HashMap<Uuid, Vec<&CallEnded>> = HashMap::new();
        for event in evidence.events.distinct().filter_map(|event| event.call_ended()) {
            ended.entry(event.call).or_default().push(event);
        }
        let callee = |row: &super::dump::CalleeRow| {
            (callee_id(evidence.dump.task(row.task_no), row.seq), (row.task_no, row.seq))
        };
        let callees = evidence.dump.callees.iter().map(callee).collect();
        Self { evidence, attempts: attempts(evidence), placings, ended, callees }
    }

    /// The events of calls whose outcome nobody knows.
    pub fn unknown_outcomes(&self) -> impl Iterator<Item = &'e CallEnded> {
        self.ended.values().flatten().copied().filter(|ended| ended.result == UNKNOWN_OUTCOME)
    }

    /// All placings of a call.
    pub fn placings_of(&self, call: Uuid) -> &[&'e Placing] {
        self.placings.get(&call).map_or(&[], Vec::as_slice)
    }
}

/// Joined by the tables' keys first, so that each id is computed once.
fn attempts(evidence: &Evidence) -> HashMap<Uuid, Attempt> {
    let mut attempts: HashMap<(CalleeKey, u32), Attempt> = HashMap::with_capacity(evidence.dump.claims.len());
    for claim in &evidence.dump.claims {
        let attempt = attempts.entry(((claim.task_no, claim.seq), claim.attempt)).or_default();
        let (at, holder) = (claim.committed_at, claim.holder);
        let claims = attempt.claims.get_or_insert(Claims { first_at: at, last_at: at, holder });
        claims.first_at = claims.first_at.min(at);
        if at >= claims.last_at {
            (claims.last_at, claims.holder) = (at, holder);
        }
    }
    for row in &evidence.dump.attempts {
        attempts.entry(((row.task_no, row.seq), row.attempt)).or_default().logged = true;
    }
    let with_id = |((callee, number), attempt): ((CalleeKey, u32), Attempt)| {
        let id = call_id(evidence.dump.task(callee.0), callee.1, number);
        (id, Attempt { callee, number, ..attempt })
    };
    attempts.into_iter().map(with_id).collect()
}
