//! `call.report`: merged before the call has ended, after it, and twice.

use serde_json::{Value, json};

use crate::harness::downstream::Event;
use crate::harness::orders::{self, rows, with};
use crate::harness::patience::{SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::Site;

fn plan() -> Plan {
    Plan { more: "[recordings]\nroot = \"/var/recordings\"\n".to_owned(), ..Plan::lasting(3_000) }
}

#[tokio::test]
async fn reports_are_merged_before_and_after_the_end_of_the_call() {
    let mut site = Site::start("report-merged", &plan()).await;
    site.put_line(4, 50).await;
    let task = site.create("reported", 4).await;
    let callees = [with(rows(1..2).remove(0), "variables", json!({"name": "Ada", "ward": "3"}))];
    site.import(&task, &callees).await;
    let call = until("the call", SOON, || site.record().calls.first().map(|call| call.id.clone())).await;
    let report = async |said: Value| {
        let reply = site.upstream.accept("call.report", &with(said, "callId", json!(call))).await;
        assert_eq!(reply, json!({"status": "ACCEPTED", "callId": call}));
    };
    let got = async || site.upstream.query("call.get", &json!({"callId": call})).await["attempts"][0].clone();
    let hello = json!([{"role": "agent", "content": "Hello", "at": "2026-11-23T10:00:00.000Z"}]);
    report(json!({"majorIntent": "CONFIRM", "outputTags": {"a": "1", "b": ["x", "y"]}, "conversation": hello})).await;
    let open = got().await;
    assert_eq!((&open["majorIntent"], &open["conversation"], open.get("result")), (&json!("CONFIRM"), &hello, None));
    let event = site.ledger.first("call.reported", SOON, |event| event.tells("call.reported", &task)).await;
    assert_eq!((event.text("callId"), event.text("outId")), (call.as_str(), "out-1"));
    assert_eq!((event.text("majorIntent"), event.data().get("recording")), ("CONFIRM", None));
    assert_eq!(event.attribute("subject"), event.text("calleeId"));
    site.ledger.completed(&task, SOON).await;
    report(json!({"outputTags": {"b": "z", "c": "3"}, "variables": {"ward": "4"},
        "recording": {"path": "2026/1.wav", "seconds": 3}, "conversation": []}))
    .await;
    let ended = got().await;
    let expected = json!({"majorIntent": "CONFIRM", "outputTags": {"a": "1", "b": "z", "c": "3"}, "conversation": [],
        "recording": {"path": "/var/recordings/2026/1.wav", "seconds": 3}, "result": "ANSWERED",
        "variables": {"name": "Ada", "ward": "4"}});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(ended[field], *value, "{field}");
    }
    site.stop_and_compare(1).await;
    let mut events = site.ledger.events();
    events.retain(|event| event.attribute("subject") == ended["calleeId"]);
    events.sort_by_key(|event| event.attribute("sequence").to_owned());
    let kinds: Vec<&str> = events.iter().map(|event: &std::sync::Arc<Event>| event.kind()).collect();
    assert_eq!(kinds, ["call.reported", "call.ended", "call.reported"]);
}

#[tokio::test]
async fn mistakes_in_a_report_are_named_at_once() {
    let site = Site::start("report-mistakes", &plan()).await;
    let body = json!({"callId": "1", "majorIntent": "", "outputTags": {"a": 1, "b": [2]}, "variables": {"k": 1},
        "conversation": [{"role": "agent"}], "recording": {"path": "../x", "url": "https://a/b"}, "odd": 1});
    let errors = [
        "INVALID_VALUE callId",
        "INVALID_VALUE majorIntent",
        "WRONG_TYPE outputTags.a",
        "WRONG_TYPE outputTags.b[0]",
        "WRONG_TYPE variables.k",
        "REQUIRED conversation[0].content",
        "INVALID_VALUE recording.path",
        "INVALID_VALUE recording",
        "UNKNOWN_FIELD odd",
    ];
    site.upstream.reject("call.report", &body, &errors).await;
    let unknown = json!({"callId": "7f9c24e8-3b1e-4d6a-9f0e-1c2d3e4f5a6b", "majorIntent": orders::AGENT});
    site.upstream.reject("call.report", &unknown, &["NOT_FOUND callId"]).await;
}
