//! The limits under load, by the carrier's record: slots of task, service instance and caller number, and calls
//! per second.
//!
//! `CALLTASKD_TEST_CALLEES` sets the size of the large run (10,000: about a minute).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod harness;

use std::time::Duration;

use harness::orders::{self, LINE, rows, with};
use harness::patience::{LATER, SOON, until};
use harness::plan::Plan;
use harness::site::Site;
use serde_json::{Value, json};

/// Calls that last about a second on the average, with every kind of end.
fn mixed() -> Plan {
    Plan {
        ring_millis: [50, 400],
        talk_millis: [200, 1_600],
        results: vec![("ANSWERED", 60), ("NO_ANSWER", 15), ("USER_BUSY", 15), ("INVALID_NUMBER", 10)],
        force: vec![("77", "NETWORK_BUSY"), ("99", "NOT_DIALLABLE"), ("0000", "AGENT_FAILED")],
        ..Plan::default()
    }
}

fn size_of_the_large_run() -> usize {
    std::env::var("CALLTASKD_TEST_CALLEES").map_or(10_000, |size| size.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_callees_keep_to_two_hundred_slots_and_the_pace() {
    const SLOTS: usize = 200;
    const PACE: usize = 180;
    let callees = size_of_the_large_run();
    let mut site = Site::start("large", &mixed()).await;
    site.put_line(1_000, 180).await;
    let task = site.create("large", 200).await;
    site.import(&task, &rows(0..callees)).await;
    let completed = site.ledger.completed(&task, 2 * LATER).await;
    site.stop_and_compare(callees).await;
    let record = site.record();
    let (slots, pace) = (record.most_slots(), record.most_placings_in_a_second());
    println!("{} calls, {slots} slots and {pace} placings in a second at most", record.calls.len());
    assert!(slots <= SLOTS, "{slots} slots of {SLOTS} at some instant");
    assert!(pace <= PACE, "{pace} calls of {PACE} in some second");
    // Else the run would prove nothing about the limits.
    if callees >= 5_000 {
        assert!(
            slots > SLOTS * 3 / 4 && pace > PACE * 3 / 4,
            "the limits were not reached: {slots} slots, {pace} calls"
        );
    }
    // The numbers that end in 99.
    let failed = callees / 100;
    let counts = json!({"pending": 0, "calling": 0, "completed": callees - failed, "failed": failed});
    assert_eq!(completed.data()["counts"], counts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_number_has_a_limit_of_its_own() {
    let mut site = Site::start("caller-number", &Plan::lasting(1_500)).await;
    site.put_line(10, 50).await;
    let (narrow, wide) = ("+493055500011", "+493055500012");
    let numbers = json!([{"number": narrow, "maxConcurrent": 2}, {"number": wide, "maxConcurrent": 4}]);
    let line = with(orders::line(LINE, 6, 50), "callerNumbers", numbers);
    site.upstream.accept("service-instance.put", &line).await;
    let task = site.create("two numbers", 10).await;
    site.import(&task, &rows(0..40)).await;
    site.ledger.completed(&task, LATER).await;
    site.stop_and_compare(40).await;
    let record = site.record();
    assert_eq!(record.of_caller(narrow).most_slots(), 2);
    assert_eq!(record.most_slots(), 6, "the other number takes what is left of the service instance");
    let calls = (record.of_caller(narrow).calls.len(), record.of_caller(wide).calls.len());
    assert!(calls.0 >= 8 && calls.0 + calls.1 == 40, "{calls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tasks_share_a_service_instance_evenly() {
    let mut site = Site::start("round-robin", &Plan::lasting(200)).await;
    site.put_line(10, 50).await;
    let mut tasks = Vec::new();
    for name in ["first", "second"] {
        let task = site.create(name, 10).await;
        site.import(&task, &rows(0..80)).await;
        tasks.push(task);
    }
    for task in &tasks {
        site.ledger.completed(task, LATER).await;
    }
    site.stop_and_compare(160).await;
    let record = site.record();
    assert_eq!(record.most_slots(), 10);
    let parts = [record.of_task(&tasks[0]), record.of_task(&tasks[1])];
    // From the first call of the later one to the last call of the one that was through first.
    let begin = parts.iter().map(|part| part.calls.first().unwrap().placed_at).max().unwrap();
    let end = parts.iter().map(|part| part.calls.last().unwrap().placed_at).min().unwrap();
    let shared = |call: &harness::record::Call| (begin..=end).contains(&call.placed_at);
    let calls = parts.map(|part| part.only(shared).calls.len());
    assert!(calls.iter().all(|calls| *calls >= 50), "hardly any time together: {calls:?}");
    assert!(calls[0].abs_diff(calls[1]) <= 10, "not evenly: {calls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_keeps_to_its_own_concurrency_beside_others() {
    let mut site = Site::start("concurrency", &Plan::lasting(300)).await;
    site.put_line(20, 50).await;
    let narrow = site.create("narrow", 3).await;
    let wide = site.create("wide", 9).await;
    site.import(&narrow, &rows(0..15)).await;
    site.import(&wide, &rows(0..45)).await;
    for task in [&narrow, &wide] {
        site.ledger.completed(task, LATER).await;
    }
    site.stop_and_compare(60).await;
    let record = site.record();
    assert_eq!(record.of_task(&narrow).most_slots(), 3);
    assert_eq!(record.of_task(&wide).most_slots(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lowered_limit_is_in_force_from_the_reply_on_and_cuts_no_call() {
    const BEFORE: u32 = 20;
    const AFTER: u32 = 4;
    let mut site = Site::start("lowered", &Plan { talk_millis: [500, 3_000], ..Plan::default() }).await;
    site.put_line(BEFORE, 200).await;
    let task = site.create("lowered", 50).await;
    site.import(&task, &rows(0..45)).await;
    until("20 calls in the air", SOON, || (site.record().in_the_air() == 20).then_some(())).await;
    site.upstream.accept("service-instance.put", &orders::line(LINE, AFTER, 200)).await;
    let before = site.record().calls.len();
    site.ledger.completed(&task, LATER).await;
    site.stop_and_compare(45).await;
    let record = site.record();
    assert!(record.calls.iter().all(|call| call.end.as_ref().unwrap().0 == "ANSWERED"));
    assert_eq!(record.most_slots(), BEFORE as usize);
    for (index, call) in record.calls.iter().enumerate().skip(before) {
        let held = record.slots_at(call.placed_at);
        assert!(held <= AFTER as usize, "call {index} of {} was placed as the {held}th", record.calls.len());
    }
}

/// Nothing starts any more, and what is up goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_service_instance_starts_nothing() {
    let mut site = Site::start("retired", &Plan::lasting(1_000)).await;
    site.put_line(5, 200).await;
    let task = site.create("retired", 5).await;
    site.import(&task, &rows(0..20)).await;
    until("5 calls in the air", SOON, || (site.record().in_the_air() == 5).then_some(())).await;
    let retired = |id: &str, most: u32| -> Value { orders::line(id, most, 200) };
    site.upstream.accept("service-instance.put", &retired(LINE, 0)).await;
    let before = site.record().calls.len();
    // Another one works meanwhile, so that there was time to do wrong.
    site.upstream.accept("service-instance.put", &retired("line-2", 5)).await;
    let other = with(orders::task("other", 5), "serviceInstanceId", json!("line-2"));
    let other = site.upstream.accept("task.create", &other).await["taskId"].as_str().unwrap().to_owned();
    site.import(&other, &rows(0..15)).await;
    site.ledger.completed(&other, LATER).await;
    assert_eq!(site.record().of_task(&task).calls.len(), before);
    site.upstream.accept("service-instance.put", &retired(LINE, 5)).await;
    site.ledger.completed(&task, Duration::from_secs(60)).await;
    site.stop_and_compare(35).await;
}
