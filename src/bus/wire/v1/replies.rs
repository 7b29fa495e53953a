//! Replies to commands and answers to queries.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::events::CountsData;
use super::instant;
use super::optional_instant;
use super::reading::time_of_day;
use crate::domain::call::CallResult;
use crate::domain::calling_window::DailyRange;
use crate::domain::problem::{Problem, Problems};
use crate::domain::progress::Progress;
use crate::domain::redial::RedialRule;
use crate::domain::task::{Counts, Task, WrongState};

/// More problems than anyone reads; the reply stays a message of reasonable size.
const MOST_PROBLEMS: usize = 200;

/// One problem, on the wire.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorData {
    code: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    field: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

impl From<Problem> for ErrorData {
    fn from(problem: Problem) -> Self {
        Self { code: problem.code.as_str(), field: problem.field, message: problem.message, state: None }
    }
}

impl From<WrongState> for ErrorData {
    fn from(wrong: WrongState) -> Self {
        Self {
            code: "WRONG_STATE",
            field: String::new(),
            message: wrong.to_string(),
            state: Some(wrong.state.as_str()),
        }
    }
}

/// All problems of a command, on the wire.
pub fn errors(problems: Problems) -> Vec<ErrorData> {
    problems.into_iter().take(MOST_PROBLEMS).map(ErrorData::from).collect()
}

/// The reply to a command that took effect.
pub fn accepted(data: impl Serialize) -> String {
    with_status("ACCEPTED", json!(data)).to_string()
}

/// The reply to a command or query that was refused.
pub fn rejected(errors: &[ErrorData]) -> String {
    json!({"status": "REJECTED", "errors": errors}).to_string()
}

/// Whether a reply says that the command was refused.
pub fn is_rejected(reply: &str) -> bool {
    #[derive(Deserialize)]
    struct Head<'r> {
        status: &'r str,
    }
    serde_json::from_str::<Head<'_>>(reply).is_ok_and(|head| head.status == "REJECTED")
}

/// The answer to a query about something that does not exist.
pub fn not_found() -> String {
    json!({"status": "NOT_FOUND"}).to_string()
}

fn with_status(status: &str, mut data: Value) -> Value {
    data["status"] = json!(status);
    data
}

/// `{taskId, name, state}`, and why a start failed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskReply<'t> {
    pub task_id: Uuid,
    pub name: &'t str,
    pub state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

#[derive(Serialize)]
struct RangeData {
    start: String,
    end: String,
}

impl From<&DailyRange> for RangeData {
    fn from(range: &DailyRange) -> Self {
        Self { start: time_of_day(range.start), end: time_of_day(range.end) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RedialData<'t> {
    reasons: &'t [CallResult],
    times: u32,
    interval_minutes: u32,
}

impl<'t> From<&'t RedialRule> for RedialData<'t> {
    fn from(rule: &'t RedialRule) -> Self {
        Self { reasons: &rule.reasons, times: rule.times, interval_minutes: rule.interval_minutes }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskData<'t> {
    task_id: Uuid,
    name: &'t str,
    agent_id: &'t str,
    service_instance_id: &'t str,
    concurrency: u32,
    start_mode: &'static str,
    #[serde(serialize_with = "optional_instant", skip_serializing_if = "Option::is_none")]
    start_at: Option<DateTime<Utc>>,
    time_zone: &'static str,
    calling_days: Vec<&'static str>,
    calling_times: Vec<RangeData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redial: Option<RedialData<'t>>,
    ring_timeout_seconds: u32,
    max_talk_seconds: u32,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'t str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<CountsData>,
    /// Final callees by the result of their last call.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<&'t std::collections::BTreeMap<String, u64>>,
    #[serde(serialize_with = "instant")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "optional_instant", skip_serializing_if = "Option::is_none")]
    started_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "optional_instant", skip_serializing_if = "Option::is_none")]
    completed_at: Option<DateTime<Utc>>,
}

impl<'t> TaskData<'t> {
    fn new(task: &'t Task, progress: Option<(Counts, &'t Progress)>) -> Self {
        let settings = &task.settings;
        Self {
            task_id: settings.id.0,
            name: &settings.name,
            agent_id: &settings.agent.0,
            service_instance_id: &settings.service_instance.0,
            concurrency: settings.concurrency,
            start_mode: settings.start.as_str(),
            start_at: settings.start.start_at(),
            time_zone: settings.window.time_zone.name(),
            calling_days: settings.window.days.names(),
            calling_times: settings.window.times.iter().map(RangeData::from).collect(),
            redial: settings.redial.as_ref().map(RedialData::from),
            ring_timeout_seconds: settings.ring_timeout_seconds,
            max_talk_seconds: settings.max_talk_seconds,
            state: task.state.as_str(),
            reason: task.reason.as_deref(),
            counts: progress.map(|(counts, _)| counts.into()),
            results: progress.map(|(_, progress)| &progress.results),
            created_at: task.created_at,
            started_at: task.started_at,
            completed_at: task.completed_at,
        }
    }
}

/// The answer to `task.get`.
pub fn task(task: &Task, counts: Counts, progress: &Progress) -> String {
    json!({"status": "OK", "task": TaskData::new(task, Some((counts, progress)))}).to_string()
}

/// The body of the `task.create` that would make this task.
pub(super) fn creation(task: &Task) -> Value {
    let mut body = task_item(task);
    if let Some(fields) = body.as_object_mut() {
        for told in ["state", "reason", "createdAt", "startedAt", "completedAt"] {
            fields.remove(told);
        }
    }
    body
}

/// One item of `task.list`.
pub fn task_item(task: &Task) -> Value {
    json!(TaskData::new(task, None))
}

/// The answer about one thing that was found.
pub fn found(what: &str, value: Value) -> String {
    let mut answer = json!({"status": "OK"});
    answer[what] = value;
    answer.to_string()
}

/// A page of a list; `next` goes into `after` of the next question.
pub fn page(items: &[Value], next: Option<String>) -> String {
    match next {
        Some(next) => json!({"status": "OK", "items": items, "next": next}).to_string(),
        None => json!({"status": "OK", "items": items}).to_string(),
    }
}
