//! Final events, attempts, budgets.

use serde_json::json;
use uuid::Uuid;

use super::super::names::{AFTER_THE_LAST_WORD, ATTEMPTS, BUDGETS, FINAL_EVENTS, LICENCES, LOST, NOT_APPLIED, RESULTS};
use super::super::samples::{Ledgers, SOUTH, STOPPED, SUCCESSOR, Trace, WIDE, call, callee, task};
use super::{broken, figures};

/// An answered call that fits in anywhere in the run.
fn late(key: (i64, i64, u32), is_final: bool) -> Trace {
    Trace {
        key,
        process: SUCCESSOR,
        caller: WIDE,
        claimed: 53_900,
        placed: Some(54_000),
        ended: Some((55_000, "ANSWERED")),
        told: "ANSWERED",
        counted: true,
        is_final,
    }
}

fn forget_event(ledgers: &mut Ledgers, call: Uuid) {
    let id = ledgers.ended(call)["id"].clone();
    ledgers.file("events.jsonl").retain(|line| line["event"]["id"] != id);
    ledgers.dump("witness_events").retain(|row| row["event_id"] != id);
}

#[test]
fn a_callee_without_a_final_event_is_found() {
    let found = figures(|ledgers| ledgers.ended(call(1, 1, 2))["data"]["final"] = json!(false));
    assert_eq!(found, [(FINAL_EVENTS, 1)]);
    let failed = broken(|ledgers| ledgers.file("events.jsonl").retain(|line| line["event"]["type"] != "callee.failed"));
    assert_eq!(failed, [FINAL_EVENTS, LOST]);
}

#[test]
fn a_callee_that_nothing_became_of_is_found() {
    let found = figures(|ledgers| ledgers.dump("callees").push(json!({"task_no": 1, "seq": 4, "batch_id": null})));
    assert_eq!(found, [(FINAL_EVENTS, 1)]);
}

#[test]
fn a_callee_with_two_final_events_is_found() {
    let found = figures(|ledgers| {
        let data = json!({"taskId": task(1), "calleeId": callee(1, 1), "attempts": 2, "failedReason": "CANCELLED"});
        ledgers.tell(task(8), "callee.failed", data);
    });
    assert_eq!(found, [(FINAL_EVENTS, 1)]);
}

#[test]
fn a_final_event_about_nobody_is_found() {
    let found = figures(|ledgers| {
        let data = json!({"taskId": task(1), "calleeId": callee(1, 77), "attempts": 0, "failedReason": "CANCELLED"});
        ledgers.tell(task(8), "callee.failed", data);
    });
    assert_eq!(found, [(FINAL_EVENTS, 1)]);
    // A lost callee breaks its import, too, and its attempts are nobody's.
    let found = broken(|ledgers| drop(ledgers.dump("callees").remove(0)));
    assert_eq!(found, [FINAL_EVENTS, ATTEMPTS, NOT_APPLIED]);
}

#[test]
fn an_attempt_without_an_event_of_its_end_is_found() {
    // A call of a killed daemon that nobody settled.
    let found = figures(|ledgers| forget_event(ledgers, call(3, 2, 1)));
    assert_eq!(found, [(FINAL_EVENTS, 1), (RESULTS, 1), (ATTEMPTS, 1)]);
    let placed = broken(|ledgers| {
        forget_event(ledgers, call(3, 2, 1));
        ledgers.dump("attempts").retain(|row| row["task_no"] != 3 || row["seq"] != 2);
    });
    assert_eq!(placed, [FINAL_EVENTS, RESULTS, ATTEMPTS], "also if only the carrier knows of it");
}

#[test]
fn an_attempt_with_two_events_of_its_end_is_found() {
    let found = figures(|ledgers| {
        let data = ledgers.ended(call(1, 1, 1))["data"].clone();
        ledgers.tell(task(8), "call.ended", data);
    });
    assert_eq!(found, [(ATTEMPTS, 1)]);
}

#[test]
fn an_event_of_an_attempt_that_is_not_in_the_log_is_found() {
    let found = figures(|ledgers| {
        ledgers.dump("attempts").retain(|row| (&row["task_no"], &row["seq"]) != (&json!(3), &json!(1)));
    });
    assert_eq!(found, [(ATTEMPTS, 1)]);
}

#[test]
fn an_event_that_names_another_attempt_than_its_call_is_found() {
    assert_eq!(figures(|ledgers| ledgers.ended(call(1, 1, 1))["data"]["attempt"] = json!(2)), [(ATTEMPTS, 1)]);
    let found = figures(|ledgers| ledgers.ended(call(1, 1, 1))["data"]["calleeId"] = json!(callee(1, 2)));
    assert_eq!(found, [(ATTEMPTS, 1)]);
}

#[test]
fn a_gap_in_the_attempts_of_a_callee_is_found() {
    let found = figures(|ledgers| {
        // As if the second attempt had been called the third.
        ledgers.note(&late((3, 3, 1), false));
        ledgers.note(&Trace { placed: Some(56_000), ended: Some((57_000, "ANSWERED")), ..late((3, 3, 3), true) });
        ledgers.dump("callees").push(json!({"task_no": 3, "seq": 3, "batch_id": null}));
    });
    assert_eq!(found, [(ATTEMPTS, 1)]);
}

#[test]
fn a_callee_with_too_many_counted_attempts_is_found() {
    let cancelled = figures(|ledgers| {
        let mut rows = ledgers.dump("attempts").iter_mut();
        rows.find(|row| row["result"] == "CANCEL").unwrap()["counted"] = json!(true);
    });
    assert_eq!(cancelled, [(BUDGETS, 1)]);
    assert_eq!(figures(|ledgers| ledgers.plan()["attemptsAllowed"] = json!(1)), [(BUDGETS, 2)]);
}

#[test]
fn a_call_after_the_final_event_is_found() {
    let answered = figures(|ledgers| ledgers.note(&late((3, 1, 2), false)));
    assert_eq!(answered, [(AFTER_THE_LAST_WORD, 1)]);
    let failed = broken(|ledgers| {
        ledgers.note(&Trace { caller: SOUTH, ..late((2, 3, 1), false) });
    });
    assert_eq!(failed, [AFTER_THE_LAST_WORD], "of a callee that could not be called");
}

#[test]
fn the_first_of_two_final_events_is_the_last_word() {
    let found = broken(|ledgers| ledgers.note(&late((3, 1, 2), true)));
    assert_eq!(found, [FINAL_EVENTS, AFTER_THE_LAST_WORD]);
}

#[test]
fn a_repeated_event_is_no_second_end() {
    let found = broken(|ledgers| {
        let all = ledgers.file("events.jsonl").clone();
        ledgers.file("events.jsonl").extend(all);
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_run_of_which_only_the_record_is_left_is_not_sound() {
    let found = broken(|ledgers| {
        let (plan, record) = (ledgers.plan().clone(), ledgers.record(STOPPED).clone());
        let processes = ledgers.file("processes.jsonl").clone();
        *ledgers = Ledgers::default();
        ledgers.file("processes.jsonl").extend(processes);
        ledgers.file("plan.json").push(plan);
        ledgers.record(STOPPED).extend(record);
    });
    assert_eq!(found, [LICENCES, RESULTS, ATTEMPTS]);
}
