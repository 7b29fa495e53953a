//! The same message again: the same reply, and nothing else.

use serde_json::json;

use crate::harness::orders;
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::Site;
use crate::harness::upstream::Request;

#[tokio::test]
async fn a_command_that_comes_again_gets_its_reply_again_and_does_nothing() {
    let mut site = Site::start("same-again", &Plan::default()).await;
    site.put_line(5, 5).await;
    let create = Request::command("task.create", &orders::task("once", 5));
    let first = site.upstream.ask(&create).await;
    assert_eq!(first.status(), "ACCEPTED", "{}", first.json);
    assert_eq!(first.content_type.as_deref(), Some("application/json"));
    assert_eq!(site.upstream.ask(&create).await, first);
    // Another run of the daemon remembers it too.
    site.daemon.stop(SOON).await;
    site.start_again(&Plan::default()).await;
    assert_eq!(site.upstream.ask(&create).await, first);
    site.daemon.stop(SOON).await;
    site.ledger.settle().await;
    let task = first.json["taskId"].as_str().unwrap();
    assert_eq!(site.ledger.about("task.created", task).len(), 1);
    assert_eq!(site.ledger.events().len(), 1, "a repeated command publishes nothing");
}

#[tokio::test]
async fn a_rejection_is_remembered_as_well() {
    let mut site = Site::start("rejected-again", &Plan::default()).await;
    site.put_mute_line().await;
    let task = site.create("still", 5).await;
    let stop = Request::command("task.stop", &json!({"taskId": task}));
    let first = site.upstream.ask(&stop).await;
    assert_eq!(first.json["errors"][0]["state"], "INITIALIZING", "{}", first.json);
    site.import(&task, &orders::rows(0..1)).await;
    let state = site.task(&task).await["state"].clone();
    assert_eq!(state, "START_FAILED");
    assert_eq!(site.upstream.ask(&stop).await, first, "although the state is another one now");
    site.daemon.stop(SOON).await;
    site.ledger.settle().await;
    let rejections = site.ledger.events().iter().filter(|event| event.kind() == "command.rejected").count();
    assert_eq!(rejections, 1);
}

#[tokio::test]
async fn a_message_id_belongs_to_one_command() {
    let site = Site::start("message-id-reused", &Plan::default()).await;
    site.put_line(5, 5).await;
    let create = Request::command("task.create", &orders::task("first", 5)).with_id("order 1");
    let first = site.upstream.ask(&create).await;
    assert_eq!(first.status(), "ACCEPTED", "{}", first.json);
    let other_body = Request::command("task.create", &orders::task("second", 5)).with_id("order 1");
    site.upstream.ask(&other_body).await.assert_code("MESSAGE_ID_REUSED");
    let other_command = Request { routing_key: "task.start".to_owned(), ..create.clone() };
    site.upstream.ask(&other_command).await.assert_code("MESSAGE_ID_REUSED");
    assert_eq!(site.upstream.ask(&create).await, first, "the first reply stays the one that counts");
    let list = site.upstream.query("task.list", &json!({})).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
}

#[tokio::test]
async fn without_a_message_id_there_is_no_protection_and_no_import() {
    let site = Site::start("message-id-missing", &Plan::default()).await;
    site.put_mute_line().await;
    let create = Request::command("task.create", &orders::task("plain", 5)).without_id();
    assert_eq!(site.upstream.ask(&create).await.status(), "ACCEPTED");
    site.upstream.ask(&create).await.assert_errors(&["NAME_TAKEN name"]);
    let import = Request::command("callees.import", &json!({"taskName": "plain", "callees": orders::rows(0..1)}));
    site.upstream.ask(&import.without_id()).await.assert_code("MESSAGE_ID_REQUIRED");
}

#[tokio::test]
async fn a_message_id_has_at_most_128_bytes() {
    let site = Site::start("message-id-length", &Plan::default()).await;
    let put = |id: String| Request::command("agent.put", &orders::agent(&"a".repeat(3))).with_id(&id);
    assert_eq!(site.upstream.ask(&put("i".repeat(128))).await.status(), "ACCEPTED");
    assert_eq!(site.upstream.ask(&put("i".repeat(129))).await.status(), "REJECTED");
}

/// Both are in the queue before the first is answered, so that a group of imports may hold both.
#[tokio::test]
async fn twins_on_their_way_together_get_one_effect() {
    let mut site = Site::start("twins", &Plan::default()).await;
    site.put_mute_line().await;
    let task = site.create("pair", 5).await;
    let import = Request::command("callees.import", &json!({"taskId": task, "callees": orders::rows(0..100)}));
    let replies = futures_util::future::join_all((0..5).map(|_| site.upstream.ask(&import))).await;
    assert_eq!(replies[0].json["accepted"], 100, "{}", replies[0].json);
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
    assert_eq!(site.task(&task).await["counts"]["pending"], 100);
    site.daemon.stop(SOON).await;
    site.ledger.settle().await;
    assert_eq!(site.ledger.about("callees.imported", &task).len(), 1);
}
