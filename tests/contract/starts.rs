//! Starts that cannot be: accepted, and failed with a reason that can be mended.

use serde_json::json;

use crate::harness::orders::{self, rows, with};
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::Site;

#[tokio::test]
async fn an_unpublished_agent_fails_the_start_until_it_is_published() {
    let mut site = Site::start("start-agent", &Plan::default()).await;
    site.put_line(10, 50).await;
    let task = site.create("agentless", 5).await;
    let unpublished = with(orders::agent(orders::AGENT), "published", json!(false));
    site.upstream.accept("agent.put", &unpublished).await;
    site.import(&task, &rows(0..3)).await;
    assert_failed(&site, &task, "AGENT_NOT_PUBLISHED").await;
    let reply = site.upstream.accept("task.start", &json!({"taskId": task})).await;
    let expected = (&json!("START_FAILED"), &json!("AGENT_NOT_PUBLISHED"));
    assert_eq!((&reply["state"], &reply["reason"]), expected, "{reply}");
    let reply = site.upstream.command("task.stop", &json!({"taskId": task})).await;
    assert_eq!(reply.json["errors"][0]["state"], "START_FAILED", "{}", reply.json);
    site.upstream.accept("agent.put", &orders::agent(orders::AGENT)).await;
    let reply = site.upstream.accept("task.start", &json!({"taskId": task})).await;
    assert_eq!((&reply["state"], reply.get("reason")), (&json!("RUNNING"), None), "{reply}");
    site.ledger.completed(&task, SOON).await;
    assert_eq!(site.task(&task).await.get("reason"), None);
    site.stop_and_compare(3).await;
}

#[tokio::test]
async fn a_line_without_numbers_fails_the_start() {
    let site = Site::start("start-numbers", &Plan::default()).await;
    site.put_mute_line().await;
    let task = site.create("numberless", 5).await;
    site.import(&task, &rows(0..3)).await;
    assert_failed(&site, &task, "NO_CALLER_NUMBERS").await;
    assert!(site.record().calls.is_empty());
}

/// The window of the task is the morning in Berlin, when it is night in Auckland.
#[tokio::test]
async fn a_line_whose_hours_never_meet_the_window_fails_the_start() {
    let site = Site::start("start-windows", &Plan::default()).await;
    site.put_line(10, 50).await;
    let hours = |zone: &str, start: &str, end: &str| {
        let times = json!([{"start": start, "end": end}]);
        let numbers = json!([{"number": orders::CALLER, "timeZone": zone, "callingTimes": times}]);
        with(orders::line(orders::LINE, 10, 50), "callerNumbers", numbers)
    };
    site.upstream.accept("service-instance.put", &hours("Pacific/Auckland", "09:00", "17:00")).await;
    let body = with(orders::task("morning", 5), "timeZone", json!("Europe/Berlin"));
    let body = with(body, "callingTimes", json!([{"start": "09:00", "end": "12:00"}]));
    let task = site.upstream.accept("task.create", &body).await["taskId"].as_str().unwrap().to_owned();
    site.import(&task, &rows(0..3)).await;
    assert_failed(&site, &task, "WINDOWS_NEVER_MEET").await;
    let start = json!({"taskId": task});
    let reply = site.upstream.accept("task.start", &start).await;
    let failed = (&json!("START_FAILED"), &json!("WINDOWS_NEVER_MEET"));
    assert_eq!((&reply["state"], &reply["reason"]), failed, "{reply}");
    site.upstream.accept("service-instance.put", &hours("Europe/Berlin", "11:59", "13:00")).await;
    assert_eq!(site.upstream.accept("task.start", &start).await["state"], "RUNNING");
}

/// Unpublishing stops no running task.
#[tokio::test]
async fn a_running_task_keeps_running_without_its_agent() {
    let mut site = Site::start("start-unpublished", &Plan::lasting(200)).await;
    site.put_line(2, 50).await;
    let task = site.create("running", 2).await;
    site.import(&task, &rows(0..8)).await;
    let unpublished = with(orders::agent(orders::AGENT), "published", json!(false));
    site.upstream.accept("agent.put", &unpublished).await;
    let reply = site.upstream.command("task.start", &json!({"taskId": task})).await;
    assert_eq!(reply.json["errors"][0]["state"], "RUNNING", "{}", reply.json);
    site.ledger.completed(&task, SOON).await;
    site.stop_and_compare(8).await;
}

async fn assert_failed(site: &Site, task: &str, reason: &str) {
    let failed = site.ledger.first("task.start-failed", SOON, |event| event.tells("task.start-failed", task)).await;
    assert_eq!((failed.text("state"), failed.text("reason")), ("START_FAILED", reason));
    assert_eq!(failed.text("previousState"), "INITIALIZING");
    let told = site.task(task).await;
    assert_eq!((&told["state"], &told["reason"]), (&json!("START_FAILED"), &json!(reason)), "{told}");
}
