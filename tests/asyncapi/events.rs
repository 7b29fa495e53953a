//! Every event that the code can write, full and bare, is as the document has it; and the document has no other.

use std::collections::{BTreeMap, BTreeSet};

use calltaskd::bus::wire::v1::cancel::{CancelReceipt, FailedValue, NotCancelled};
use calltaskd::bus::wire::v1::events::{About, AttemptView, CalleeFailure, EventWriter, RejectedCommand, TaskChange};
use calltaskd::bus::wire::v1::exports::ExportEvent;
use calltaskd::bus::wire::v1::import::{Receipt, RejectedRow};
use calltaskd::bus::wire::v1::report::CallReportedData;
use calltaskd::bus::wire::v1::{commands, replies};
use calltaskd::domain::call::{CallEnd, CallResult, HangupBy, Scope, SipEvidence};
use calltaskd::domain::callee::{Callee, FailedReason};
use calltaskd::domain::event::Event;
use calltaskd::domain::export::{ExportFile, ExportFormat};
use calltaskd::domain::ids::{CalleeKey, EventId, ExportId, TaskId, TaskNo};
use calltaskd::domain::phone_number::PhoneNumber;
use calltaskd::domain::problem::{Code, Problem, Problems};
use calltaskd::domain::redial::{Next, Tally, Verdict};
use calltaskd::domain::task::{Counts, StartObstacle, TaskState, WrongState};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::document::{assert_event, document};
use crate::reading::{example, rules};

const TASK: TaskId = TaskId(Uuid::from_u128(7));
const AT: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn writer() -> EventWriter {
    EventWriter::new("dialer-1")
}

fn callee(full: bool) -> Callee {
    Callee {
        key: CalleeKey { task: TaskNo(1), seq: 1 },
        called_number: PhoneNumber::parse("+4915123450001", None).unwrap(),
        out_id: full.then(|| "patient-17".to_owned()),
        batch_id: full.then(|| "2026-11-23".to_owned()),
        variables: if full { [("ward".to_owned(), "3".to_owned())].into() } else { BTreeMap::new() },
    }
}

fn of_tasks() -> Vec<Event> {
    let states = TaskState::ALL.into_iter().flat_map(|state| [(state, None), (state, Some(TaskState::Running))]);
    let change = |(state, previous): (TaskState, Option<TaskState>)| TaskChange {
        task: TASK,
        name: "Monday reminders",
        state,
        previous,
        reason: previous.map(|_| StartObstacle::NoCallerNumbers.as_str()),
        counts: Counts::default(),
    };
    let written = |change| {
        [
            writer().task_changed(change, 1, AT),
            writer().task_updated(change, 2, AT),
            writer().task_deleted(change, 3, AT),
        ]
    };
    states.map(change).flat_map(written).collect()
}

fn of_callees() -> Vec<Event> {
    let about = About::task(TASK, 4, AT);
    let wrong = RejectedRow::new(4, Some("0151 2345"), &Problem::new(Code::NumberInvalid, "write it as + and digits"));
    let bare = RejectedRow::new(5, None, &Problem::new(Code::WrongType, "must be an object, not a number"));
    let receipt = |batch_id, rejected| Receipt { task_id: TASK.0, batch_id, accepted: 3, duplicates: 1, rejected };
    let failed = [NotCancelled::NotFound, NotCancelled::NotPending].map(|code| FailedValue::new("patient-17", code));
    let events = [
        writer().callees_imported(&receipt(Some("2026-11-23".to_owned()), vec![wrong, bare]), about),
        writer().callees_imported(&receipt(None, Vec::new()), about),
        writer().callees_cancelled(&CancelReceipt::of_values(TASK.0, 1, failed.to_vec()), about),
        writer().callees_cancelled(&CancelReceipt::of_batch(TASK.0, "b", (1, 0)), about),
        writer().callees_cancelled(&CancelReceipt::of_batch(TASK.0, "b", (0, 0)), about),
    ];
    let ended = FailedReason::ALL.iter().flat_map(|reason| [(true, *reason), (false, *reason)]);
    let ended = ended.map(|(full, reason)| {
        writer().callee_failed(CalleeFailure { task: TASK, callee: &callee(full), attempts: 0, reason, at: AT })
    });
    events.into_iter().chain(ended).collect()
}

fn end(result: CallResult, full: bool) -> CallEnd {
    let sip = SipEvidence { status: 200, reason: "OK".to_owned(), q850: Some(16), rule: "simulated".to_owned() };
    CallEnd {
        scope: Scope::Trunk,
        sip: full.then_some(sip),
        ringing_at: full.then_some(AT),
        answered_at: full.then_some(AT),
        hangup_by: full.then_some(HangupBy::System),
        result,
        ..CallEnd::unknown(AT, AT)
    }
}

fn of_calls() -> Vec<Event> {
    let (number, mut events) = (PhoneNumber::parse("+493023125000", None).unwrap(), Vec::new());
    let again = Next::Again { at: AT, tally: Tally::default() };
    for (result, full, next) in
        CallResult::ALL.iter().flat_map(|result| [(*result, true, Next::Nothing), (*result, false, again)])
    {
        let callee = callee(full);
        let attempt =
            AttemptView { task: TASK, task_name: "Monday", callee: &callee, attempt: 1, caller_number: &number };
        events.push(writer().call_ended(attempt, &end(result, full), Verdict { counted: full, next }));
    }
    let told = [example("call.report").clone(), serde_json::json!({"callId": TASK})];
    for (body, out_id) in told.into_iter().zip([Some("patient-17"), None]) {
        let Ok(commands::Command::CallReport(report)) = commands::read("call.report", &body, &rules()) else {
            panic!("{body}")
        };
        let (task_id, callee_id) = (TASK.0, Uuid::nil());
        let data = CallReportedData { task_id, callee_id, out_id, call_id: report.call.0, said: &report.said };
        events.push(writer().call_reported(&data, About::callee((TASK, &callee(true)), AT)));
    }
    events
}

fn of_exports_and_rejections() -> Vec<Event> {
    let file = ExportFile { callees: 3, bytes: 6571, sha256: "0a".repeat(32), location: "/var/lib/1.csv".to_owned() };
    let export = |format, outcome| ExportEvent {
        id: ExportId(Uuid::nil()),
        task: TASK,
        name: "Monday, all",
        format,
        outcome,
        expires_at: AT,
    };
    let about = About::task(TASK, 5, AT);
    let nobody = About { id: EventId::fresh(), subject: None, task: None, sequence: 6, time: AT };
    let mut problems = Problems::from(Problem::of("name", Code::NameTaken, "another task has this name"));
    problems.add(Problem::new(Code::MessageIdReused, "used before"));
    let errors = replies::errors(problems);
    let state = [WrongState { state: TaskState::Running, allowed: "STOPPED" }.into()];
    let rejected = |message_id, errors| RejectedCommand { command: "task.start", message_id, errors };
    vec![
        writer().export_ended(export(ExportFormat::Csv, Ok(&file)), about),
        writer().export_ended(export(ExportFormat::Xlsx, Err("TASK_DELETED")), about),
        writer().command_rejected(rejected(Some("start-0042"), &state), about),
        writer().command_rejected(rejected(None, &errors), nobody),
    ]
}

#[test]
fn every_event_of_the_code_is_in_the_document_and_the_reverse() {
    let events = [of_tasks(), of_callees(), of_calls(), of_exports_and_rejections()].concat();
    let mut written = BTreeSet::new();
    for event in &events {
        let body: Value = serde_json::from_str(&event.body).unwrap();
        assert_event(&event.routing_key, &body);
        written.insert(event.routing_key.clone());
    }
    let channels = document()["channels"].as_object().unwrap().iter();
    let described =
        channels.filter(|(_, channel)| channel["bindings"]["$ref"] == "#/components/channelBindings/events");
    assert_eq!(written, described.map(|(name, _)| name.clone()).collect());
}
