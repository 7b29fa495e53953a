//! Rows of an import, each judged by itself.

use serde_json::{Value, json};

use crate::harness::orders::{self, number, row, with};
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::Site;

#[tokio::test]
async fn each_bad_row_has_its_own_code() {
    let site = Site::start("rows-codes", &Plan::default()).await;
    site.put_mute_line().await;
    let task = site.create("judged", 5).await;
    let long_key = json!({"k".repeat(65): "v"});
    let many_keys: Value =
        (0..51).map(|key| (format!("key-{key}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    let bad = [
        (json!(7), "WRONG_TYPE"),
        (json!(null), "WRONG_TYPE"),
        (json!([number(1)]), "WRONG_TYPE"),
        (json!({"calledNumber": 4_930_123_456_u64}), "WRONG_TYPE"),
        (json!({}), "NUMBER_MISSING"),
        (json!({"calledNumber": ""}), "NUMBER_MISSING"),
        (json!({"calledNumber": "+4930123"}), "NUMBER_INVALID"),
        (json!({"calledNumber": "+4930123456789012"}), "NUMBER_INVALID"),
        (json!({"calledNumber": "+21012345678"}), "NUMBER_INVALID"),
        (json!({"calledNumber": "+49 30 123456"}), "NUMBER_INVALID"),
        (json!({"calledNumber": "4930123456"}), "NUMBER_INVALID"),
        (with(row(1), "odd", json!(1)), "UNKNOWN_FIELD"),
        (with(row(1), "outId", json!(1)), "WRONG_TYPE"),
        (with(row(1), "outId", json!("o".repeat(129))), "TOO_LONG"),
        (with(row(1), "variables", json!(["a"])), "WRONG_TYPE"),
        (with(row(1), "variables", json!({"a": 1})), "WRONG_TYPE"),
        (with(row(1), "variables", json!({"a": "v".repeat(1_025)})), "TOO_LONG"),
        (with(row(1), "variables", many_keys), "OUT_OF_RANGE"),
        (with(row(1), "variables", long_key), "INVALID_VALUE"),
    ];
    let mut callees: Vec<_> = bad.iter().map(|(callee, _)| callee.clone()).collect();
    callees.push(row(1));
    let receipt = site.upstream.accept("callees.import", &json!({"taskId": task, "callees": callees})).await;
    assert_eq!(receipt["accepted"], 1, "{receipt}");
    let rejected = receipt["rejected"].as_array().unwrap();
    let judged: Vec<_> = rejected.iter().map(|row| (row["index"].as_u64().unwrap(), &row["code"])).collect();
    let expected: Vec<_> = (0..).zip(bad.iter().map(|(_, code)| json!(code))).collect();
    assert_eq!(judged, expected.iter().map(|(index, code)| (*index, code)).collect::<Vec<_>>());
}

/// So that the receipt of 5,000 bad rows is still a message of reasonable size.
#[tokio::test]
async fn numbers_and_messages_of_a_receipt_are_cut() {
    let site = Site::start("rows-cut", &Plan::default()).await;
    site.put_mute_line().await;
    let task = site.create("judged", 5).await;
    let long = json!({"calledNumber": "9".repeat(100)});
    let callees = vec![with(long, "odd".repeat(100).as_str(), json!(1)); 5_000];
    let request = json!({"taskId": task, "callees": callees});
    let reply = site.upstream.command("callees.import", &request).await;
    assert_eq!(reply.status(), "ACCEPTED", "{}", reply.json);
    assert!(reply.bytes.len() < 1024 * 1024, "the receipt has {} bytes", reply.bytes.len());
    let first = &reply.json["rejected"][0];
    assert_eq!(first["calledNumber"], "9".repeat(32));
    assert!(first["message"].as_str().unwrap().chars().count() <= 60, "{first}");
}

#[tokio::test]
async fn a_variable_that_the_agent_requires_must_be_there() {
    let mut site = Site::start("rows-variables", &Plan::default()).await;
    site.put_line(5, 5).await;
    let variables = json!([{"key": "name", "required": true}, {"key": "note", "required": false}]);
    let agent = with(orders::agent(orders::AGENT), "variables", variables);
    site.upstream.accept("agent.put", &agent).await;
    let task = site.create("asking", 5).await;
    let told = json!({"name": "Ada", "shoe size": "38"});
    let callees = [row(1), with(row(2), "variables", json!({"note": "x"})), with(row(3), "variables", told.clone())];
    let receipt = site.upstream.accept("callees.import", &json!({"taskId": task, "callees": callees})).await;
    assert_eq!(receipt["accepted"], 1, "{receipt}");
    for index in 0..2 {
        assert_eq!(receipt["rejected"][index]["code"], "VARIABLE_MISSING", "{receipt}");
    }
    site.ledger.completed(&task, SOON).await;
    site.stop_and_compare(1).await;
    let ended = site.ledger.about("call.ended", &task);
    assert_eq!(ended[0].data()["variables"], told, "what the agent did not ask for comes back too");
}
