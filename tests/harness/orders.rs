//! Bodies of commands that nothing is wrong with, for tests to send as they are or to spoil in one place.

use std::ops::Range;

use serde_json::{Value, json};

/// The agent and the service instance that [`task`] names.
pub const AGENT: &str = "greeter";
pub const LINE: &str = "line-1";

/// The caller numbers of [`line`].
pub const CALLER: &str = "+493055500001";

pub fn agent(id: &str) -> Value {
    json!({"agentId": id, "name": "Greeter", "published": true, "sipUri": "sip:greeter@voice.example:5060"})
}

/// A service instance on the simulated trunk with one caller number.
pub fn line(id: &str, max_concurrent: u32, max_cps: u32) -> Value {
    json!({
        "serviceInstanceId": id, "name": "Line", "trunk": "simulated",
        "maxConcurrent": max_concurrent, "maxCps": max_cps, "callerNumbers": [{"number": CALLER}],
    })
}

/// A task that may call all day, every day.
pub fn task(name: &str, concurrency: u32) -> Value {
    json!({
        "name": name, "agentId": AGENT, "serviceInstanceId": LINE, "concurrency": concurrency,
        "startMode": "IMMEDIATE",
        "callingDays": ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"],
        "callingTimes": [{"start": "00:00", "end": "24:00"}],
    })
}

/// The same object with one field set, or taken away by `null`.
pub fn with(mut body: Value, field: &str, value: Value) -> Value {
    match value {
        Value::Null => drop(body.as_object_mut().unwrap().remove(field)),
        value => body[field] = value,
    }
    body
}

/// The number of the callee `index`; its last digits are those of the index.
pub fn number(index: usize) -> String {
    format!("+49301{index:07}")
}

pub fn row(index: usize) -> Value {
    json!({"calledNumber": number(index), "outId": format!("out-{index}")})
}

pub fn rows(indices: Range<usize>) -> Vec<Value> {
    indices.map(row).collect()
}
