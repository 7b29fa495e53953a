//! Commands and events.

use serde_json::json;

use super::super::names::{APPLIED_TWICE, FINAL_EVENTS, LEFT_OVER, LOST, MADE_UP, NOT_APPLIED};
use super::super::samples::{Ledgers, task};
use super::{broken, figures};

fn forget_events(ledgers: &mut Ledgers, kind: &str) {
    ledgers.file("events.jsonl").retain(|line| line["event"]["type"] != kind);
    ledgers.dump("witness_events").retain(|row| row["event_type"] != kind);
}

#[test]
fn an_event_that_was_never_consumed_is_found() {
    let found =
        figures(|ledgers| ledgers.file("events.jsonl").retain(|line| line["event"]["type"] != "task.completed"));
    assert_eq!(found, [(LOST, 3)]);
}

#[test]
fn an_event_that_was_never_written_is_found() {
    let found = figures(|ledgers| ledgers.dump("witness_events").retain(|row| row["event_type"] != "task.created"));
    assert_eq!(found, [(MADE_UP, 3)]);
}

#[test]
fn two_events_under_one_id_are_found() {
    let found = figures(|ledgers| {
        let repeated = &mut ledgers.file("events.jsonl").last_mut().unwrap()["event"];
        repeated["data"]["failedReason"] = json!("CANCELLED");
    });
    assert_eq!(found, [(MADE_UP, 1)]);
    let source = figures(|ledgers| {
        let repeated = &mut ledgers.file("events.jsonl").last_mut().unwrap()["event"];
        repeated["source"] = json!("/calltaskd/another");
    });
    assert_eq!(source, [(MADE_UP, 1)], "also where nothing else is judged");
}

#[test]
fn a_confirmed_command_that_is_not_in_the_inbox_is_found() {
    for id in ["import-1", "stop-again"] {
        let found = figures(|ledgers| ledgers.dump("inbox").retain(|row| row["message_id"] != id));
        assert_eq!(found, [(NOT_APPLIED, 1)], "{id}");
    }
    let unconfirmed = broken(|ledgers| ledgers.dump("inbox").retain(|row| row["message_id"] != "import-3"));
    assert_eq!(unconfirmed, [""; 0], "it may be there or not");
}

#[test]
fn an_import_that_lost_rows_is_found() {
    let more = |rows: u32| {
        figures(|ledgers| {
            for line in ledgers.file("commands.jsonl").iter_mut().filter(|line| line["messageId"] == "import-2") {
                line["rows"] = json!(rows);
            }
        })
    };
    assert_eq!(more(6), [(NOT_APPLIED, 1)]);
    assert_eq!(more(4), [(APPLIED_TWICE, 1)]);
}

#[test]
fn an_import_that_was_lost_as_a_whole_is_found() {
    let found = figures(|ledgers| {
        let command = json!({"taskId": task(1), "batchId": "batch-9", "rows": 7});
        ledgers.command("callees.import", "import-9", command);
    });
    assert_eq!(found, [(NOT_APPLIED, 2)], "no callees, no event");
}

#[test]
fn an_import_that_nobody_heard_of_is_found() {
    let found = figures(|ledgers| forget_events(ledgers, "callees.imported"));
    assert_eq!(found, [(NOT_APPLIED, 2)], "the third was not confirmed");
}

#[test]
fn an_import_that_was_applied_twice_is_found() {
    let found = broken(|ledgers| {
        let again: Vec<_> = ledgers.dump("callees").iter().filter(|row| row["task_no"] == 1).cloned().collect();
        for (seq, mut row) in (4..).zip(again) {
            row["seq"] = json!(seq);
            ledgers.dump("callees").push(row);
        }
    });
    assert_eq!(found, [FINAL_EVENTS, APPLIED_TWICE], "nobody called them");
    let told = figures(|ledgers| ledgers.tell_anew("callees.imported", json!({"batchId": "batch-1"})));
    assert_eq!(told, [(APPLIED_TWICE, 1)]);
}

#[test]
fn callees_of_a_batch_that_nobody_sent_are_found() {
    let found = figures(|ledgers| {
        for row in ledgers.dump("callees").iter_mut().filter(|row| row["task_no"] == 3) {
            row["batch_id"] = json!("stranger");
        }
    });
    assert_eq!(found, [(APPLIED_TWICE, 1)], "that the third import is gone is no matter: it was not confirmed");
}

#[test]
fn a_stop_that_was_not_told_of_is_found() {
    assert_eq!(figures(|ledgers| forget_events(ledgers, "task.stopped")), [(NOT_APPLIED, 1)]);
}

#[test]
fn a_stop_that_took_effect_twice_is_found() {
    let again = json!({"taskId": task(1), "previousState": "RUNNING"});
    assert_eq!(figures(|ledgers| ledgers.tell_anew("task.stopped", again)), [(APPLIED_TWICE, 1)]);
    let of_another = json!({"taskId": task(2), "previousState": "RUNNING"});
    assert_eq!(figures(|ledgers| ledgers.tell_anew("task.stopped", of_another)), [(APPLIED_TWICE, 1)]);
}

#[test]
fn a_start_that_was_not_told_of_is_found() {
    let found = figures(|ledgers| {
        let start = ledgers.file("events.jsonl").iter_mut().find(|line| {
            line["event"]["type"] == "task.running" && line["event"]["data"]["previousState"] == "STOPPED"
        });
        start.unwrap()["event"]["data"]["previousState"] = json!("COMPLETED");
    });
    assert_eq!(found, [(NOT_APPLIED, 1)], "an import made it run, not the start");
}

#[test]
fn a_start_that_took_effect_twice_is_found() {
    let again = json!({"taskId": task(1), "previousState": "START_FAILED"});
    for kind in ["task.running", "task.start-failed"] {
        assert_eq!(figures(|ledgers| ledgers.tell_anew(kind, again.clone())), [(APPLIED_TWICE, 1)]);
    }
}

#[test]
fn rows_that_are_left_over_are_found() {
    for table in ["open_attempts", "redials", "outbox", "parked_events"] {
        assert_eq!(figures(|ledgers| ledgers.dump(table).push(json!({"task_no": 1}))), [(LEFT_OVER, 1)], "{table}");
    }
}
