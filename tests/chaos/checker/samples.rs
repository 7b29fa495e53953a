//! Ledgers made by hand, for tests to write, spoil and have judged.
//!
//! Nothing here may use what the checker computes ids or limits with: it would spoil both in the same way.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Report, check};

/// Killed at 20 s.
pub const KILLED: &str = "daemon-1-1";
/// Begins where the killed one was.
pub const SUCCESSOR: &str = "daemon-1-2";
/// Stopped from 30 s to 45 s, and runs to the end.
pub const STOPPED: &str = "daemon-2-1";

pub const NARROW: &str = "+493055500001";
pub const WIDE: &str = "+493055500002";
pub const SOUTH: &str = "+493055500003";

/// An instant of the run, in microseconds.
pub const fn at(millis: i64) -> i64 {
    1_790_000_000_000_000 + millis * 1_000
}

pub fn task(number: i64) -> Uuid {
    Uuid::from_u128(0x7a5c_0000 + u128::try_from(number).unwrap())
}

pub fn holder(process: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, process.as_bytes())
}

/// The address of a process, which its successor has again.
pub fn port(process: &str) -> u16 {
    if process == STOPPED { 2 } else { 1 }
}

pub fn callee(task_no: i64, seq: i64) -> Uuid {
    Uuid::new_v5(&task(task_no), format!("{seq}").as_bytes())
}

pub fn call(task_no: i64, seq: i64, attempt: u32) -> Uuid {
    Uuid::new_v5(&task(task_no), format!("{seq}:{attempt}").as_bytes())
}

/// One attempt, with all its traces; instants are milliseconds.
pub struct Trace {
    pub key: (i64, i64, u32),
    pub process: &'static str,
    pub caller: &'static str,
    pub claimed: i64,
    pub placed: Option<i64>,
    /// By the record.
    pub ended: Option<(i64, &'static str)>,
    /// By the event.
    pub told: &'static str,
    pub counted: bool,
    pub is_final: bool,
}

/// The files of a run, by name, as lines.
#[derive(Default)]
pub struct Ledgers {
    files: BTreeMap<String, Vec<Value>>,
}

impl Ledgers {
    pub fn file(&mut self, name: &str) -> &mut Vec<Value> {
        self.files.entry(name.to_owned()).or_default()
    }

    pub fn dump(&mut self, table: &str) -> &mut Vec<Value> {
        self.file(&format!("dump/{table}.jsonl"))
    }

    pub fn record(&mut self, process: &str) -> &mut Vec<Value> {
        self.file(&format!("record-{process}.jsonl"))
    }

    pub fn plan(&mut self) -> &mut Value {
        &mut self.file("plan.json")[0]
    }

    /// The event of a call's end.
    pub fn ended(&mut self, call: Uuid) -> &mut Value {
        let mut lines = self.file("events.jsonl").iter_mut();
        &mut lines.find(|line| line["event"]["data"]["callId"] == json!(call)).unwrap()["event"]
    }

    /// Writes down everything that an attempt leaves behind.
    pub fn note(&mut self, trace: &Trace) {
        let ((task_no, seq, attempt), caller) = (trace.key, trace.caller);
        let call = call(task_no, seq, attempt);
        self.claim(trace.key, trace.process, trace.claimed);
        if let Some(placed) = trace.placed {
            self.record(trace.process).push(json!({
                "event": "INVITE", "callId": call, "calledNumber": called(task_no, seq),
                "callerNumber": caller, "at": at(placed),
            }));
        }
        if let Some((ended, result)) = trace.ended {
            let line = json!({"event": "ENDED", "callId": call, "result": result, "at": at(ended)});
            self.record(trace.process).push(line);
        }
        self.dump("attempts").push(json!({
            "task_no": task_no, "seq": seq, "attempt": attempt, "caller_number": caller, "result": trace.told,
            "counted": trace.counted, "scope": "CALLEE", "sip_status": null,
        }));
        let data = json!({
            "taskId": task(task_no), "calleeId": callee(task_no, seq), "calledNumber": called(task_no, seq),
            "attempt": attempt, "callId": call, "callerNumber": caller, "result": trace.told,
            "counted": trace.counted, "final": trace.is_final, "variables": {},
        });
        self.tell(Uuid::new_v5(&call, b"call.ended"), "call.ended", data);
    }

    pub fn claim(&mut self, (task_no, seq, attempt): (i64, i64, u32), process: &str, millis: i64) {
        self.dump("witness_claims").push(json!({
            "task_no": task_no, "seq": seq, "attempt": attempt, "holder": holder(process),
            "committed_at": at(millis),
        }));
    }

    /// Writes an event, and lets the consumer have it.
    pub fn tell(&mut self, id: Uuid, kind: &str, data: Value) {
        let event = json!({"specversion": "1.0", "id": id, "type": kind, "data": data});
        self.file("events.jsonl").push(json!({"at": at(50_000), "routingKey": kind, "event": event}));
        self.dump("witness_events").push(json!({"event_id": id, "event_type": kind}));
    }

    /// An event that can happen many times.
    pub fn tell_anew(&mut self, kind: &str, data: Value) {
        let id = Uuid::from_u128(0xe0_0000 + self.file("events.jsonl").len() as u128);
        self.tell(id, kind, data);
    }

    /// A command that was sent, confirmed and remembered.
    pub fn command(&mut self, name: &str, id: &str, more: Value) {
        for what in ["SENT", "CONFIRMED"] {
            let mut line = json!({"at": at(-1_000), "what": what, "messageId": id, "command": name});
            line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            self.file("commands.jsonl").push(line);
        }
        let reply = json!({"status": "ACCEPTED", "taskId": more["taskId"]}).to_string();
        let row = json!({"message_id": id, "command": name, "body_sha256": "\\x00", "reply": reply});
        self.dump("inbox").push(row);
    }

    /// Writes everything to a folder of its own and has it judged.
    pub fn judge(&self) -> Report {
        let folder = Folder::new();
        fs::create_dir_all(folder.join("dump")).unwrap();
        let mut carrier = String::new();
        for (name, lines) in &self.files {
            // The carrier has one ledger; whose part of it each was stands in each line.
            if let Some(process) = name.strip_prefix("record-").and_then(|name| name.strip_suffix(".jsonl")) {
                let from = port(process);
                carrier.extend(lines.iter().map(|line| format!("{}\n", with(line.clone(), "from", json!(from)))));
                continue;
            }
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            fs::write(folder.join(name), text).unwrap();
        }
        fs::write(folder.join("carrier.jsonl"), carrier).unwrap();
        check(&folder.0)
    }
}

/// A folder that goes with its test, also with one that is expected to panic.
pub struct Folder(PathBuf);

impl Folder {
    /// Below the target folder, or below the system's where there is none.
    pub fn new() -> Self {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let below = option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = below.join(format!("checker-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

pub fn called(task_no: i64, seq: i64) -> String {
    format!("+4930{task_no:03}{seq:05}")
}

/// The same object with one more field.
pub fn with(mut object: Value, field: &str, value: Value) -> Value {
    object[field] = value;
    object
}
