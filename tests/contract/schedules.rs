//! Scheduled starts: once, at their time, unless something has used them up. By a clock that the test sets.

use std::sync::Arc;

use calltaskd::clock::{Clock, ManualClock};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::downstream::Event;
use crate::harness::orders::{self, rows, with};
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::Site;

fn scheduled(name: &str, at: DateTime<Utc>) -> Value {
    let body = with(orders::task(name, 5), "startMode", json!("SCHEDULED"));
    with(body, "startAt", json!(at.to_rfc3339_opts(SecondsFormat::Millis, true)))
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at("2026-11-23T09:00:00Z".parse().unwrap()))
}

fn in_an_hour(clock: &ManualClock) -> DateTime<Utc> {
    clock.now() + TimeDelta::hours(1)
}

async fn state(site: &Site, task: &str) -> Value {
    site.task(task).await["state"].take()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduled_task_waits_for_its_time_and_then_runs_by_itself() {
    let clock = clock();
    let mut site = Site::on_clock("schedule", &Plan::default(), &clock).await;
    site.put_line(10, 50).await;
    let start_at = in_an_hour(&clock);
    let task = site.create_as(&scheduled("later", start_at)).await;
    site.import(&task, &rows(0..5)).await;
    clock.set(start_at - TimeDelta::milliseconds(1));
    assert_eq!(state(&site, &task).await, "STOPPED");
    clock.set(start_at);
    site.ledger.completed(&task, SOON).await;
    let running = site.ledger.about("task.running", &task);
    assert_eq!((running.len(), running[0].text("previousState")), (1, "STOPPED"));
    let at = DateTime::parse_from_rfc3339(running[0].attribute("time")).unwrap().to_utc();
    assert_eq!(at, start_at);
    let stopped = site.ledger.about("task.stopped", &task);
    assert_eq!((stopped.len(), stopped[0].text("previousState")), (1, "INITIALIZING"));
    site.stop_and_compare(5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_in_the_past_is_at_the_first_import() {
    let clock = clock();
    let mut site = Site::on_clock("schedule-past", &Plan::default(), &clock).await;
    site.put_line(10, 50).await;
    let past = site.create_as(&scheduled("past", clock.now() - TimeDelta::minutes(1))).await;
    site.import(&past, &rows(0..2)).await;
    site.ledger.completed(&past, SOON).await;
    // It comes while nothing is imported yet.
    let start_at = in_an_hour(&clock);
    let soon = site.create_as(&scheduled("soon", start_at)).await;
    clock.set(start_at + TimeDelta::seconds(1));
    assert_eq!(state(&site, &soon).await, "INITIALIZING");
    site.import(&soon, &rows(10..12)).await;
    site.ledger.completed(&soon, SOON).await;
    assert!(site.ledger.about("task.stopped", &soon).is_empty());
    site.stop_and_compare(4).await;
}

/// A start and a stop before its time use it up; another task shows that the time has come and gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_by_hand_uses_the_scheduled_one_up() {
    let clock = clock();
    let site = Site::on_clock("schedule-used", &Plan::lasting(3_000), &clock).await;
    site.put_line(10, 50).await;
    let start_at = in_an_hour(&clock);
    let [used, other] =
        [site.create_as(&scheduled("used", start_at)).await, site.create_as(&scheduled("other", start_at)).await];
    site.import(&used, &rows(0..20)).await;
    site.import(&other, &rows(30..31)).await;
    assert_eq!(site.upstream.accept("task.start", &json!({"taskId": used})).await["state"], "RUNNING");
    assert_eq!(site.upstream.accept("task.stop", &json!({"taskId": used})).await["state"], "STOPPED");
    clock.set(start_at);
    let runs = |event: &Event| event.tells("task.running", &other);
    site.ledger.first("the other task's start", SOON, runs).await;
    site.ledger.completed(&other, SOON).await;
    assert_eq!(state(&site, &used).await, "STOPPED");
    assert_eq!(site.ledger.about("task.running", &used).len(), 1);
}

/// As with `task.start`: it is told, with the reason, and used up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduled_start_that_cannot_be_says_why() {
    let clock = clock();
    let site = Site::on_clock("schedule-failed", &Plan::default(), &clock).await;
    site.put_mute_line().await;
    let start_at = in_an_hour(&clock);
    let task = site.create_as(&scheduled("mute", start_at)).await;
    site.import(&task, &rows(0..2)).await;
    clock.set(start_at);
    let failed = site.ledger.first("the failed start", SOON, |event| event.tells("task.start-failed", &task)).await;
    assert_eq!((failed.text("previousState"), failed.text("reason")), ("STOPPED", "NO_CALLER_NUMBERS"));
    assert_eq!(state(&site, &task).await, "START_FAILED");
}
