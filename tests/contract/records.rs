//! The queries about agents, service instances, callees and calls.

use serde_json::{Value, json};

use crate::harness::orders::{self, number, rows, with};
use crate::harness::patience::{SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::Site;

fn out_ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["outId"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn agents_and_service_instances_are_told_as_they_were_put() {
    let site = Site::start("records-put", &Plan::default()).await;
    let agent = json!({"agentId": "a-2", "name": "A", "published": false, "sipUri": "sip:a@voice.example",
        "sipHeaders": {"X-L": "de"}, "variables": [{"key": "k", "required": true}],
        "outputTags": [{"name": "t", "values": ["x"]}, {"name": "u"}]});
    let hours = json!([{"start": "09:00", "end": "24:00"}]);
    let numbers = json!([{"number": orders::CALLER, "maxConcurrent": 3, "timeZone": "Europe/Berlin",
        "callingDays": ["MONDAY"], "callingTimes": hours, "noCallTimes": [{"start": "12:00", "end": "13:00"}]}]);
    let line = with(orders::line("line-2", 4, 5), "callerNumbers", numbers);
    site.upstream.accept("agent.put", &agent).await;
    site.upstream.accept("service-instance.put", &line).await;
    for id in ["a-3", "a-1"] {
        site.upstream.accept("agent.put", &orders::agent(id)).await;
        site.upstream.accept("service-instance.put", &orders::line(&id.replace('a', "line"), 1, 1)).await;
    }
    let told = site.upstream.query("agent.get", &json!({"agentId": "a-2"})).await;
    assert_eq!(told, json!({"status": "OK", "agent": agent}));
    let told = site.upstream.query("service-instance.get", &json!({"serviceInstanceId": "line-2"})).await;
    assert_eq!(told, json!({"status": "OK", "serviceInstance": line}));
    for (query, field, expected) in [
        ("agent.list", "agentId", ["a-1", "a-2", "a-3"]),
        ("service-instance.list", "serviceInstanceId", ["line-1", "line-2", "line-3"]),
    ] {
        let first = site.upstream.query(query, &json!({"limit": 2})).await;
        let second = site.upstream.query(query, &json!({"limit": 2, "after": first["next"]})).await;
        let items = first["items"].as_array().unwrap().iter().chain(second["items"].as_array().unwrap());
        assert_eq!(items.map(|item| item[field].as_str().unwrap()).collect::<Vec<_>>(), expected);
        assert_eq!(second.get("next"), None);
    }
    let nobody = site.upstream.query("agent.get", &json!({"agentId": "nobody"})).await;
    assert_eq!(nobody, json!({"status": "NOT_FOUND"}));
}

#[tokio::test]
async fn callees_are_listed_by_where_they_stand() {
    let force = vec![("0001", "NOT_DIALLABLE"), ("0002", "USER_BUSY"), ("0005", "ANSWERED")];
    let plan = Plan { force, ring_millis: [10, 20], ..Plan::lasting(4_000) };
    let site = Site::start("records-callees", &plan).await;
    site.put_line(4, 50).await;
    let task = site.create("listed", 4).await;
    let body = json!({"taskId": task, "batchId": "b", "callees": rows(1..9)});
    site.upstream.accept("callees.import", &body).await;
    until("four calls in the air", SOON, || (site.record().in_the_air() == 4).then_some(())).await;
    let list = async |more: Value| {
        let mut body = json!({"taskId": task});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let page = site.upstream.query("callees.list", &body).await;
        assert_eq!(page["status"], "OK", "{page}");
        page
    };
    let pending = list(json!({"tab": "PENDING"})).await;
    assert_eq!(out_ids(&pending), ["out-3", "out-4", "out-5", "out-6", "out-7", "out-8"]);
    let states: Vec<&str> = pending["items"].as_array().unwrap().iter().map(|i| i["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["CALLING", "CALLING", "CALLING", "CALLING", "PENDING", "PENDING"]);
    assert!(pending["items"][0]["callId"].is_string());
    let failed = list(json!({"tab": "FAILED"})).await;
    assert_eq!((out_ids(&failed), &failed["items"][0]["failedReason"]), (vec!["out-1"], &json!("NOT_DIALLABLE")));
    let completed = list(json!({"tab": "COMPLETED", "result": "USER_BUSY", "batchId": "b"})).await;
    assert_eq!((out_ids(&completed), &completed["items"][0]["result"]), (vec!["out-2"], &json!("USER_BUSY")));
    let ended = completed["items"][0]["endedAt"].as_str().unwrap();
    assert!(out_ids(&list(json!({"tab": "COMPLETED", "endedTo": "2020-01-01T00:00:00Z"})).await).is_empty());
    assert_eq!(out_ids(&list(json!({"tab": "COMPLETED", "endedFrom": ended})).await).len(), 1);
    assert_eq!(out_ids(&list(json!({"tab": "PENDING", "outId": "out-4"})).await), ["out-4"]);
    assert_eq!(out_ids(&list(json!({"tab": "PENDING", "calledNumber": number(5)})).await), ["out-5"]);
    let first = list(json!({"tab": "PENDING", "limit": 4})).await;
    let second = list(json!({"tab": "PENDING", "limit": 4, "after": first["next"]})).await;
    assert_eq!((out_ids(&second), second.get("next")), (vec!["out-7", "out-8"], None));
    for (body, code) in [
        (json!({"taskId": task}), "REQUIRED"),
        (json!({"taskId": task, "tab": "ALL"}), "INVALID_VALUE"),
        (json!({"taskId": task, "tab": "FAILED", "after": "t1"}), "INVALID_VALUE"),
    ] {
        let answer = site.upstream.query("callees.list", &body).await;
        assert_eq!(answer["errors"][0]["code"], code, "{answer}");
    }
}

#[tokio::test]
async fn a_call_is_told_with_every_attempt() {
    let plan = Plan { force: vec![("0001", "CANCEL,USER_BUSY")], ..Plan::default() };
    let site = Site::start("records-call", &plan).await;
    site.put_line(4, 50).await;
    let task = site.create("told", 4).await;
    site.import(&task, &rows(1..3)).await;
    site.ledger.completed(&task, SOON).await;
    let of_callee = site.upstream.query("call.get", &json!({"taskId": task, "outId": "out-1"})).await;
    assert_eq!((&of_callee["status"], &of_callee["callee"]["result"]), (&json!("OK"), &json!("USER_BUSY")));
    assert_eq!(of_callee["callee"]["attempts"], 2);
    let attempts = of_callee["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "{of_callee}");
    for attempt in attempts {
        let ended = site.ledger.about("call.ended", &task);
        let event = ended.iter().find(|event| event.text("callId") == attempt["callId"].as_str().unwrap()).unwrap();
        // When an earlier redial was due is not kept.
        assert_eq!(*attempt, with(event.data().clone(), "redialAt", Value::Null));
        let by_call = site.upstream.query("call.get", &json!({"callId": attempt["callId"]})).await;
        assert_eq!(by_call, of_callee);
    }
    let nothing = site.upstream.query("call.get", &json!({"callId": task})).await;
    assert_eq!(nothing["status"], "NOT_FOUND");
    let wrong = site.upstream.query("call.get", &json!({"taskId": task})).await;
    assert_eq!(wrong["errors"][0]["code"], "REQUIRED", "{wrong}");
}
