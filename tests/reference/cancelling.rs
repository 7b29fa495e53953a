//! "Cancel a task": a pending call is taken back before it is placed.

use serde_json::{Value, json};

use crate::harness::downstream::Event;
use crate::harness::orders::{number, rows};
use crate::harness::patience::{SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::Site;
use crate::importing::next_century;
use crate::operator::run;

#[tokio::test]
async fn s43_a_pending_call_can_be_cancelled() {
    let site = Site::start("cancel", &Plan::default()).await;
    site.put_line(5, 20).await;
    let task = site.create_as(&next_century("cancelled")).await;
    site.import(&task, &rows(0..3)).await;
    let cancelled = run(&site, &["callees", "cancel", "cancelled", "--out-id", "out-1", "--json"]).json();
    assert_eq!((&cancelled["result"], &cancelled["cancelled"]), (&json!("ALL_SUCCEEDED"), &json!(1)));
    site.upstream.accept("task.start", &json!({"taskId": task})).await;
    let completed = site.ledger.completed(&task, SOON).await;
    assert_eq!(completed.data()["counts"], json!({"pending": 0, "calling": 0, "completed": 2, "failed": 1}));
    assert!(site.record().calls.iter().all(|call| call.called != number(1)), "it was called");
    let failed = run(&site, &["callees", "list", "cancelled", "--tab", "failed", "--json"]).json();
    let callee = &failed["items"][0];
    assert_eq!((&callee["outId"], &callee["failedReason"]), (&json!("out-1"), &json!("CANCELLED")));
}

/// The first is busy at once, the second talks for an hour, and the third waits.
#[tokio::test]
async fn s44_only_a_pending_call_can_be_cancelled() {
    let plan = Plan { force: vec![("1", "USER_BUSY")], ..Plan::lasting(3_600_000) };
    let site = Site::start("cancel-others", &plan).await;
    site.put_line(5, 20).await;
    let task = site.create("others", 1).await;
    site.import(&task, &rows(1..4)).await;
    until("the second call", SOON, || (site.record().calls.len() == 2).then_some(())).await;
    let first = |event: &Event| event.tells("call.ended", &task);
    site.ledger.first("the end of the first call", SOON, first).await;
    let body = json!({"taskId": task, "outIds": ["out-1", "out-2", "out-3"]});
    let reply = site.upstream.accept("callees.cancel", &body).await;
    assert_eq!((&reply["result"], &reply["cancelled"]), (&json!("PART_FAILED"), &json!(1)), "{reply}");
    let not_pending: Vec<Value> =
        ["out-1", "out-2"].iter().map(|value| json!({"value": value, "code": "NOT_PENDING"})).collect();
    assert_eq!(reply["failed"], json!(not_pending));
    assert_eq!(site.record().in_the_air(), 1, "the call goes on");
}
