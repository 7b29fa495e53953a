//! What became of callees and calls, for whoever asks.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::call::{CallEnd, CallResult};
use super::callee::Callee;
use super::ids::{CallId, TaskId};
use super::phone_number::PhoneNumber;
use super::recording::FetchedRecording;

/// The three kinds of callees that are listed. Who is being called is among the pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Pending,
    Completed,
    Failed,
}

/// Which callees of a task to list, in the order of their import.
#[derive(Debug, Clone)]
pub struct CalleeFilter {
    pub tab: Tab,
    pub batch_id: Option<String>,
    pub out_id: Option<String>,
    pub called_number: Option<PhoneNumber>,
    pub result: Option<CallResult>,
    pub ended_from: Option<DateTime<Utc>>,
    /// Not itself.
    pub ended_to: Option<DateTime<Utc>>,
    /// Only callees after this place.
    pub after: i64,
    pub most: i64,
}

/// A callee with where it stands.
#[derive(Debug, Clone)]
pub struct CalleeRecord {
    pub callee: Callee,
    pub stage: CalleeStage,
    /// The calls so far, the open one among them.
    pub attempts: u32,
}

/// Where a callee stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CalleeStage {
    /// `due_at` is there when it was called before.
    Pending {
        due_at: Option<DateTime<Utc>>,
    },
    Calling,
    Completed {
        result: String,
        ended_at: DateTime<Utc>,
    },
    Failed {
        reason: String,
        ended_at: DateTime<Utc>,
    },
}

/// One attempt; without an end it is open.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    pub attempt: u32,
    pub caller_number: String,
    pub end: Option<CallEnd>,
    pub report: Option<StoredReport>,
}

/// What the agent platform said about a call, all reports together.
#[derive(Debug, Clone)]
pub struct StoredReport {
    pub major_intent: Option<String>,
    pub output_tags: Value,
    pub variables: Value,
    pub conversation: Option<Value>,
    pub recording: Option<Value>,
    /// What became of fetching it, if that was tried.
    pub fetched: Option<FetchedRecording>,
}

/// Which call is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallRef {
    Call(CallId),
    OutId(super::task::TaskRef, String),
}

/// A callee of a task with all its attempts.
#[derive(Debug, Clone)]
pub struct CallRecord {
    pub task: TaskId,
    pub task_name: String,
    pub callee: CalleeRecord,
    pub attempts: Vec<AttemptRecord>,
}
