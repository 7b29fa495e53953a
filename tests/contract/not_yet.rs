//! What the contract describes and this version does not do: refused as such, never done halfway.

use serde_json::json;

use crate::harness::orders::{self, with};
use crate::harness::plan::Plan;
use crate::harness::site::Site;

#[tokio::test]
async fn commands_that_are_not_built_are_refused() {
    let site = Site::start("not-yet-commands", &Plan::default()).await;
    for command in ["task.update", "task.delete", "callees.cancel", "call.report", "export.create"] {
        let body = json!({"taskId": "7f9c24e8-3b1e-4d6a-9f0e-1c2d3e4f5a6b"});
        site.upstream.command(command, &body).await.assert_code("NOT_YET_SUPPORTED");
    }
}

#[tokio::test]
async fn queries_that_are_not_built_are_refused() {
    let site = Site::start("not-yet-queries", &Plan::default()).await;
    for query in [
        "agent.list",
        "agent.get",
        "service-instance.list",
        "service-instance.get",
        "export.list",
        "export.get",
        "callees.list",
        "call.get",
    ] {
        let answer = site.upstream.query(query, &json!({})).await;
        assert_eq!(answer["status"], "REJECTED", "{query}: {answer}");
        assert_eq!(answer["errors"][0]["code"], "NOT_YET_SUPPORTED", "{query}: {answer}");
    }
}

#[tokio::test]
async fn parts_of_a_task_that_are_not_built_are_refused() {
    let site = Site::start("not-yet-tasks", &Plan::default()).await;
    site.put_line(5, 5).await;
    let redial = json!({"reasons": ["USER_BUSY"], "times": 1, "intervalMinutes": 1});
    let office = json!([{"start": "09:00", "end": "17:00"}]);
    for (field, value) in [
        ("redial", redial),
        ("callingDays", json!(["MONDAY"])),
        ("callingTimes", office),
        ("startMode", json!("SCHEDULED")),
    ] {
        let body = with(orders::task("one", 5), field, value);
        site.upstream.reject("task.create", &body, &[&format!("NOT_YET_SUPPORTED {field}")]).await;
    }
    let scheduled = with(orders::task("one", 5), "startMode", json!("SCHEDULED"));
    let scheduled = with(scheduled, "startAt", json!("2030-01-01T00:00:00Z"));
    site.upstream.command("task.create", &scheduled).await.assert_code("NOT_YET_SUPPORTED");
    // None of them left a task behind that has the name.
    site.create("one", 5).await;
}

#[tokio::test]
async fn hours_of_a_caller_number_are_refused() {
    let site = Site::start("not-yet-numbers", &Plan::default()).await;
    let ranges = json!([{"start": "09:00", "end": "17:00"}]);
    for (field, value) in
        [("callingDays", json!(["MONDAY"])), ("callingTimes", ranges.clone()), ("noCallTimes", ranges)]
    {
        let number = with(json!({"number": orders::CALLER}), field, value);
        let body = with(orders::line(orders::LINE, 5, 5), "callerNumbers", json!([number]));
        let error = format!("NOT_YET_SUPPORTED callerNumbers[0].{field}");
        site.upstream.reject("service-instance.put", &body, &[&error]).await;
    }
}
