//! Reads what a daemon replied.
//!
//! By the field names of the wire and not by its types: a command line must also understand a daemon that is
//! newer than itself.

use serde_json::{Value, json};
use uuid::Uuid;

use super::failure::Failure;
use crate::domain::visible;

/// The daemon's no as a failure, one line for each reason.
pub fn judge(reply: &Value) -> Result<(), Failure> {
    match text(reply, "status") {
        "ACCEPTED" | "OK" => Ok(()),
        "NOT_FOUND" => Err(Failure::Refused("NOT_FOUND: there is nothing of this id or name".to_owned())),
        "REJECTED" => Err(Failure::Refused(reasons(reply))),
        _ => Err(Failure::Refused(format!("the daemon's reply cannot be understood: {reply}"))),
    }
}

fn reasons(reply: &Value) -> String {
    let lines = items(reply, "errors").iter().map(|error| {
        let words = ["field", "code", "message"].map(|key| text(error, key));
        let words = words.into_iter().filter(|word| !word.is_empty()).map(visible::line);
        words.collect::<Vec<_>>().join(": ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The text under `key`; empty when there is none.
pub fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The number under `key`; 0 when there is none.
pub fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// The list under `key`; empty when there is none.
pub fn items<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A body that names the task: by its id when it is one, else by its name.
pub fn task_address(task: &str) -> Value {
    match Uuid::parse_str(task) {
        Ok(id) => json!({ "taskId": id }),
        Err(_) => json!({ "taskName": task }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_line_with_the_field_first() {
        let reply = json!({"status": "REJECTED", "errors": [
            {"code": "REQUIRED", "field": "name", "message": "give a value for name"},
            {"code": "A", "message": "b\nc"},
            {"code": "WRONG_STATE", "message": "the task is RUNNING", "state": "RUNNING"},
        ]});
        let lines = "name: REQUIRED: give a value for name\nA: b\\nc\nWRONG_STATE: the task is RUNNING";
        assert_eq!(judge(&reply).unwrap_err().to_string(), lines);
        assert!(judge(&json!({"status": "OK"})).is_ok());
        assert!(judge(&json!({"status": "NOT_FOUND"})).is_err());
        assert!(judge(&json!({})).is_err());
    }

    #[test]
    fn a_task_is_addressed_by_id_or_name() {
        let id = "7f9c24e8-3b1e-4d6a-9f0e-1c2d3e4f5a6b";
        assert_eq!(task_address(id), json!({ "taskId": id }));
        assert_eq!(task_address("autumn"), json!({"taskName": "autumn"}));
    }
}
