//! The carrier's record: a line for each call that is placed and one for its end.
//!
//! Each line is one write to a file opened for appending, so that several daemons can share a record and a
//! killed one leaves no half line.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::dialer::CallOrder;
use crate::domain::call::CallEnd;
use crate::domain::ids::CallId;

/// The record of one trunk.
#[derive(Debug)]
pub struct Record(File);

impl Record {
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
            let path = path.display();
            std::io::Error::new(error.kind(), format!("the record {path} of a simulated trunk: {error}"))
        })?;
        Ok(Self(file))
    }

    /// Must be written before the call counts as placed.
    pub fn placed(&self, order: &CallOrder, at: DateTime<Utc>) {
        self.write(&json!({
            "event": "PLACED",
            "callId": order.call_id,
            "taskId": order.task_id,
            "calledNumber": order.called.e164(),
            "callerNumber": order.caller.e164(),
            "at": at.timestamp_micros(),
        }));
    }

    /// Must be written before anybody learns of the end.
    pub fn ended(&self, call_id: CallId, end: &CallEnd) {
        self.write(&json!({
            "event": "ENDED",
            "callId": call_id,
            "result": end.result,
            "at": end.ended_at.timestamp_micros(),
        }));
    }

    fn write(&self, line: &serde_json::Value) {
        if let Err(error) = (&self.0).write_all(format!("{line}\n").as_bytes()) {
            tracing::error!(%error, "a line of a simulated trunk's record was not written");
        }
    }
}
