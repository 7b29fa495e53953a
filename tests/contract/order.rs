//! Commands take effect in the order of the queue, whether or not anybody waits for a reply.

use serde_json::json;

use crate::harness::orders::{self, LINE, rows, with};
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::Site;
use crate::harness::upstream::Request;

/// Each of these needs the one before it; imports, which may be grouped, on both sides of others.
#[tokio::test]
async fn commands_take_effect_in_the_order_of_the_queue() {
    let mut site = Site::start("order", &Plan::default()).await;
    let id = "0c7a41d2-59b8-4f0e-8f1b-6a5f3c2d1e0f";
    let silent = with(orders::line(LINE, 5, 50), "callerNumbers", json!([]));
    let import = |from: usize| json!({"taskId": id, "callees": rows(from..from + 10)});
    for (name, body) in [
        ("agent.put", orders::agent(orders::AGENT)),
        ("service-instance.put", silent),
        ("task.create", with(orders::task("ordered", 5), "taskId", json!(id))),
        ("callees.import", import(0)),
        ("callees.import", import(10)),
        ("service-instance.put", orders::line(LINE, 5, 50)),
        ("callees.import", import(20)),
        ("callees.import", import(25)),
        ("task.start", json!({"taskId": id})),
    ] {
        site.upstream.send(&Request::command(name, &body)).await;
    }
    let completed = site.ledger.completed(id, SOON).await;
    assert_eq!(completed.data()["counts"]["completed"], 35);
    site.stop_and_compare(35).await;
    assert_eq!(site.ledger.about("task.start-failed", id).len(), 1, "the first import found no caller number");
    let imported = site.ledger.about("callees.imported", id);
    let mut imported: Vec<_> = imported.iter().collect();
    imported.sort_unstable_by_key(|event| event.attribute("sequence").to_owned());
    let counts: Vec<_> = imported.iter().map(|event| event.data()["duplicates"].as_u64().unwrap()).collect();
    assert_eq!(counts, [0, 0, 0, 5]);
}

#[tokio::test]
async fn a_reply_to_a_queue_that_is_gone_is_dropped() {
    let site = Site::start("order-gone", &Plan::default()).await;
    let agent = Request::command("agent.put", &orders::agent(orders::AGENT));
    site.upstream.send_from_nowhere(&agent).await;
    site.upstream.send_from_nowhere(&Request::raw("agent.put", "?")).await;
    site.upstream.send_from_nowhere(&Request::query("task.list", &json!({}))).await;
    // What comes behind them is as well as ever, and the command took effect.
    assert_eq!(site.upstream.ask(&agent).await.json["agentId"], orders::AGENT);
    assert_eq!(site.upstream.query("task.list", &json!({})).await["status"], "OK");
}
