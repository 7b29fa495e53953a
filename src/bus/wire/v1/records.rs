//! Agents, service instances, callees and calls, as queries tell them.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::instant_text;
use super::reading::time_of_day;
use crate::domain::agent::Agent;
use crate::domain::calling_window::{CallingDays, DailyRange};
use crate::domain::ids::{CallId, TaskId};
use crate::domain::record::{AttemptRecord, CallRecord, CalleeRecord, CalleeStage, StoredReport};
use crate::domain::recording::RecordingState;
use crate::domain::service_instance::{CallerNumber, ServiceInstance};

/// A field without a value is left out.
fn without_nulls(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    object
}

fn told(at: Option<DateTime<Utc>>) -> Value {
    at.map_or(Value::Null, |at| json!(instant_text(&at)))
}

/// An agent, as put.
pub fn agent(agent: &Agent) -> Value {
    json!({
        "agentId": agent.id,
        "name": agent.name,
        "published": agent.published,
        "sipUri": agent.sip_uri,
        "sipHeaders": agent.sip_headers,
        "variables": agent.variables,
        "outputTags": agent.output_tags,
    })
}

/// A service instance, as put.
pub fn service_instance(instance: &ServiceInstance) -> Value {
    json!({
        "serviceInstanceId": instance.id,
        "name": instance.name,
        "trunk": instance.trunk,
        "maxConcurrent": instance.share.max_concurrent,
        "maxCps": instance.share.max_cps,
        "callerNumbers": instance.caller_numbers.iter().map(caller_number).collect::<Vec<_>>(),
    })
}

fn caller_number(caller: &CallerNumber) -> Value {
    let hours = caller.hours.as_ref();
    let ranges = |ranges: Option<&Vec<DailyRange>>| {
        let range = |range: &DailyRange| json!({"start": time_of_day(range.start), "end": time_of_day(range.end)});
        ranges.map(|ranges| ranges.iter().map(range).collect::<Vec<_>>())
    };
    without_nulls(json!({
        "number": caller.number.e164(),
        "maxConcurrent": caller.max_concurrent,
        "timeZone": hours.map(|hours| hours.time_zone.name()),
        "callingDays": hours.and_then(|hours| hours.calling_days).map(CallingDays::names),
        "callingTimes": ranges(hours.and_then(|hours| hours.calling_times.as_ref())),
        "noCallTimes": ranges(hours.and_then(|hours| hours.no_call_times.as_ref())),
    }))
}

/// A callee with where it stands.
pub fn callee(task: TaskId, record: &CalleeRecord) -> Value {
    let CalleeRecord { callee, stage, attempts } = record;
    let (state, mut end) = match stage {
        CalleeStage::Pending { due_at } => ("PENDING", json!({"redialAt": told(*due_at)})),
        CalleeStage::Calling => ("CALLING", json!({"callId": CallId::of(task, callee.key.seq, *attempts)})),
        CalleeStage::Completed { result, ended_at } => {
            ("COMPLETED", json!({"result": result, "endedAt": told(Some(*ended_at))}))
        }
        CalleeStage::Failed { reason, ended_at } => {
            ("FAILED", json!({"failedReason": reason, "endedAt": told(Some(*ended_at))}))
        }
    };
    let mut object = json!({
        "taskId": task,
        "calleeId": callee.id(task),
        "outId": callee.out_id,
        "batchId": callee.batch_id,
        "calledNumber": callee.called_number.e164(),
        "state": state,
        "attempts": attempts,
        "variables": callee.variables,
    });
    merge(&mut object, &mut end);
    without_nulls(object)
}

fn merge(object: &mut Value, more: &mut Value) {
    if let (Some(fields), Some(more)) = (object.as_object_mut(), more.as_object_mut()) {
        fields.append(more);
    }
}

/// The answer to `call.get`: the callee, and each attempt as its `call.ended` with what was reported about it.
pub fn call(record: &CallRecord) -> String {
    let attempts: Vec<Value> = record.attempts.iter().map(|made| attempt(record, made)).collect();
    json!({"status": "OK", "callee": callee(record.task, &record.callee), "attempts": attempts}).to_string()
}

fn attempt(record: &CallRecord, made: &AttemptRecord) -> Value {
    let (task, callee) = (record.task, &record.callee.callee);
    let mut object = json!({
        "taskId": task,
        "taskName": record.task_name,
        "calleeId": callee.id(task),
        "outId": callee.out_id,
        "batchId": callee.batch_id,
        "calledNumber": callee.called_number.e164(),
        "attempt": made.attempt,
        "callId": CallId::of(task, callee.key.seq, made.attempt),
        "callerNumber": made.caller_number,
        "variables": callee.variables,
    });
    merge(&mut object, &mut end(record, made));
    merge(&mut object, &mut report(callee.variables.clone(), made));
    without_nulls(object)
}

fn end(record: &CallRecord, made: &AttemptRecord) -> Value {
    let Some(end) = &made.end else { return json!({}) };
    let is_last = record.callee.attempts == made.attempt;
    let redial_at = match record.callee.stage {
        CalleeStage::Pending { due_at } if is_last => due_at,
        _ => None,
    };
    json!({
        "result": end.result.as_str(),
        "counted": end.counted,
        "scope": end.scope.as_str(),
        "sip": end.sip,
        "startedAt": told(Some(end.started_at)),
        "ringingAt": told(end.ringing_at),
        "answeredAt": told(end.answered_at),
        "endedAt": told(Some(end.ended_at)),
        "talkSeconds": end.talk_seconds(),
        "hangupBy": end.hangup_by,
        "final": is_last && matches!(record.callee.stage, CalleeStage::Completed { .. }),
        "redialAt": told(redial_at),
    })
}

/// As reported, and what became of fetching it; without a state it is a reference alone.
fn recording(report: &StoredReport) -> Value {
    let Some(mut recording) = report.recording.clone() else { return Value::Null };
    if let Some(fetched) = &report.fetched {
        let file = fetched.file.as_ref().filter(|_| fetched.state == RecordingState::Stored);
        let mut more = json!({
            "state": fetched.state,
            "location": file.map(|file| &file.location),
            "bytes": file.map(|file| file.bytes),
            "sha256": file.map(|file| &file.sha256),
            "reason": fetched.reason,
        });
        merge(&mut recording, &mut more);
    }
    without_nulls(recording)
}

/// Reported variables stand over those of the import.
fn report(imported: std::collections::BTreeMap<String, String>, made: &AttemptRecord) -> Value {
    let Some(report) = &made.report else { return json!({}) };
    let mut variables: Map<String, Value> = imported.into_iter().map(|(key, text)| (key, json!(text))).collect();
    variables.extend(report.variables.as_object().cloned().unwrap_or_default());
    let tags = report.output_tags.as_object().is_some_and(|tags| !tags.is_empty());
    json!({
        "variables": variables,
        "majorIntent": report.major_intent,
        "outputTags": tags.then_some(&report.output_tags),
        "conversation": report.conversation,
        "recording": recording(report),
    })
}
