//! The states of a task, from its creation to its completion, and back again.

use serde_json::json;

use crate::harness::downstream::Event;
use crate::harness::orders::rows;
use crate::harness::patience::{LATER, SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::Site;

/// What an event says about the passage: from where, to where.
fn passage(event: &Event) -> (&str, &str) {
    (event.text("previousState"), event.text("state"))
}

#[tokio::test]
async fn a_task_is_created_runs_and_completes() {
    let mut site = Site::start("state-whole", &Plan::default()).await;
    site.put_line(10, 50).await;
    let task = site.create("whole", 5).await;
    site.import(&task, &rows(0..8)).await;
    let completed = site.ledger.completed(&task, SOON).await;
    assert_eq!(passage(&completed), ("RUNNING", "COMPLETED"));
    assert_eq!(completed.text("name"), "whole");
    assert_eq!(completed.data()["counts"], json!({"pending": 0, "calling": 0, "completed": 8, "failed": 0}));
    assert_eq!(site.task(&task).await["state"], "COMPLETED");
    site.stop_and_compare(8).await;
    let created = site.ledger.about("task.created", &task);
    assert_eq!(passage(&created[0]), ("", "INITIALIZING"));
    let running = site.ledger.about("task.running", &task);
    assert_eq!(passage(&running[0]), ("INITIALIZING", "RUNNING"));
    for kind in ["task.created", "task.running", "task.completed", "callees.imported"] {
        assert_eq!(site.ledger.about(kind, &task).len(), 1, "{kind}");
    }
}

#[tokio::test]
async fn an_import_opens_a_completed_task_again() {
    let mut site = Site::start("state-again", &Plan::default()).await;
    site.put_line(10, 50).await;
    let task = site.create("again", 5).await;
    site.import(&task, &rows(0..3)).await;
    site.ledger.completed(&task, SOON).await;
    for command in ["task.start", "task.stop"] {
        let reply = site.upstream.command(command, &json!({"taskId": task})).await;
        reply.assert_code("WRONG_STATE");
        assert_eq!(reply.json["errors"][0]["state"], "COMPLETED");
    }
    site.import(&task, &rows(3..5)).await;
    let completions = |events: &[std::sync::Arc<Event>]| {
        events.iter().filter(|event| event.tells("task.completed", &task)).count() == 2
    };
    site.ledger.wait_until("the second completion", SOON, completions).await;
    site.stop_and_compare(5).await;
    let running = site.ledger.about("task.running", &task);
    assert_eq!(passage(&running[1]), ("COMPLETED", "RUNNING"));
    let completed = site.ledger.about("task.completed", &task);
    assert_eq!(completed[1].data()["counts"]["completed"], 5);
    assert!(completed[0].attribute("sequence") < completed[1].attribute("sequence"));
}

#[tokio::test]
async fn a_stopped_task_starts_nothing_until_it_is_started() {
    let mut site = Site::start("state-stopped", &Plan::lasting(300)).await;
    site.put_line(20, 50).await;
    let task = site.create("stopped", 5).await;
    site.import(&task, &rows(0..60)).await;
    let enough = || (site.record().calls.len() >= 10).then_some(());
    until("10 calls to be placed", SOON, enough).await;
    let reply = site.upstream.accept("task.stop", &json!({"taskId": task})).await;
    assert_eq!((&reply["taskId"], &reply["state"]), (&json!(task), &json!("STOPPED")), "{reply}");
    let is_stop = |event: &Event| event.tells("task.stopped", &task);
    let stopped = site.ledger.first("task.stopped", SOON, is_stop).await;
    assert_eq!(passage(&stopped), ("RUNNING", "STOPPED"));
    // An import changes nothing about it. Another task on the same line shows that time goes on.
    site.import(&task, &rows(60..70)).await;
    let other = site.create("other", 5).await;
    site.import(&other, &rows(0..20)).await;
    site.ledger.completed(&other, LATER).await;
    let at = chrono::DateTime::parse_from_rfc3339(stopped.attribute("time")).unwrap().timestamp_micros();
    let record = site.record().of_task(&task);
    assert!(record.calls.iter().all(|call| call.placed_at <= at + 2_000_000), "a call more than 2 s after the stop");
    assert!(record.calls.len() < 40 && record.in_the_air() == 0, "{} calls", record.calls.len());
    assert_eq!(site.task(&task).await["state"], "STOPPED");
    let reply = site.upstream.accept("task.start", &json!({"taskName": "stopped"})).await;
    assert_eq!((&reply["taskId"], &reply["state"]), (&json!(task), &json!("RUNNING")), "{reply}");
    site.ledger.completed(&task, LATER).await;
    site.stop_and_compare(90).await;
}

#[tokio::test]
async fn starting_a_stopped_task_with_nothing_left_completes_it() {
    let mut site = Site::start("state-nothing-left", &Plan::lasting(3_000)).await;
    site.put_line(20, 50).await;
    let task = site.create("over", 10).await;
    site.import(&task, &rows(0..6)).await;
    until("6 calls in the air", SOON, || (site.record().in_the_air() == 6).then_some(())).await;
    site.upstream.accept("task.stop", &json!({"taskId": task})).await;
    let finals = |events: &[std::sync::Arc<Event>]| events.iter().filter(|event| event.is_final()).count() == 6;
    site.ledger.wait_until("6 final events", SOON, finals).await;
    assert!(site.record().calls.iter().all(|call| call.end.as_ref().unwrap().0 == "ANSWERED"), "a stop cuts no call");
    assert_eq!(site.task(&task).await["state"], "STOPPED");
    site.upstream.accept("task.start", &json!({"taskId": task})).await;
    let completed = site.ledger.completed(&task, SOON).await;
    assert_eq!(completed.data()["counts"]["completed"], 6);
    assert_eq!(site.task(&task).await["state"], "COMPLETED");
    site.stop_and_compare(6).await;
}
