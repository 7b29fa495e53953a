//! A run in which everything is as it must be, for tests to spoil in one place.
//!
//! It is small, but every limit in it is reached, down to the microsecond, and whatever is excused is in it: a
//! killed and a stopped daemon, an end that an outage kept from being recorded, a licence given back, an attempt that
//! was not counted, a command and an event that came twice.

use serde_json::{Value, json};
use uuid::Uuid;

use super::samples::{
    KILLED, Ledgers, NARROW, SOUTH, STOPPED, SUCCESSOR, Trace, WIDE, at, called, callee, holder, port, task, with,
};

type Row = ((i64, i64, u32), &'static str, &'static str, i64, Option<(i64, &'static str)>, &'static str);

/// Key, process, caller number, placed at, ended at and how by the record, told how by the event.
const CALLS: [Row; 11] = [
    ((1, 1, 1), KILLED, NARROW, 0, Some((1_500, "USER_BUSY")), "USER_BUSY"),
    ((1, 2, 1), KILLED, NARROW, 0, Some((400, "CANCELLED")), "CANCEL"),
    ((3, 1, 1), KILLED, WIDE, 1_000, Some((3_000, "ANSWERED")), "ANSWERED"),
    ((1, 2, 2), KILLED, NARROW, 1_000, Some((2_500, "USER_BUSY")), "USER_BUSY"),
    ((1, 1, 2), KILLED, WIDE, 3_000, Some((4_000, "ANSWERED")), "ANSWERED"),
    // Its end could not be recorded for want of Postgres, and then its daemon was killed.
    ((2, 5, 1), KILLED, SOUTH, 13_000, Some((15_000, "ANSWERED")), "UNKNOWN_OUTCOME"),
    ((1, 3, 1), KILLED, NARROW, 18_000, Some((20_000, "ANSWERED")), "UNKNOWN_OUTCOME"),
    ((3, 2, 1), KILLED, NARROW, 18_500, Some((20_000, "CANCELLED")), "UNKNOWN_OUTCOME"),
    ((1, 2, 3), SUCCESSOR, NARROW, 20_000, Some((21_500, "ANSWERED")), "ANSWERED"),
    ((2, 2, 1), STOPPED, SOUTH, 28_000, Some((28_500, "ANSWERED")), "ANSWERED"),
    // Given up while its daemon stood still.
    ((2, 1, 1), STOPPED, SOUTH, 29_000, Some((46_000, "ANSWERED")), "UNKNOWN_OUTCOME"),
];

impl Ledgers {
    /// Nothing is wrong with these.
    pub fn good() -> Self {
        let mut ledgers = Self::default();
        ledgers.file("plan.json").push(plan());
        ledgers.note_processes_and_faults();
        ledgers.note_tasks();
        ledgers.note_commands();
        for (key, process, caller, placed, ended, told) in CALLS {
            let (claimed, placed) = (placed - 5, Some(placed));
            let (counted, is_final) = (told != "CANCEL", told != "CANCEL" && told != "USER_BUSY");
            ledgers.note(&Trace { key, process, caller, claimed, placed, ended, told, counted, is_final });
        }
        ledgers.note_what_was_not_placed();
        let again = ledgers.file("events.jsonl").last().unwrap().clone();
        ledgers.file("events.jsonl").push(with(again, "at", json!(at(99_000))));
        // Parked and taken back.
        let parked = ledgers.dump("witness_events")[0].clone();
        ledgers.dump("witness_events").push(parked);
        ledgers
    }

    fn note_processes_and_faults(&mut self) {
        let begin = |process: &str| {
            let started_at = at(if process == SUCCESSOR { 19_992 } else { -9_000 });
            json!({"process": process, "holder": holder(process), "port": port(process), "startedAt": started_at})
        };
        *self.file("processes.jsonl") = vec![
            begin(KILLED),
            begin(STOPPED),
            json!({"process": KILLED, "endedAt": at(20_000), "how": "KILL"}),
            begin(SUCCESSOR),
            json!({"process": SUCCESSOR, "endedAt": at(60_500), "how": "EXIT"}),
        ];
        let fault = |kind: &str, from: i64, until: i64| {
            let (from, until) = (at(from), at(until));
            json!({"fault": kind, "at": from, "until": until, "inTheAir": 60})
        };
        *self.file("faults.jsonl") = vec![
            fault("POSTGRES", 16_000, 17_500),
            with(fault("KILL", 19_990, 20_000), "process", json!(KILLED)),
            fault("RABBITMQ", 22_000, 24_000),
            with(fault("STOP", 30_000, 45_000), "process", json!(STOPPED)),
            with(fault("TERM", 60_000, 60_500), "process", json!(SUCCESSOR)),
        ];
    }

    fn note_tasks(&mut self) {
        for (task_no, rows) in [(1, 3), (2, 5), (3, 2)] {
            self.dump("tasks").push(json!({"task_no": task_no, "task_id": task(task_no), "state": "COMPLETED"}));
            let batch = format!("batch-{task_no}");
            for seq in 1..=rows {
                self.dump("callees").push(json!({
                    "task_no": task_no, "seq": seq, "called_number": called(task_no, seq), "out_id": null,
                    "batch_id": batch, "variables": {},
                }));
            }
            let command = json!({"taskId": task(task_no), "batchId": batch, "rows": rows});
            self.command("callees.import", &format!("import-{task_no}"), command);
            let about = |data: Value| with(data, "taskId", json!(task(task_no)));
            self.tell_anew("task.created", about(json!({})));
            self.tell_anew("callees.imported", about(json!({"batchId": batch, "accepted": rows})));
            self.tell_anew("task.running", about(json!({"previousState": "INITIALIZING"})));
            self.tell_anew("task.completed", about(json!({"previousState": "RUNNING"})));
        }
    }

    fn note_commands(&mut self) {
        let about = json!({"taskId": task(1)});
        self.command("task.stop", "stop", about.clone());
        self.tell_anew("task.stopped", json!({"taskId": task(1), "previousState": "RUNNING"}));
        // There was nothing to stop any more.
        self.command("task.stop", "stop-again", about.clone());
        let refused = json!({"status": "REJECTED", "taskId": task(1), "errors": [{"code": "WRONG_STATE"}]}).to_string();
        self.dump("inbox").last_mut().unwrap()["reply"] = json!(refused);
        self.tell_anew("command.rejected", json!({"command": "task.stop"}));
        self.command("task.start", "start", about);
        self.tell_anew("task.running", json!({"taskId": task(1), "previousState": "STOPPED"}));
        // Not confirmed, so sent again; and one that was never confirmed and took effect all the same.
        let commands = self.file("commands.jsonl");
        let repeated = commands.iter().find(|line| line["messageId"] == "import-2").unwrap().clone();
        commands.push(repeated);
        commands.retain(|line| line["messageId"] != "import-3" || line["what"] != "CONFIRMED");
    }

    fn note_what_was_not_placed(&mut self) {
        // The claim was on its way when its daemon was killed.
        self.note(&Trace {
            key: (2, 4, 1),
            process: KILLED,
            caller: SOUTH,
            claimed: 20_001,
            placed: None,
            ended: None,
            told: "UNKNOWN_OUTCOME",
            counted: true,
            is_final: true,
        });
        // Given back, and claimed again.
        self.claim((2, 2, 1), STOPPED, 27_000);
        self.claim((2, 3, 1), STOPPED, 26_000);
        let data = json!({
            "taskId": task(2), "calleeId": callee(2, 3), "calledNumber": called(2, 3), "attempts": 0,
            "failedReason": "NOT_DIALLABLE",
        });
        self.tell(Uuid::new_v5(&callee(2, 3), b"callee.failed"), "callee.failed", data);
    }
}

fn plan() -> Value {
    let task = |number: i64, line: &str, concurrency: u32| {
        let id = task(number);
        json!({"taskId": id, "serviceInstanceId": line, "concurrency": concurrency})
    };
    json!({
        "serviceInstances": [
            {"id": "north", "maxConcurrent": 3, "maxCps": 2,
             "callerNumbers": [{"number": NARROW, "maxConcurrent": 2}, {"number": WIDE}]},
            {"id": "south", "maxConcurrent": 1, "maxCps": 1, "callerNumbers": [{"number": SOUTH}]},
        ],
        "tasks": [task(1, "north", 2), task(2, "south", 1), task(3, "north", 1)],
        "attemptsAllowed": 2,
    })
}
