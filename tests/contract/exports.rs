//! `export.create`, what `export.get` and `export.list` tell of it, and the file itself.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::export::{exports_section, sha256_of};
use crate::harness::orders::{self, rows, with};
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::{Site, folder};

const COLUMNS: &str = "calleeId,outId,batchId,calledNumber,state,result,failedReason,attempts,callId,callerNumber,\
    startedAt,answeredAt,endedAt,talkSeconds,hangupBy,majorIntent,recording,variable.name,variable.extra,tag.outcome";

/// A daemon that keeps its exports beside its log.
async fn site(name: &str) -> (Site, String) {
    let folder = folder(&format!("{name}-files"));
    let force = vec![("0001", "NOT_DIALLABLE"), ("0002", "USER_BUSY")];
    let site = Site::start(name, &Plan { force, more: exports_section(&folder), ..Plan::default() }).await;
    let agent = with(orders::agent(orders::AGENT), "variables", json!([{"key": "name", "required": false}]));
    let agent = with(agent, "outputTags", json!([{"name": "outcome"}]));
    site.put_line(10, 50).await;
    site.upstream.accept("agent.put", &agent).await;
    let task = site.create("exported", 10).await;
    (site, task)
}

async fn export(site: &Site, body: &Value) -> Value {
    let reply = site.upstream.accept("export.create", body).await;
    assert_eq!(reply["state"], "INITIALIZING", "{reply}");
    let id = reply["exportId"].as_str().unwrap().to_owned();
    let is_it =
        |event: &crate::harness::downstream::Event| event.kind() == "export.ready" && event.text("exportId") == id;
    let event = site.ledger.first("export.ready", SOON, is_it).await;
    assert_eq!(event.attribute("subject"), event.text("taskId"));
    event.data().clone()
}

#[tokio::test]
async fn an_export_tells_of_each_callee_what_the_events_told() {
    let (site, task) = site("export-whole").await;
    let mut callees = rows(0..4);
    callees[0]["variables"] = json!({"name": "=HYPERLINK(\"http://evil\")", "extra": "+493012345"});
    site.upstream.accept("callees.import", &json!({"taskId": task, "batchId": "b-1", "callees": callees})).await;
    site.ledger.completed(&task, SOON).await;
    let ready = export(&site, &json!({"taskId": task, "name": "all of them", "format": "CSV", "status": "ALL"})).await;
    let told = (&ready["taskId"], &ready["name"], &ready["format"], &ready["rows"]);
    assert_eq!(told, (&json!(task), &json!("all of them"), &json!("CSV"), &json!(4)), "{ready}");
    let location = Path::new(ready["location"].as_str().unwrap());
    let text = std::fs::read_to_string(location).unwrap();
    assert_eq!(
        (ready["bytes"].as_u64(), ready["sha256"].as_str()),
        (Some(text.len() as u64), Some(&*sha256_of(location)))
    );
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>().join(","), COLUMNS);
    let lines: Vec<HashMap<String, String>> = reader.deserialize().collect::<Result<_, _>>().unwrap();
    let states: Vec<_> = lines.iter().map(|line| (line["state"].as_str(), line["failedReason"].as_str())).collect();
    assert_eq!(states, [("COMPLETED", ""), ("FAILED", "NOT_DIALLABLE"), ("COMPLETED", ""), ("COMPLETED", "")]);
    assert_eq!(lines[0]["variable.name"], "'=HYPERLINK(\"http://evil\")");
    assert_eq!(lines[0]["variable.extra"], "+493012345");
    assert_eq!(lines[0]["batchId"], "b-1");
    assert_eq!((lines[1]["callId"].as_str(), lines[1]["attempts"].as_str()), ("", "0"));
    for event in site.ledger.about("call.ended", &task) {
        let line = lines.iter().find(|line| line["outId"] == event.text("outId")).unwrap();
        for field in [
            "calleeId",
            "calledNumber",
            "result",
            "callId",
            "callerNumber",
            "startedAt",
            "answeredAt",
            "endedAt",
            "hangupBy",
        ] {
            assert_eq!(line[field], event.text(field), "{field}");
        }
        assert_eq!(line["attempts"], "1");
    }
}

#[tokio::test]
async fn an_export_has_what_the_agent_platform_reported_of_the_last_call() {
    let (site, task) = site("export-reported").await;
    site.import(&task, &rows(5..7)).await;
    site.ledger.completed(&task, SOON).await;
    let ended = site.ledger.about("call.ended", &task);
    let call = ended.iter().find(|event| event.text("outId") == "out-5").unwrap().text("callId");
    let report = json!({"callId": call, "majorIntent": "CONFIRM", "outputTags": {"outcome": ["yes", "later"]},
        "recording": {"url": "https://recordings.example/1.wav", "seconds": 3}});
    site.upstream.accept("call.report", &report).await;
    let ready = export(&site, &json!({"taskId": task, "name": "reported", "format": "CSV"})).await;
    let mut reader = csv::Reader::from_path(ready["location"].as_str().unwrap()).unwrap();
    let lines: Vec<HashMap<String, String>> = reader.deserialize().collect::<Result<_, _>>().unwrap();
    let reported = ["majorIntent", "recording", "tag.outcome"].map(|column| lines[0][column].as_str());
    assert_eq!(reported, ["CONFIRM", "https://recordings.example/1.wav", "yes, later"]);
    assert_eq!(["majorIntent", "recording", "tag.outcome"].map(|column| lines[1][column].as_str()), ["", "", ""]);
}

#[tokio::test]
async fn an_export_has_the_callees_of_its_status_and_a_list_has_every_export() {
    let (site, task) = site("export-status").await;
    site.import(&task, &rows(0..4)).await;
    site.ledger.completed(&task, SOON).await;
    for (status, callees) in [(Value::Null, 3), (json!("COMPLETED"), 3), (json!("FAILED"), 1), (json!("ALL"), 4)] {
        let body = json!({"taskName": "exported", "name": "some", "format": "CSV", "status": status});
        assert_eq!(export(&site, &body).await["rows"], callees, "{status}");
    }
    let first = site.upstream.query("export.list", &json!({"taskId": task, "limit": 3})).await;
    let rest = site.upstream.query("export.list", &json!({"taskId": task, "after": first["next"]})).await;
    let items = |page: &Value| page["items"].as_array().unwrap().clone();
    assert_eq!((items(&first).len(), items(&rest).len(), rest.get("next")), (3, 1, None), "{first} {rest}");
    let export = items(&rest)[0].clone();
    let got = site.upstream.query("export.get", &json!({"exportId": export["exportId"]})).await;
    assert_eq!((&got["status"], &got["export"]), (&json!("OK"), &export));
    let told = (&export["state"], &export["status"], &export["rows"]);
    assert_eq!(told, (&json!("SUCCEEDED"), &json!("COMPLETED"), &json!(3)), "{export}");
    for field in ["createdAt", "finishedAt", "expiresAt", "sha256", "location"] {
        assert!(export[field].is_string(), "{field} of {export}");
    }
    let others = site.upstream.query("export.list", &json!({"taskName": "nobody's"})).await;
    assert_eq!(others["items"], json!([]));
    let unknown = site.upstream.query("export.get", &json!({"exportId": uuid::Uuid::new_v4()})).await;
    assert_eq!(unknown["status"], "NOT_FOUND");
}

#[tokio::test]
async fn what_is_wrong_with_an_export_is_named() {
    let (site, task) = site("export-wrong").await;
    let create = async |body: Value, errors: &[&str]| site.upstream.reject("export.create", &body, errors).await;
    create(json!({"odd": 1}), &["REQUIRED taskId", "REQUIRED name", "REQUIRED format", "UNKNOWN_FIELD odd"]).await;
    let wrong = json!({"taskId": task, "name": "", "format": "PDF", "status": "SOME", "exportId": "1"});
    let errors = ["name", "format", "status", "exportId"].map(|field| format!("INVALID_VALUE {field}"));
    create(wrong, &errors.each_ref().map(String::as_str)).await;
    create(json!({"taskName": "nobody's", "name": "a", "format": "CSV"}), &["NOT_FOUND taskId"]).await;
    let id = uuid::Uuid::new_v4();
    let good = json!({"taskId": task, "name": "empty", "format": "CSV", "exportId": id});
    let ready = export(&site, &good).await;
    assert_eq!((&ready["exportId"], &ready["rows"]), (&json!(id), &json!(0)));
    create(good, &["INVALID_VALUE exportId"]).await;
}
