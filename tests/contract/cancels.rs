//! `callees.cancel`: whom it reaches, what it says, and what follows.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::downstream::Event;
use crate::harness::orders::{self, number, rows, with};
use crate::harness::patience::{LATER, SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::Site;
use crate::harness::upstream::Request;

fn outcome(reply: &Value) -> (&str, u64) {
    (reply["result"].as_str().unwrap(), reply["cancelled"].as_u64().unwrap())
}

fn failed(reply: &Value) -> Vec<(&str, &str)> {
    let failed = reply["failed"].as_array().unwrap().iter();
    failed.map(|one| (one["value"].as_str().unwrap(), one["code"].as_str().unwrap())).collect()
}

fn finals(events: &[Arc<Event>]) -> usize {
    events.iter().filter(|event| event.is_final()).count()
}

async fn import_batch(site: &Site, task: &str, batch: &str, rows: &[Value]) {
    for rows in rows.chunks(5_000) {
        let body = json!({"taskId": task, "batchId": batch, "callees": rows});
        assert_eq!(site.upstream.accept("callees.import", &body).await["accepted"], rows.len());
    }
}

#[tokio::test]
async fn pending_callees_are_cancelled_and_no_others() {
    let mut site = Site::start("cancel-values", &Plan::lasting(2_000)).await;
    site.put_line(1, 50).await;
    let task = site.create("values", 5).await;
    site.import(&task, &rows(0..6)).await;
    until("the first call", SOON, || (site.record().calls.len() == 1).then_some(())).await;
    let cancel = async |field: &str, values: Value| {
        site.upstream.accept("callees.cancel", &with(json!({"taskId": task}), field, values)).await
    };
    // The first is in the air, and stays there.
    let reply = cancel("outIds", json!(["out-0", "out-5", "nobody"])).await;
    assert_eq!(outcome(&reply), ("PART_FAILED", 1), "{reply}");
    assert_eq!(failed(&reply), [("out-0", "NOT_PENDING"), ("nobody", "NOT_FOUND")]);
    assert_eq!(reply["taskId"], json!(task));
    let event = site.ledger.first("the cancel", SOON, |event| event.tells("callees.cancelled", &task)).await;
    assert_eq!(with(event.data().clone(), "status", json!("ACCEPTED")), reply);
    let is_final = |event: &Event| event.tells("callee.failed", &task);
    let told = site.ledger.first("the callee's final event", SOON, is_final).await;
    assert_eq!((told.text("outId"), told.text("failedReason")), ("out-5", "CANCELLED"));
    assert_eq!(told.data()["attempts"], 0);
    // Once more, it is final; the same value twice counts once.
    let reply = cancel("outIds", json!(["out-5"])).await;
    assert_eq!((outcome(&reply), failed(&reply)), (("ALL_FAILED", 0), vec![("out-5", "NOT_PENDING")]));
    let reply = cancel("calledNumbers", json!([number(4), number(4)])).await;
    assert_eq!((outcome(&reply), failed(&reply)), (("ALL_SUCCEEDED", 1), vec![]));
    let reply = cancel("calleeIds", json!([told.text("calleeId"), "7f9c24e8-3b1e-4d6a-9f0e-1c2d3e4f5a6b"])).await;
    let codes: Vec<&str> = failed(&reply).into_iter().map(|(_, code)| code).collect();
    assert_eq!((outcome(&reply), codes), (("ALL_FAILED", 0), vec!["NOT_PENDING", "NOT_FOUND"]));
    let completed = site.ledger.completed(&task, LATER).await;
    assert_eq!(completed.data()["counts"], json!({"pending": 0, "calling": 0, "completed": 4, "failed": 2}));
    site.stop_and_compare(6).await;
}

#[tokio::test]
async fn a_callee_can_be_cancelled_by_its_id_in_every_state_of_the_task() {
    let mut site = Site::start("cancel-states", &Plan::default()).await;
    site.put_mute_line().await;
    let task = site.create("states", 5).await;
    let body = json!({"taskId": task, "outIds": ["out-1"]});
    let reply = site.upstream.accept("callees.cancel", &body).await;
    assert_eq!((outcome(&reply), failed(&reply)), (("ALL_FAILED", 0), vec![("out-1", "NOT_FOUND")]), "initializing");
    site.import(&task, &rows(0..4)).await;
    assert_eq!(site.task(&task).await["state"], "START_FAILED");
    assert_eq!(outcome(&site.upstream.accept("callees.cancel", &body).await), ("ALL_SUCCEEDED", 1));
    assert_eq!(site.task(&task).await["counts"], json!({"pending": 3, "calling": 0, "completed": 0, "failed": 1}));
    site.ledger.wait_until("a final event", SOON, |events| finals(events) == 1).await;
    // Its own id is the one that events tell.
    let all = json!({"taskId": task, "calledNumbers": [number(0), number(2), number(3)]});
    assert_eq!(outcome(&site.upstream.accept("callees.cancel", &all).await), ("ALL_SUCCEEDED", 3));
    site.put_line(10, 50).await;
    site.upstream.accept("task.start", &json!({"taskId": task})).await;
    site.ledger.completed(&task, SOON).await;
    assert_eq!(outcome(&site.upstream.accept("callees.cancel", &all).await), ("ALL_FAILED", 0), "completed");
    assert!(site.record().calls.is_empty());
    site.stop_and_compare(4).await;
}

/// The owner counts in memory, and did not see them go.
#[tokio::test]
async fn a_running_task_whose_last_pending_callees_are_cancelled_completes() {
    let plan = Plan { force: vec![("0", "CANCEL,CANCEL,CANCEL,CANCEL,USER_BUSY")], ..Plan::lasting(1_000) };
    let mut site = Site::start("cancel-last", &plan).await;
    site.put_line(2, 50).await;
    let task = site.create("last", 5).await;
    import_batch(&site, &task, "b", &rows(1..9)).await;
    until("two calls", SOON, || (site.record().calls.len() >= 2).then_some(())).await;
    let reply = site.upstream.accept("callees.cancel", &json!({"taskName": "last", "batchId": "b"})).await;
    let counts = site.task(&task).await["counts"].clone();
    assert_eq!((reply["result"].as_str(), &reply["failed"]), (Some("PART_FAILED"), &json!([])), "{reply}");
    assert_eq!(reply["cancelled"].as_u64().unwrap() + reply["notPending"].as_u64().unwrap(), 8, "{reply}");
    assert_eq!(counts["failed"], reply["cancelled"], "{counts}");
    let completed = site.ledger.completed(&task, SOON).await;
    assert_eq!(completed.data()["counts"]["failed"], reply["cancelled"]);
    // Somebody comes after them, and is called.
    site.import(&task, &rows(20..23)).await;
    let again = |events: &[Arc<Event>]| events.iter().filter(|e| e.tells("task.completed", &task)).count() == 2;
    site.ledger.wait_until("the second completion", SOON, again).await;
    site.stop_and_compare(11).await;
}

#[tokio::test]
async fn a_whole_batch_goes_in_slices_and_counts_once() {
    let site = Site::start("cancel-batch", &Plan::default()).await;
    site.put_mute_line().await;
    let task = site.create("batch", 5).await;
    import_batch(&site, &task, "big", &rows(0..10_000)).await;
    import_batch(&site, &task, "other", &rows(10_000..10_010)).await;
    let one = json!({"taskId": task, "outIds": ["out-9999"]});
    site.upstream.accept("callees.cancel", &one).await;
    let request = Request::command("callees.cancel", &json!({"taskId": task, "batchId": "big"}));
    let reply = site.upstream.ask(&request).await;
    let expected = ("PART_FAILED", &json!(9_999), &json!(1));
    assert_eq!((outcome(&reply.json).0, &reply.json["cancelled"], &reply.json["notPending"]), expected);
    assert_eq!(site.upstream.ask(&request).await.bytes, reply.bytes, "the same message has the same reply");
    until("10,000 final events", LATER, || (finals(&site.ledger.events()) == 10_000).then_some(())).await;
    let both_told = || (site.ledger.about("callees.cancelled", &task).len() == 2).then_some(());
    until("one event for each of the two commands", SOON, both_told).await;
    let counts = json!({"pending": 10, "calling": 0, "completed": 0, "failed": 10_000});
    assert_eq!(site.task(&task).await["counts"], counts);
    let unknown = site.upstream.accept("callees.cancel", &json!({"taskId": task, "batchId": "none"})).await;
    assert_eq!((outcome(&unknown), failed(&unknown)), (("ALL_FAILED", 0), vec![("none", "NOT_FOUND")]));
}

/// The daemon dies somewhere in the slices; whoever has the command next goes on, and counts all of them.
#[tokio::test]
async fn a_cancel_survives_a_crash_between_its_slices() {
    let mut site = Site::start("cancel-crash", &Plan::default()).await;
    site.put_mute_line().await;
    let task = site.create("crash", 5).await;
    import_batch(&site, &task, "big", &rows(0..12_000)).await;
    let request = Request::command("callees.cancel", &json!({"taskId": task, "batchId": "big"}));
    site.upstream.send(&request).await;
    site.ledger.wait_until("the first slice", SOON, |events| finals(events) > 0).await;
    site.daemon.kill();
    let told = site.ledger.about("callees.cancelled", &task).len();
    println!("{told} replies before the crash");
    site.start_again(&Plan::default()).await;
    let reply = site.upstream.ask(&request).await;
    assert_eq!(outcome(&reply.json), ("ALL_SUCCEEDED", 12_000));
    let distinct = |events: &[Arc<Event>]| {
        let ids = events.iter().filter(|event| event.is_final()).map(|event| event.text("calleeId"));
        ids.collect::<std::collections::HashSet<_>>().len()
    };
    // Counted closely only when it may be true: the ledger shares this thread.
    let all_told = || {
        let events = site.ledger.events();
        (events.len() >= 12_000 && distinct(&events) == 12_000).then_some(())
    };
    until("12,000 final events", LATER, all_told).await;
    site.stop_and_compare(12_000).await;
}

#[tokio::test]
async fn mistakes_in_a_cancel_are_named_at_once() {
    let site = Site::start("cancel-mistakes", &Plan::default()).await;
    site.upstream.reject("callees.cancel", &json!({}), &["REQUIRED taskId", "REQUIRED calleeIds"]).await;
    let body = json!({"taskName": "x", "calleeIds": ["1"], "outIds": [5], "calledNumbers": ["12"], "odd": 1});
    let errors = [
        "INVALID_VALUE calleeIds[0]",
        "WRONG_TYPE outIds[0]",
        "NUMBER_INVALID calledNumbers[0]",
        "INVALID_VALUE outIds",
        "UNKNOWN_FIELD odd",
    ];
    site.upstream.reject("callees.cancel", &body, &errors).await;
    let many: Vec<String> = (0..5_001).map(|index| index.to_string()).collect();
    for (field, values) in [("outIds", json!(many)), ("outIds", json!([]))] {
        let body = with(json!({"taskName": "x"}), field, values);
        site.upstream.reject("callees.cancel", &body, &["OUT_OF_RANGE outIds"]).await;
    }
    let body = json!({"taskName": "nobody's", "batchId": orders::LINE});
    site.upstream.command("callees.cancel", &body).await.assert_code("NOT_FOUND");
}
