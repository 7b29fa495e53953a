//! `callees.import` as a whole: its receipt, its event, and what counts as a duplicate.

use serde_json::{Value, json};

use crate::harness::orders::{self, number, row, rows, with};
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::Site;
use crate::harness::upstream::Request;

/// A site with a task that takes callees and calls nobody.
async fn silent(name: &str) -> (Site, String) {
    let site = Site::start(name, &Plan::default()).await;
    site.put_mute_line().await;
    let task = site.create("silent", 5).await;
    (site, task)
}

async fn import(site: &Site, task: &str, callees: &[Value]) -> Value {
    site.upstream.accept("callees.import", &json!({"taskId": task, "callees": callees})).await
}

#[tokio::test]
async fn three_bad_rows_of_a_thousand_spoil_none_of_the_others() {
    let (site, task) = silent("import-thousand").await;
    let mut callees = rows(0..1_000);
    callees[17] = json!({"calledNumber": "030 12345", "outId": "out-17"});
    callees[500] = json!("+4930123456");
    callees[999] = json!({"outId": "out-999"});
    let receipt = import(&site, &task, &callees).await;
    assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&json!(997), &json!(0)), "{receipt}");
    let rejected = receipt["rejected"].as_array().unwrap();
    let named: Vec<_> = rejected.iter().map(|row| (&row["index"], &row["code"], &row["calledNumber"])).collect();
    let expected = [
        (&json!(17), &json!("NUMBER_INVALID"), &json!("030 12345")),
        (&json!(500), &json!("WRONG_TYPE"), &Value::Null),
        (&json!(999), &json!("NUMBER_MISSING"), &Value::Null),
    ];
    assert_eq!(named, expected);
    assert_eq!(site.task(&task).await["counts"]["pending"], 997);
}

#[tokio::test]
async fn the_event_of_an_import_is_its_receipt() {
    let (site, task) = silent("import-event").await;
    let body = json!({"taskName": "silent", "batchId": "monday", "callees": [row(1), row(1), {"outId": "x"}]});
    let mut receipt = site.upstream.accept("callees.import", &body).await;
    receipt.as_object_mut().unwrap().remove("status");
    let counts = (&receipt["accepted"], &receipt["duplicates"], &receipt["rejected"][0]["index"]);
    assert_eq!(counts, (&json!(1), &json!(1), &json!(2)), "{receipt}");
    assert_eq!((&receipt["taskId"], &receipt["batchId"]), (&json!(task), &json!("monday")));
    let is_import = |event: &crate::harness::downstream::Event| event.tells("callees.imported", &task);
    let event = site.ledger.first("callees.imported", SOON, is_import).await;
    assert_eq!(*event.data(), receipt);
}

#[tokio::test]
async fn the_same_import_twice_imports_once() {
    let (mut site, task) = silent("import-twice").await;
    let mut callees = rows(0..50);
    callees[7] = json!({});
    let request = Request::command("callees.import", &json!({"taskId": task, "callees": callees}));
    let first = site.upstream.ask(&request).await;
    assert_eq!(first.json["accepted"], 49, "{}", first.json);
    assert_eq!(site.upstream.ask(&request).await, first);
    // As a new message it is another import, and finds all of them there.
    let other = import(&site, &task, &callees).await;
    assert_eq!((&other["accepted"], &other["duplicates"]), (&json!(0), &json!(49)), "{other}");
    assert_eq!(site.task(&task).await["counts"]["pending"], 49);
    site.daemon.stop(SOON).await;
    site.ledger.settle().await;
    assert_eq!(site.ledger.about("callees.imported", &task).len(), 2);
}

#[tokio::test]
async fn a_duplicate_is_known_by_its_out_id_or_without_one_by_its_number() {
    let (site, task) = silent("import-duplicates").await;
    import(&site, &task, &[row(1), json!({"calledNumber": number(2)})]).await;
    for (what, callee, accepted) in [
        ("an out id that is there", json!({"calledNumber": number(3), "outId": "out-1"}), 0),
        ("a new out id for a number that is there", json!({"calledNumber": number(1), "outId": "new"}), 1),
        ("a number of a callee with an out id", json!({"calledNumber": number(1)}), 0),
        ("a number of a callee without one", json!({"calledNumber": number(2)}), 0),
        ("a new number", json!({"calledNumber": number(4)}), 1),
    ] {
        let receipt = import(&site, &task, &[callee]).await;
        assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&json!(accepted), &json!(1 - accepted)), "{what}");
    }
    let twice = json!({"calledNumber": number(5)});
    let receipt = import(&site, &task, &[twice.clone(), row(6), twice, row(6)]).await;
    assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&json!(2), &json!(2)), "{receipt}");
    let another = site.create("another", 5).await;
    assert_eq!(import(&site, &another, &[row(1)]).await["accepted"], 1, "another task has its own callees");
}

#[tokio::test]
async fn equal_numbers_are_taken_when_they_are_allowed() {
    let (site, task) = silent("import-allowed").await;
    let callee = json!({"calledNumber": number(1)});
    let body = json!({"taskId": task, "allowDuplicateNumbers": true, "callees": [callee, callee, row(1), row(1)]});
    let receipt = site.upstream.accept("callees.import", &body).await;
    assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&json!(3), &json!(1)), "{receipt}");
    assert_eq!(import(&site, &task, &[callee]).await["duplicates"], 1);
}

#[tokio::test]
async fn an_import_needs_a_task_and_1_to_5000_rows() {
    let (site, task) = silent("import-problems").await;
    let body = json!({"callees": "all", "batchId": "b".repeat(65), "allowDuplicateNumbers": 1, "odd": 1});
    let errors = [
        "REQUIRED taskId",
        "WRONG_TYPE callees",
        "TOO_LONG batchId",
        "WRONG_TYPE allowDuplicateNumbers",
        "UNKNOWN_FIELD odd",
    ];
    site.upstream.reject("callees.import", &body, &errors).await;
    let to_task = json!({"taskId": task, "callees": []});
    site.upstream.reject("callees.import", &to_task, &["OUT_OF_RANGE callees"]).await;
    let too_many = with(to_task.clone(), "callees", json!(rows(0..5_001)));
    site.upstream.reject("callees.import", &too_many, &["OUT_OF_RANGE callees"]).await;
    site.upstream.reject("callees.import", &with(to_task, "callees", Value::Null), &["REQUIRED callees"]).await;
    let nobodys = json!({"taskName": "nobody's", "callees": rows(0..1)});
    site.upstream.command("callees.import", &nobodys).await.assert_code("NOT_FOUND");
    let most = import(&site, &task, &rows(0..5_000)).await;
    assert_eq!(most["accepted"], 5_000);
}

#[tokio::test]
async fn an_import_that_accepts_nobody_starts_nothing() {
    let site = Site::start("import-nobody", &Plan::default()).await;
    site.put_line(5, 5).await;
    let task = site.create("empty", 5).await;
    let receipt = import(&site, &task, &[json!({}), json!({"calledNumber": "1"})]).await;
    assert_eq!(receipt["accepted"], 0);
    assert_eq!(site.task(&task).await["state"], "INITIALIZING");
    // Their variables are the agent's affair, and this one asks for none.
    let callee = with(orders::row(1), "variables", json!({"anything": "kept"}));
    import(&site, &task, &[callee]).await;
    site.ledger.completed(&task, SOON).await;
}
