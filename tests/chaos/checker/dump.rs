//! The database as it was at the end, and the two witness tables that its triggers filled.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::evidence::lines;

/// What must be empty at the end.
const EMPTY: [&str; 4] = ["open_attempts", "redials", "outbox", "parked_events"];

#[derive(Debug, Deserialize)]
struct TaskRow {
    task_no: i64,
    task_id: Uuid,
}

#[derive(Debug, Deserialize)]
pub struct CalleeRow {
    pub task_no: i64,
    pub seq: i64,
    pub batch_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct AttemptRow {
    pub task_no: i64,
    pub seq: i64,
    pub attempt: u32,
    pub counted: bool,
}

/// An attempt that was opened, with the instant of its commit.
#[derive(Debug, Deserialize)]
pub struct ClaimRow {
    pub task_no: i64,
    pub seq: i64,
    pub attempt: u32,
    pub holder: Uuid,
    pub committed_at: i64,
}

/// A call that was written down, so that another run could go on with it; when that was committed first.
#[derive(Debug, Deserialize)]
pub struct DialogRow {
    pub task_no: i64,
    pub seq: i64,
    pub attempt: u32,
    pub committed_at: i64,
}

#[derive(Debug, Deserialize)]
pub struct InboxRow {
    pub message_id: String,
    pub command: String,
    /// JSON, as text.
    pub reply: String,
}

#[derive(Debug, Deserialize)]
struct WrittenEvent {
    event_id: Uuid,
    event_type: String,
}

/// The tables.
#[derive(Debug)]
pub struct Dump {
    tasks: HashMap<i64, Uuid>,
    pub callees: Vec<CalleeRow>,
    pub attempts: Vec<AttemptRow>,
    pub claims: Vec<ClaimRow>,
    pub dialogs: Vec<DialogRow>,
    pub inbox: Vec<InboxRow>,
    /// Every event that was ever in the outbox, with its type.
    pub written: HashMap<Uuid, String>,
    /// Rows of the tables of [`EMPTY`], each with its table's name.
    pub left_over: Vec<String>,
}

impl Dump {
    pub fn read(folder: &Path) -> Self {
        let table = |name: &str| folder.join(format!("{name}.jsonl"));
        let tasks = lines(&table("tasks")).into_iter().map(|row: TaskRow| (row.task_no, row.task_id));
        let written = lines(&table("witness_events")).into_iter();
        let left = |name: &'static str| lines(&table(name)).into_iter().map(move |row: Value| format!("{name}: {row}"));
        Self {
            tasks: tasks.collect(),
            callees: lines(&table("callees")),
            attempts: lines(&table("attempts")),
            dialogs: lines(&table("witness_dialogs")),
            claims: lines(&table("witness_claims")),
            inbox: lines(&table("inbox")),
            written: written.map(|row: WrittenEvent| (row.event_id, row.event_type)).collect(),
            left_over: EMPTY.into_iter().flat_map(left).collect(),
        }
    }

    /// The public id of a task. A row of a task that is not there means that the dump is not whole.
    pub fn task(&self, task_no: i64) -> Uuid {
        *self.tasks.get(&task_no).unwrap_or_else(|| panic!("dump/tasks.jsonl has no task {task_no}"))
    }
}
