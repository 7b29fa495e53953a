//! Numbers in national format, where the settings name a region, are dialled in E.164.

use serde_json::json;

use crate::harness::orders;
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::Site;

#[tokio::test]
async fn a_national_number_is_dialled_in_e164() {
    let more = "[numbers]\ndefault_region = \"DE\"\n".to_owned();
    let mut site = Site::start("numbers-national", &Plan { more, ..Plan::default() }).await;
    site.put_line(5, 5).await;
    let task = site.create("national", 5).await;
    let called = ["030 1234567", "+49301234567", "(0151) 23456789", "+12025550123"];
    let callees: Vec<_> = called.iter().map(|number| json!({"calledNumber": number})).collect();
    let receipt = site.upstream.accept("callees.import", &json!({"taskId": task, "callees": callees})).await;
    let counts = (&receipt["accepted"], &receipt["duplicates"]);
    assert_eq!(counts, (&json!(3), &json!(1)), "two ways to write one number: {receipt}");
    site.ledger.completed(&task, SOON).await;
    site.stop_and_compare(3).await;
    let mut dialled: Vec<_> = site.record().calls.into_iter().map(|call| call.called).collect();
    dialled.sort_unstable();
    assert_eq!(dialled, ["+12025550123", "+4915123456789", "+49301234567"]);
}

#[tokio::test]
async fn a_number_that_the_trunk_refuses_fails_its_callee_without_a_call() {
    let plan = Plan { force: vec![("0000002", "NOT_DIALLABLE")], ..Plan::default() };
    let mut site = Site::start("numbers-refused", &plan).await;
    site.put_line(5, 5).await;
    let task = site.create("refused", 5).await;
    let body = json!({"taskId": task, "batchId": "b-1", "callees": orders::rows(1..4)});
    site.upstream.accept("callees.import", &body).await;
    let completed = site.ledger.completed(&task, SOON).await;
    assert_eq!(completed.data()["counts"], json!({"pending": 0, "calling": 0, "completed": 2, "failed": 1}));
    site.stop_and_compare(3).await;
    assert_eq!(site.record().calls.len(), 2, "it was never placed");
    let failed = site.ledger.about("callee.failed", &task);
    assert_eq!(failed.len(), 1);
    let mut data = failed[0].data().clone();
    data.as_object_mut().unwrap().remove("calleeId").unwrap();
    let expected = json!({
        "taskId": task, "outId": "out-2", "batchId": "b-1", "calledNumber": orders::number(2),
        "attempts": 0, "failedReason": "NOT_DIALLABLE", "variables": {},
    });
    assert_eq!(data, expected);
}
