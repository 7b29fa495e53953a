//! `callees.cancel`: whom it names, and what became of them.
//!
//! Must not decide who can be cancelled: that is known to the store alone.

use std::collections::HashSet;
use std::hash::Hash;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::commands::{complete, task_ref};
use super::import::called_number;
use super::reading::{ID_LENGTH, Rules, uuid};
use crate::domain::fields::{Fields, Parsed, excerpt, line, list};
use crate::domain::ids::CalleeId;
use crate::domain::phone_number::PhoneNumber;
use crate::domain::problem::{Code, Problem};
use crate::domain::task::TaskRef;

const MOST_VALUES: usize = 5_000;
/// The longest value in a reply, as JSON: 5,000 of them stay below 1 MiB.
const MOST_SHOWN_BYTES: usize = 160;

/// A cancel as it was read.
#[derive(Debug)]
pub struct Cancel {
    pub task: TaskRef,
    pub whom: Whom,
}

/// The callees to be cancelled, each named once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    Callees(Vec<CalleeId>),
    OutIds(Vec<String>),
    Numbers(Vec<PhoneNumber>),
    Batch(String),
}

/// Why a value did not lead to a cancelled callee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NotCancelled {
    NotFound,
    /// Its callee is being called, or is final.
    NotPending,
}

/// A value of the command that did not lead to a cancelled callee.
#[derive(Debug, Clone, Serialize)]
pub struct FailedValue {
    value: String,
    code: NotCancelled,
}

impl FailedValue {
    pub fn new(value: &str, code: NotCancelled) -> Self {
        let mut value = excerpt(value, 128);
        while Value::from(value.as_str()).to_string().len() > MOST_SHOWN_BYTES {
            value.pop();
        }
        Self { value, code }
    }
}

/// What became of a cancel.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelReceipt {
    task_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<String>,
    result: &'static str,
    cancelled: u64,
    /// Of a batch: how many of its callees were called or final already.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_pending: Option<u64>,
    failed: Vec<FailedValue>,
}

impl CancelReceipt {
    /// Of a cancel by values.
    pub fn of_values(task: Uuid, cancelled: u64, failed: Vec<FailedValue>) -> Self {
        let result = outcome(cancelled, failed.is_empty());
        Self { task_id: task, batch_id: None, result, cancelled, not_pending: None, failed }
    }

    /// Of a cancel of a whole batch: counts, and the batch's id if there is no such batch.
    pub fn of_batch(task: Uuid, batch_id: &str, (cancelled, not_pending): (u64, u64)) -> Self {
        let failed = match (cancelled, not_pending) {
            (0, 0) => vec![FailedValue::new(batch_id, NotCancelled::NotFound)],
            _ => Vec::new(),
        };
        let result = outcome(cancelled, not_pending == 0);
        let batch_id = Some(batch_id.to_owned());
        Self { task_id: task, batch_id, result, cancelled, not_pending: Some(not_pending), failed }
    }
}

fn outcome(cancelled: u64, all: bool) -> &'static str {
    match (cancelled, all) {
        (0, _) => "ALL_FAILED",
        (_, true) => "ALL_SUCCEEDED",
        (_, false) => "PART_FAILED",
    }
}

/// Reads a cancel.
pub fn read(body: &Value, rules: &Rules) -> Parsed<Cancel> {
    let mut fields = Fields::of(body)?;
    let task = task_ref(&mut fields);
    let given = ["calleeIds", "outIds", "calledNumbers", "batchId"].into_iter().filter(|field| fields.has(field));
    let given: Vec<&str> = given.collect();
    let callees = fields.optional("calleeIds", |value| distinct(value, |item| Ok(CalleeId(uuid(item)?))));
    let out_ids = fields.optional("outIds", |value| distinct(value, line(1..=128)));
    let numbers =
        fields.optional("calledNumbers", |value| distinct(value, |item| called_number(item, rules.default_region)));
    let batch = fields.optional("batchId", line(ID_LENGTH));
    match given[..] {
        [] => {
            let message = "give calleeIds, outIds, calledNumbers or batchId";
            fields.problem(Problem::of("calleeIds", Code::Required, message));
        }
        [_] => {}
        [_, second, ..] => {
            let message = "give one of calleeIds, outIds, calledNumbers and batchId";
            fields.problem(Problem::of(second, Code::InvalidValue, message));
        }
    }
    let whom = callees.map(Whom::Callees).or(out_ids.map(Whom::OutIds));
    let whom = whom.or(numbers.map(Whom::Numbers)).or(batch.map(Whom::Batch));
    complete(fields.finish(), task.zip(whom).map(|(task, whom)| Cancel { task, whom }))
}

/// A list of values, each of which counts once.
fn distinct<T: Eq + Hash + Clone>(value: &Value, parse: impl Fn(&Value) -> Parsed<T>) -> Parsed<Vec<T>> {
    let mut values = list(1..=MOST_VALUES, parse)(value)?;
    let mut seen = HashSet::new();
    values.retain(|value| seen.insert(value.clone()));
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_thousand_values_stay_below_a_mebibyte() {
        for value in ["o".repeat(128), "\"".repeat(128), "\u{1f600}".repeat(128)] {
            let failed = vec![FailedValue::new(&value, NotCancelled::NotPending); MOST_VALUES];
            let receipt = CancelReceipt::of_values(Uuid::nil(), 0, failed);
            assert!(serde_json::to_string(&receipt).unwrap().len() < 1_040_000, "{value}");
        }
        assert_eq!(FailedValue::new(&"o".repeat(128), NotCancelled::NotFound).value.len(), 128);
    }
}
