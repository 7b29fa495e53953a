//! The consumer's ledger: the events, and of each only what is judged.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::evidence::{each_line, lines};

/// The result of an attempt whose end nobody saw.
pub const UNKNOWN_OUTCOME: &str = "UNKNOWN_OUTCOME";

/// One event as it came.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Line")]
pub struct Event {
    pub id: Uuid,
    pub what: What,
}

/// What an event tells.
#[derive(Debug)]
pub enum What {
    CallEnded(CallEnded),
    CalleeFailed {
        callee: Uuid,
        /// Attempts before it.
        attempts: u32,
    },
    Imported {
        batch: String,
    },
    /// By a command: `task.running` also comes of an import, but then the task was not stopped.
    Started {
        task: Uuid,
    },
    Stopped {
        task: Uuid,
    },
    /// Nothing that is judged beyond its arrival.
    Other,
}

#[derive(Debug)]
pub struct CallEnded {
    pub call: Uuid,
    pub callee: Uuid,
    pub task: Uuid,
    pub called: String,
    pub caller: String,
    pub attempt: u32,
    pub result: String,
    pub is_final: bool,
}

#[derive(Deserialize)]
struct Line {
    event: Body,
}

#[derive(Deserialize)]
struct Body {
    id: Uuid,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    data: Data,
}

#[derive(Clone, Copy, Deserialize)]
enum Kind {
    #[serde(rename = "call.ended")]
    CallEnded,
    #[serde(rename = "callee.failed")]
    CalleeFailed,
    #[serde(rename = "callees.imported")]
    Imported,
    #[serde(rename = "task.running", alias = "task.start-failed")]
    Started,
    #[serde(rename = "task.stopped")]
    Stopped,
    #[serde(other)]
    Other,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Data {
    call_id: Option<Uuid>,
    callee_id: Option<Uuid>,
    task_id: Option<Uuid>,
    batch_id: Option<String>,
    called_number: Option<String>,
    caller_number: Option<String>,
    attempt: Option<u32>,
    attempts: Option<u32>,
    result: Option<String>,
    previous_state: Option<String>,
    #[serde(rename = "final")]
    is_final: Option<bool>,
}

impl TryFrom<Line> for Event {
    type Error = String;
    fn try_from(line: Line) -> Result<Self, String> {
        let Body { id, kind, data } = line.event;
        let what = data.what(kind).ok_or_else(|| format!("the event {id} lacks something in its data"))?;
        Ok(Self { id, what })
    }
}

impl Data {
    fn what(self, kind: Kind) -> Option<What> {
        Some(match kind {
            Kind::CallEnded => What::CallEnded(self.call_ended()?),
            Kind::CalleeFailed => What::CalleeFailed { callee: self.callee_id?, attempts: self.attempts? },
            // Not every sender names its batches.
            Kind::Imported => self.batch_id.map_or(What::Other, |batch| What::Imported { batch }),
            Kind::Started if matches!(self.previous_state.as_deref(), Some("STOPPED" | "START_FAILED")) => {
                What::Started { task: self.task_id? }
            }
            Kind::Stopped => What::Stopped { task: self.task_id? },
            Kind::Started | Kind::Other => What::Other,
        })
    }

    fn call_ended(self) -> Option<CallEnded> {
        Some(CallEnded {
            call: self.call_id?,
            callee: self.callee_id?,
            task: self.task_id?,
            called: self.called_number?,
            caller: self.caller_number?,
            attempt: self.attempt?,
            result: self.result?,
            is_final: self.is_final?,
        })
    }
}

impl Event {
    pub fn call_ended(&self) -> Option<&CallEnded> {
        match &self.what {
            What::CallEnded(ended) => Some(ended),
            _ => None,
        }
    }

    /// When it is the last word about a callee: the callee, and its last attempt.
    pub fn last_word(&self) -> Option<(Uuid, u32)> {
        match &self.what {
            What::CallEnded(ended) if ended.is_final => Some((ended.callee, ended.attempt)),
            What::CalleeFailed { callee, attempts } => Some((*callee, *attempts)),
            _ => None,
        }
    }
}

/// The whole ledger.
#[derive(Debug)]
pub struct Events {
    /// In the order of arrival, with those that came again.
    pub all: Vec<Event>,
    /// Ids under which more than one event came.
    pub in_two_versions: Vec<Uuid>,
}

impl Events {
    pub fn read(path: &Path) -> Self {
        let all = lines(path);
        Self { in_two_versions: in_two_versions(path, &all), all }
    }

    /// Each event once, however often it came.
    pub fn distinct(&self) -> impl Iterator<Item = &Event> {
        let mut seen = HashSet::with_capacity(self.all.len());
        self.all.iter().filter(move |event| seen.insert(event.id))
    }
}

/// The ids under which different events came. Only what came more than once is read as a whole, in a second pass, so
/// that nothing but the few repeats is kept in memory.
fn in_two_versions(path: &Path, events: &[Event]) -> Vec<Uuid> {
    let (mut seen, mut repeated) = (HashSet::with_capacity(events.len()), HashSet::new());
    repeated.extend(events.iter().map(|event| event.id).filter(|id| !seen.insert(*id)));
    let (mut first, mut different): (HashMap<Uuid, Value>, HashSet<Uuid>) = Default::default();
    each_line(path, |number, line| {
        // The ledger may have grown since the first pass.
        let Some(id) = events.get(number).map(|event| event.id).filter(|id| repeated.contains(id)) else { return };
        let mut body: Value = serde_json::from_slice(line).unwrap();
        let body = body["event"].take();
        if first.entry(id).or_insert_with(|| body.clone()) != &body {
            different.insert(id);
        }
    });
    different.into_iter().collect()
}
