//! The events: CloudEvents attributes, AMQP properties, order, and what the outcome of an attempt tells.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::json;

use crate::harness::downstream::Event;
use crate::harness::orders::{self, rows, with};
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::Site;

#[tokio::test]
async fn every_event_has_its_envelope() {
    let plan = Plan { force: vec![("0001", "NOT_DIALLABLE"), ("0002", "USER_BUSY")], ..Plan::default() };
    let mut site = Site::start("event-envelope", &plan).await;
    site.put_line(10, 50).await;
    let task = site.create("enveloped", 5).await;
    site.import(&task, &rows(0..6)).await;
    site.ledger.completed(&task, SOON).await;
    site.stop_and_compare(6).await;
    let events = site.ledger.events();
    let kinds: HashSet<&str> = events.iter().map(|event| event.kind()).collect();
    let expected =
        ["task.created", "callees.imported", "task.running", "call.ended", "callee.failed", "task.completed"];
    assert_eq!(kinds, HashSet::from(expected));
    for event in &events {
        assert_envelope(event, &task);
    }
    let ids: HashSet<&str> = events.iter().map(|event| event.attribute("id")).collect();
    assert_eq!(ids.len(), events.len());
}

fn assert_envelope(event: &Event, task: &str) {
    let json = &event.json;
    let kind = event.kind();
    assert_eq!(event.attribute("specversion"), "1.0");
    assert_eq!(event.attribute("source"), "/calltaskd/test-node");
    assert_eq!(event.attribute("datacontenttype"), "application/json");
    assert_eq!(event.attribute("partitionkey"), task, "{json}");
    assert!(!event.attribute("dataschema").is_empty(), "{json}");
    let subject = if kind.starts_with("call.") || kind == "callee.failed" { event.text("calleeId") } else { task };
    assert_eq!(event.attribute("subject"), subject, "{json}");
    let sequence = event.attribute("sequence");
    assert!(sequence.len() == 20 && sequence.bytes().all(|byte| byte.is_ascii_digit()), "{json}");
    let time = event.attribute("time");
    assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok() && time.len() == 24 && time.ends_with('Z'), "{json}");
    assert!(uuid::Uuid::parse_str(event.attribute("id")).is_ok(), "{json}");
    assert_eq!(event.message_id.as_deref(), Some(event.attribute("id")));
    assert_eq!(event.type_property.as_deref(), Some(kind));
    assert_eq!(event.content_type.as_deref(), Some("application/cloudevents+json"));
    assert_eq!(event.delivery_mode, Some(2));
    let routing_key = if kind == "call.ended" { "call.ended.final" } else { kind };
    assert_eq!(event.routing_key, routing_key);
}

#[tokio::test]
async fn the_sequence_rises_within_a_subject() {
    let mut site = Site::start("event-sequence", &Plan::default()).await;
    site.put_line(10, 50).await;
    let task = site.create("counted", 5).await;
    site.import(&task, &rows(0..2)).await;
    site.ledger.completed(&task, SOON).await;
    site.import(&task, &rows(2..3)).await;
    let completions =
        |events: &[Arc<Event>]| events.iter().filter(|event| event.tells("task.completed", &task)).count() == 2;
    site.ledger.wait_until("the second completion", SOON, completions).await;
    site.stop_and_compare(3).await;
    let events = site.ledger.events();
    let of_task = events.iter().filter(|event| event.attribute("subject") == task);
    let in_order: BTreeMap<&str, &str> =
        of_task.clone().map(|event| (event.attribute("sequence"), event.kind())).collect();
    assert_eq!(in_order.len(), of_task.count(), "no sequence comes twice");
    let passages: Vec<_> = in_order.values().filter(|kind| kind.starts_with("task.")).copied().collect();
    let expected = ["task.created", "task.running", "task.completed", "task.running", "task.completed"];
    assert_eq!(passages, expected);
}

#[tokio::test]
async fn the_end_of_a_call_tells_the_whole_attempt() {
    let plan =
        Plan { ring_millis: [200; 2], talk_millis: [1_300; 2], force: vec![("0001", "USER_BUSY")], ..Plan::default() };
    let mut site = Site::start("event-call", &plan).await;
    site.put_line(10, 50).await;
    let task = site.create("told", 5).await;
    let callees: Vec<_> = rows(1..3).into_iter().map(|row| with(row, "variables", json!({"name": "Ada"}))).collect();
    let body = json!({"taskId": task, "batchId": "b-1", "callees": callees});
    site.upstream.accept("callees.import", &body).await;
    site.ledger.completed(&task, SOON).await;
    site.stop_and_compare(2).await;
    let ended = site.ledger.about("call.ended", &task);
    let of = |out_id| ended.iter().find(|event| event.text("outId") == out_id).unwrap();
    let common = json!({
        "taskId": task, "taskName": "told", "batchId": "b-1", "attempt": 1, "callerNumber": orders::CALLER,
        "counted": true, "scope": "CALLEE", "final": true, "variables": {"name": "Ada"},
    });
    for (out_id, index, result) in [("out-1", 1, "USER_BUSY"), ("out-2", 2, "ANSWERED")] {
        let data = of(out_id).data();
        for (field, value) in common.as_object().unwrap() {
            assert_eq!(data[field], *value, "{field} of {data}");
        }
        let shown = (data["result"].as_str().unwrap(), data["calledNumber"].as_str().unwrap());
        assert_eq!(shown, (result, orders::number(index).as_str()));
        assert!(data["sip"]["status"].is_u64() && data["sip"]["reason"].is_string(), "{data}");
        assert_eq!(data.get("redialAt"), None);
        assert_eq!(data["endedAt"], of(out_id).attribute("time"), "the time is that of the occurrence");
    }
    let busy = of("out-1").data();
    assert_eq!([busy.get("answeredAt"), busy.get("talkSeconds"), busy.get("hangupBy")], [None; 3], "{busy}");
    let answered = of("out-2").data();
    let instants = ["startedAt", "ringingAt", "answeredAt", "endedAt"].map(|field| answered[field].as_str().unwrap());
    assert!(instants.is_sorted(), "{instants:?}");
    assert_eq!(answered["talkSeconds"], 1);
    assert!(["CALLEE", "AGENT"].contains(&answered["hangupBy"].as_str().unwrap()), "{answered}");
}

#[tokio::test]
async fn a_rejected_command_is_published() {
    let site = Site::start("event-rejected", &Plan::default()).await;
    let request = crate::harness::upstream::Request::command("task.stop", &json!({"odd": 1})).with_id("wrong 1");
    let reply = site.upstream.ask(&request).await;
    reply.assert_errors(&["REQUIRED taskId", "UNKNOWN_FIELD odd"]);
    let is_rejection = |event: &Event| event.kind() == "command.rejected";
    let event = site.ledger.first("command.rejected", SOON, is_rejection).await;
    let expected = json!({"command": "task.stop", "messageId": "wrong 1", "errors": reply.json["errors"]});
    assert_eq!(*event.data(), expected);
    assert_eq!((event.routing_key.as_str(), event.delivery_mode), ("command.rejected", Some(2)));
}
