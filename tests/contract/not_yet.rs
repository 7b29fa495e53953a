//! What the contract describes and this version does not do: refused as such, never done halfway.

use serde_json::json;

use crate::harness::plan::Plan;
use crate::harness::site::Site;

#[tokio::test]
async fn commands_that_are_not_built_are_refused() {
    let site = Site::start("not-yet-commands", &Plan::default()).await;
    for command in ["task.update", "task.delete", "callees.cancel", "call.report"] {
        let body = json!({"taskId": "7f9c24e8-3b1e-4d6a-9f0e-1c2d3e4f5a6b"});
        site.upstream.command(command, &body).await.assert_code("NOT_YET_SUPPORTED");
    }
}

#[tokio::test]
async fn queries_that_are_not_built_are_refused() {
    let site = Site::start("not-yet-queries", &Plan::default()).await;
    for query in
        ["agent.list", "agent.get", "service-instance.list", "service-instance.get", "callees.list", "call.get"]
    {
        let answer = site.upstream.query(query, &json!({})).await;
        assert_eq!(answer["status"], "REJECTED", "{query}: {answer}");
        assert_eq!(answer["errors"][0]["code"], "NOT_YET_SUPPORTED", "{query}: {answer}");
    }
}
