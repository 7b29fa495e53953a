//! Before the chapters: from which numbers, in which steps, and the first two states.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::orders::{self, LINE, number, rows, with};
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::{Site, folder};
use crate::operator::{csv, run};

#[tokio::test]
async fn s01_a_task_calls_from_the_numbers_of_its_service_instance() {
    let site = Site::start("numbers", &Plan::default()).await;
    site.put_mute_line().await;
    let task = site.create("numbers", 4).await;
    site.import(&task, &rows(0..4)).await;
    let told = site.task(&task).await;
    let expected = (&json!("START_FAILED"), &json!("NO_CALLER_NUMBERS"));
    assert_eq!((&told["state"], &told["reason"]), expected, "no number, no call: {told}");
    let approved = ["+493055500001", "+493055500002"];
    let numbers: Value = approved.iter().map(|number| json!({"number": number})).collect();
    let line = with(orders::line(LINE, 10, 50), "callerNumbers", numbers);
    site.upstream.accept("service-instance.put", &line).await;
    assert_eq!(site.upstream.accept("task.start", &json!({"taskId": task})).await["state"], "RUNNING");
    site.ledger.completed(&task, SOON).await;
    let callers: BTreeSet<String> = site.record().calls.into_iter().map(|call| call.caller).collect();
    assert_eq!(callers, BTreeSet::from(approved.map(str::to_owned)));
}

#[tokio::test]
async fn s02_a_task_is_created_configured_and_then_given_its_callees() {
    let files = folder("steps-files");
    let site = Site::start("steps", &Plan::default()).await;
    let done = |words: &[&str]| assert_eq!(run(&site, words).code, Some(0), "{words:?}");
    done(&["agent", "put", "--id", "reminder", "--name", "Reminder", "--sip-uri", "sip:reminder@voice.example"]);
    let line = ["service-instance", "put", "--id", "berlin", "--name", "Berlin", "--trunk", "simulated"];
    done(&[&line[..], &["--max-concurrent", "5", "--max-cps", "5", "--number", orders::CALLER]].concat());
    let create = ["task", "create", "--name", "Monday", "--agent", "reminder", "--service-instance", "berlin"];
    let created = run(&site, &[&create[..], &["--concurrency", "2", "--json"]].concat()).json();
    let task = created["taskId"].as_str().unwrap();
    done(&["import", &csv(&files, &["calledNumber", &number(1), &number(2)]), "--task", "Monday"]);
    site.ledger.completed(task, SOON).await;
    let called: BTreeSet<String> = site.record().calls.into_iter().map(|call| call.called).collect();
    assert_eq!(called, BTreeSet::from([number(1), number(2)]));
}

#[tokio::test]
async fn s03_the_state_is_initializing_after_the_creation() {
    let site = Site::start("initializing", &Plan::default()).await;
    site.put_line(5, 5).await;
    let reply = site.upstream.accept("task.create", &orders::task("new", 5)).await;
    let task = reply["taskId"].as_str().unwrap();
    assert_eq!(reply["state"], "INITIALIZING");
    assert_eq!(site.task(task).await["state"], "INITIALIZING");
    let created = site.ledger.first("task.created", SOON, |event| event.tells("task.created", task)).await;
    assert_eq!(created.text("state"), "INITIALIZING");
}

/// A call of an hour: the task cannot be through before it is looked at.
#[tokio::test]
async fn s04_the_state_is_running_after_the_import() {
    let site = Site::start("running", &Plan::lasting(3_600_000)).await;
    site.put_line(5, 5).await;
    let task = site.create("new", 5).await;
    // Nobody is imported by this one.
    let wrong = json!({"taskId": task, "callees": [{"calledNumber": "12"}]});
    assert_eq!(site.upstream.accept("callees.import", &wrong).await["accepted"], 0);
    assert_eq!(site.task(&task).await["state"], "INITIALIZING");
    site.import(&task, &rows(0..1)).await;
    assert_eq!(site.task(&task).await["state"], "RUNNING");
    let running = site.ledger.first("task.running", SOON, |event| event.tells("task.running", &task)).await;
    assert_eq!(running.text("previousState"), "INITIALIZING");
}
