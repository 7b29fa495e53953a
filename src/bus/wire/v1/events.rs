//! The events: CloudEvents 1.0 in structured mode.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::cancel::CancelReceipt;
use super::import::Receipt;
use super::replies::ErrorData;
use super::report::CallReportedData;
use super::{instant, optional_instant};
use crate::domain::call::{CallEnd, HangupBy, SipEvidence};
use crate::domain::callee::{Callee, FailedReason};
use crate::domain::event::Event;
use crate::domain::ids::{CallId, EventId, TaskId};
use crate::domain::phone_number::PhoneNumber;
use crate::domain::redial::{Next, Verdict};
use crate::domain::task::{Counts, TaskState};

/// The attributes around the data (CloudEvents 1.0, section 3.1, and its extensions `partitioning` and `sequence`).
#[derive(Serialize)]
struct CloudEvent<'e, D> {
    specversion: &'static str,
    id: Uuid,
    source: &'e str,
    #[serde(rename = "type")]
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Uuid>,
    #[serde(serialize_with = "instant")]
    time: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitionkey: Option<Uuid>,
    sequence: String,
    datacontenttype: &'static str,
    dataschema: String,
    data: D,
}

/// Writes events as they leave this node.
#[derive(Debug, Clone)]
pub struct EventWriter {
    source: String,
}

/// What an event is about, and when it happened.
#[derive(Debug, Clone, Copy)]
pub struct About {
    pub id: EventId,
    pub subject: Option<Uuid>,
    pub task: Option<TaskId>,
    pub sequence: i64,
    pub time: DateTime<Utc>,
}

impl About {
    /// Something that happens to a task; `sequence` comes from the store.
    pub fn task(task: TaskId, sequence: i64, time: DateTime<Utc>) -> Self {
        Self { id: EventId::fresh(), subject: Some(task.0), task: Some(task), sequence, time }
    }

    /// Something that happens to a callee. Its events are ordered by their time, in microseconds: reports of the agent
    /// platform come between those of the attempts, and nobody counts them all.
    pub fn callee((task, callee): (TaskId, &Callee), time: DateTime<Utc>) -> Self {
        let (subject, sequence) = (Some(callee.id(task).0), time.timestamp_micros());
        Self { id: EventId::fresh(), subject, task: Some(task), sequence, time }
    }
}

/// The counts of a task.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CountsData {
    pending: u64,
    calling: u64,
    completed: u64,
    failed: u64,
}

impl From<Counts> for CountsData {
    fn from(counts: Counts) -> Self {
        let Counts { pending, calling, completed, failed } = counts;
        Self { pending, calling, completed, failed }
    }
}

/// A task that changed.
#[derive(Debug, Clone, Copy)]
pub struct TaskChange<'t> {
    pub task: TaskId,
    pub name: &'t str,
    pub state: TaskState,
    pub previous: Option<TaskState>,
    pub reason: Option<&'static str>,
    pub counts: Counts,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskChangeData<'t> {
    task_id: Uuid,
    name: &'t str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    counts: CountsData,
}

/// An attempt, for the event of its end.
#[derive(Debug, Clone, Copy)]
pub struct AttemptView<'a> {
    pub task: TaskId,
    pub task_name: &'a str,
    pub callee: &'a Callee,
    pub attempt: u32,
    pub caller_number: &'a PhoneNumber,
}

impl AttemptView<'_> {
    /// The id of the call that the attempt makes.
    pub fn call_id(&self) -> CallId {
        CallId::of(self.task, self.callee.key.seq, self.attempt)
    }

    fn about(&self, event_type: &str, time: DateTime<Utc>) -> About {
        About { id: EventId::once(self.call_id().0, event_type), ..About::callee((self.task, self.callee), time) }
    }
}

/// A callee that is final without a further call.
#[derive(Debug, Clone, Copy)]
pub struct CalleeFailure<'a> {
    pub task: TaskId,
    pub callee: &'a Callee,
    /// The calls before.
    pub attempts: u32,
    pub reason: FailedReason,
    pub at: DateTime<Utc>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallEndedData<'a> {
    task_id: Uuid,
    task_name: &'a str,
    callee_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    out_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<&'a str>,
    called_number: &'a str,
    attempt: u32,
    call_id: Uuid,
    caller_number: &'a str,
    result: &'static str,
    counted: bool,
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sip: Option<&'a SipEvidence>,
    #[serde(serialize_with = "instant")]
    started_at: DateTime<Utc>,
    #[serde(serialize_with = "optional_instant", skip_serializing_if = "Option::is_none")]
    ringing_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "optional_instant", skip_serializing_if = "Option::is_none")]
    answered_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "instant")]
    ended_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    talk_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hangup_by: Option<HangupBy>,
    #[serde(rename = "final")]
    is_final: bool,
    #[serde(serialize_with = "optional_instant", skip_serializing_if = "Option::is_none")]
    redial_at: Option<DateTime<Utc>>,
    variables: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CalleeFailedData<'a> {
    task_id: Uuid,
    callee_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    out_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<&'a str>,
    called_number: &'a str,
    attempts: u32,
    failed_reason: &'static str,
    variables: &'a BTreeMap<String, String>,
}

/// A command that had no effect.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedCommand<'a> {
    pub command: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<&'a str>,
    pub errors: &'a [ErrorData],
}

impl EventWriter {
    pub fn new(node: &str) -> Self {
        Self { source: format!("/calltaskd/{node}") }
    }

    pub(super) fn write(&self, event_type: &'static str, about: About, data: impl Serialize) -> Event {
        let event = CloudEvent {
            specversion: "1.0",
            id: about.id.0,
            source: &self.source,
            event_type,
            subject: about.subject,
            time: about.time,
            partitionkey: about.task.map(|task| task.0),
            sequence: format!("{:020}", about.sequence),
            datacontenttype: "application/json",
            dataschema: format!("urn:calltaskd:v1:{event_type}"),
            data,
        };
        // Serialising these types to memory cannot fail: no map has keys other than strings.
        let body = serde_json::to_string(&event).unwrap_or_default();
        Event { id: about.id, event_type, routing_key: event_type.to_owned(), body }
    }

    /// `task.created`, `task.running` and so on, by the state that was reached.
    pub fn task_changed(&self, change: TaskChange, sequence: i64, time: DateTime<Utc>) -> Event {
        let event_type = match change.state {
            TaskState::Initializing => "task.created",
            TaskState::Running => "task.running",
            TaskState::Stopped => "task.stopped",
            TaskState::StartFailed => "task.start-failed",
            TaskState::Completed => "task.completed",
        };
        self.task_event(event_type, change, (sequence, time))
    }

    /// `task.updated`: it is still in the state that it was in.
    pub fn task_updated(&self, change: TaskChange, sequence: i64, time: DateTime<Utc>) -> Event {
        self.task_event("task.updated", change, (sequence, time))
    }

    /// `task.deleted`: the last word about it and its callees.
    pub fn task_deleted(&self, change: TaskChange, sequence: i64, time: DateTime<Utc>) -> Event {
        self.task_event("task.deleted", change, (sequence, time))
    }

    fn task_event(
        &self,
        event_type: &'static str,
        change: TaskChange,
        (sequence, time): (i64, DateTime<Utc>),
    ) -> Event {
        let data = TaskChangeData {
            task_id: change.task.0,
            name: change.name,
            state: change.state.as_str(),
            previous_state: change.previous.map(TaskState::as_str),
            reason: change.reason,
            counts: change.counts.into(),
        };
        self.write(event_type, About::task(change.task, sequence, time), data)
    }

    /// `callees.imported`.
    pub fn callees_imported(&self, receipt: &Receipt, about: About) -> Event {
        self.write("callees.imported", about, receipt)
    }

    /// `call.reported`; ordered by time, since reports can come before the end of the call and after it.
    pub fn call_reported(&self, data: &CallReportedData, about: About) -> Event {
        self.write("call.reported", about, data)
    }

    /// `callees.cancelled`.
    pub fn callees_cancelled(&self, receipt: &CancelReceipt, about: About) -> Event {
        self.write("callees.cancelled", about, receipt)
    }

    /// `call.ended`: the outcome of one attempt.
    pub fn call_ended(&self, attempt: AttemptView, end: &CallEnd, verdict: Verdict) -> Event {
        let redial_at = match verdict.next {
            Next::Nothing => None,
            Next::Again { at, .. } => Some(at),
        };
        let data = CallEndedData {
            task_id: attempt.task.0,
            task_name: attempt.task_name,
            callee_id: attempt.callee.id(attempt.task).0,
            out_id: attempt.callee.out_id.as_deref(),
            batch_id: attempt.callee.batch_id.as_deref(),
            called_number: attempt.callee.called_number.e164(),
            attempt: attempt.attempt,
            call_id: attempt.call_id().0,
            caller_number: attempt.caller_number.e164(),
            result: end.result.as_str(),
            counted: verdict.counted,
            scope: end.scope.as_str(),
            sip: end.sip.as_ref(),
            started_at: end.started_at,
            ringing_at: end.ringing_at,
            answered_at: end.answered_at,
            ended_at: end.ended_at,
            talk_seconds: end.talk_seconds(),
            hangup_by: end.hangup_by,
            is_final: redial_at.is_none(),
            redial_at,
            variables: &attempt.callee.variables,
        };
        let about = attempt.about("call.ended", end.ended_at);
        let mut event = self.write("call.ended", about, data);
        let third = if redial_at.is_none() { "final" } else { "redial" };
        event.routing_key = format!("call.ended.{third}");
        event
    }

    /// `callee.failed`: a callee that could not be called.
    pub fn callee_failed(&self, failure: CalleeFailure) -> Event {
        let CalleeFailure { task, callee, attempts, reason, at } = failure;
        let id = callee.id(task).0;
        let data = CalleeFailedData {
            task_id: task.0,
            callee_id: id,
            out_id: callee.out_id.as_deref(),
            batch_id: callee.batch_id.as_deref(),
            called_number: callee.called_number.e164(),
            attempts,
            failed_reason: reason.as_str(),
            variables: &callee.variables,
        };
        let once = EventId::once(id, "callee.failed");
        self.write("callee.failed", About { id: once, ..About::callee((task, callee), at) }, data)
    }

    /// `command.rejected`.
    pub fn command_rejected(&self, rejected: RejectedCommand, about: About) -> Event {
        self.write("command.rejected", about, rejected)
    }
}
