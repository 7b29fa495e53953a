//! "Update or delete a task": in which states it may be done.

use serde_json::json;

use crate::harness::orders::rows;
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::Site;
use crate::importing::next_century;
use crate::operator::run;

/// Calls of an hour, but for numbers that end in 1, which are busy at once.
async fn site(name: &str) -> Site {
    let site = Site::start(name, &Plan { force: vec![("1", "USER_BUSY")], ..Plan::lasting(3_600_000) }).await;
    site.put_line(5, 20).await;
    site
}

async fn stopped(site: &Site, name: &str) -> String {
    let task = site.create_as(&next_century(name)).await;
    site.import(&task, &rows(0..2)).await;
    assert_eq!(site.task(&task).await["state"], "STOPPED");
    task
}

async fn running(site: &Site, name: &str) -> String {
    let task = site.create(name, 5).await;
    site.import(&task, &rows(2..4)).await;
    assert_eq!(site.task(&task).await["state"], "RUNNING");
    task
}

#[tokio::test]
async fn s29_a_stopped_task_can_be_updated() {
    let site = site("update-stopped").await;
    let task = stopped(&site, "old").await;
    let changes = ["--name", "new", "--concurrency", "9", "--hours", "08:00-20:00", "--days", "SUNDAY"];
    let updated = run(&site, &[&["task", "update", "old"][..], &changes].concat());
    assert_eq!(updated.code, Some(0), "{updated:?}");
    let told = site.task(&task).await;
    assert_eq!((&told["name"], &told["concurrency"]), (&json!("new"), &json!(9)));
    assert_eq!(told["callingTimes"], json!([{"start": "08:00", "end": "20:00"}]));
    assert_eq!((&told["callingDays"], &told["state"]), (&json!(["SUNDAY"]), &json!("STOPPED")));
}

#[tokio::test]
async fn s30_a_task_that_runs_or_is_completed_cannot_be_updated() {
    let site = site("update-others").await;
    let running = running(&site, "running").await;
    let completed = site.create("completed", 5).await;
    site.import(&completed, &rows(1..2)).await;
    site.ledger.completed(&completed, SOON).await;
    for (task, state) in [(&running, "RUNNING"), (&completed, "COMPLETED")] {
        let reply = site.upstream.command("task.update", &json!({"taskId": task, "concurrency": 2})).await;
        reply.assert_code("WRONG_STATE");
        assert_eq!(reply.json["errors"][0]["state"], state);
        assert_eq!(site.task(task).await["concurrency"], 5, "{state}");
    }
    // Ours also: before the first import.
    let new = site.create("new", 5).await;
    site.upstream.accept("task.update", &json!({"taskId": new, "concurrency": 2})).await;
}

async fn assert_deleted(site: &Site, task: &str, state: &str) {
    assert_eq!(site.upstream.query("task.get", &json!({"taskId": task})).await["status"], "NOT_FOUND");
    let deleted = site.ledger.first("task.deleted", SOON, |event| event.tells("task.deleted", task)).await;
    assert_eq!(deleted.text("state"), state);
}

#[tokio::test]
async fn s31_a_stopped_task_can_be_deleted() {
    let site = site("delete-stopped").await;
    let task = stopped(&site, "stopped").await;
    assert_eq!(run(&site, &["task", "delete", "stopped"]).code, Some(0));
    assert_deleted(&site, &task, "STOPPED").await;
}

#[tokio::test]
async fn s32_a_task_whose_start_failed_can_be_deleted() {
    let site = site("delete-failed").await;
    site.put_mute_line().await;
    let task = site.create("failed", 5).await;
    site.import(&task, &rows(0..2)).await;
    assert_eq!(site.task(&task).await["state"], "START_FAILED");
    assert_eq!(run(&site, &["task", "delete", "failed"]).code, Some(0));
    assert_deleted(&site, &task, "START_FAILED").await;
}

#[tokio::test]
async fn s33_a_running_task_cannot_be_deleted() {
    let site = site("delete-running").await;
    let task = running(&site, "running").await;
    run(&site, &["task", "delete", "running"]).assert_refused("WRONG_STATE");
    assert_eq!(site.task(&task).await["state"], "RUNNING");
}
