//! Several daemons on one Postgres and one RabbitMQ: they share the service instances, and when one goes, however it
//! goes, another dials for it, within the limits and without calling anybody twice.
//!
//! All daemons here go by one node name: what tells them apart is not configured.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

#[path = "../harness/mod.rs"]
mod harness;
mod trunks;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use calltaskd::clock::{Clock, SystemClock};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use harness::agreement::{assert_agree, assert_agree_after_a_crash};
use harness::downstream::Event;
use harness::orders::{self, rows, with};
use harness::patience::{LATER, SOON, until};
use harness::plan::Plan;
use harness::record::Record;
use harness::site::{Beside, Site};
use serde_json::json;

const SLOTS: usize = 60;
const PACE: usize = 30;
/// Calls in the air when something happens.
const IN_THE_AIR: usize = 40;
/// A lease's length and five seconds.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(12 + 5);

#[expect(clippy::disallowed_methods, reason = "a witness has a clock of its own")]
fn now() -> i64 {
    Utc::now().timestamp_micros()
}

/// A site with one task under way, `callees` strong, and nobody beside.
async fn under_way(name: &str, plan: &Plan, callees: usize) -> (Site, String) {
    let site = Site::start(name, plan).await;
    site.put_line(u32::try_from(SLOTS).unwrap(), u32::try_from(PACE).unwrap()).await;
    let task = site.create("shared", 1_000).await;
    site.import(&task, &rows(0..callees)).await;
    let enough = || (site.record().in_the_air() >= IN_THE_AIR).then_some(());
    until("40 calls in the air", SOON, enough).await;
    (site, task)
}

#[track_caller]
fn assert_within_limits(record: &Record) {
    let (slots, pace) = (record.most_slots(), record.most_placings_in_a_second());
    assert!(slots <= SLOTS && pace <= PACE, "{slots} slots at some instant, {pace} placings in some second");
    let called: HashSet<_> = record.calls.iter().map(|call| &call.called).collect();
    assert_eq!(called.len(), record.calls.len(), "somebody was called twice");
}

/// Stops both, which empties their outboxes, and takes in the last event.
async fn stop_both(site: &mut Site, beside: &mut Beside) {
    beside.daemon.stop(SOON).await;
    site.daemon.stop(SOON).await;
    site.ledger.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_gets_its_share_of_the_service_instances() {
    const LINES: usize = 4;
    let plan = Plan::lasting(500);
    let mut site = Site::start("shared", &plan).await;
    site.put_line(1, 1).await;
    let mut tasks = Vec::new();
    for number in 0..LINES {
        let (id, caller) = (format!("line-{number}"), format!("+4930555000{number}1"));
        let line = with(orders::line(&id, 10, 10), "callerNumbers", json!([{"number": caller}]));
        site.upstream.accept("service-instance.put", &line).await;
        let task = with(orders::task(&format!("task {number}"), 10), "serviceInstanceId", json!(id));
        let reply = site.upstream.accept("task.create", &task).await;
        tasks.push(reply["taskId"].as_str().unwrap().to_owned());
    }
    for task in &tasks {
        site.import(task, &rows(0..150)).await;
    }
    let callers = |record: &Record| record.calls.iter().map(|call| call.caller.clone()).collect::<BTreeSet<_>>();
    until("calls of every service instance", SOON, || (callers(&site.record()).len() == LINES).then_some(())).await;
    let mut beside = site.start_beside(&plan).await;
    until("calls of two of them by the newcomer", SOON, || (callers(&beside.record()).len() == 2).then_some(())).await;
    for task in &tasks {
        site.ledger.completed(task, LATER).await;
    }
    stop_both(&mut site, &mut beside).await;
    assert_eq!(callers(&beside.record()).len(), 2, "it got its share and no more");
    let record = site.record().and(beside.record());
    assert_agree(&record, &site.ledger.events(), LINES * 150);
    for caller in callers(&record) {
        let line = record.of_caller(&caller);
        assert!(line.most_slots() <= 10 && line.most_placings_in_a_second() <= 10, "{caller}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_hands_over_while_the_calls_of_the_one_that_stops_are_still_up() {
    const CALLEES: usize = 200;
    // Of different lengths: the first slots are free long before the last call is over.
    let plan = Plan { talk_millis: [2_000, 9_000], ..Plan::default() };
    let (mut site, task) = under_way("handed-over", &plan, CALLEES).await;
    let mut beside = site.start_beside(&plan).await;
    site.daemon.terminate();
    until("a call by the other one", SOON, || (!beside.record().calls.is_empty()).then_some(())).await;
    assert_eq!(site.daemon.exit(SOON).await.code(), Some(0));
    site.ledger.completed(&task, LATER).await;
    beside.daemon.stop(SOON).await;
    site.ledger.settle().await;
    let first = beside.record().calls[0].placed_at;
    let up = site.record().slots_at(first);
    assert!(up > 0, "the calls of the one that stopped were over when the other one began");
    let record = site.record().and(beside.record());
    assert_within_limits(&record);
    assert_agree(&record, &site.ledger.events(), CALLEES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_killed_is_replaced_in_time() {
    const CALLEES: usize = 200;
    let plan = Plan::lasting(3_000);
    let (mut site, task) = under_way("taken-over", &plan, CALLEES).await;
    let mut beside = site.start_beside(&plan).await;
    site.daemon.kill();
    let killed_at = now();
    let open = site.record().in_the_air();
    site.ledger.completed(&task, LATER).await;
    beside.daemon.stop(SOON).await;
    site.ledger.settle().await;
    let after = Duration::from_micros(u64::try_from(beside.record().calls[0].placed_at - killed_at).unwrap());
    assert!(after <= TAKEN_OVER_WITHIN, "the first call came {after:?} after the kill");
    let record = site.record().and(beside.record());
    assert_agree_after_a_crash(&record, &site.ledger.events(), CALLEES);
    assert_within_limits(&record.cut_at(killed_at));
    let unknown = |event: &&Arc<Event>| event.text("result") == "UNKNOWN_OUTCOME";
    let unknown = site.ledger.about("call.ended", &task).iter().filter(unknown).count();
    // Those that were in the air, those that were about to be, and those whose end was not written yet.
    assert!((open..=SLOTS).contains(&unknown), "{unknown} unknown outcomes, {open} calls in the air");
}

/// It sleeps past its lease and wakes up with calls that its successor has settled: neither of them passes a limit
/// meanwhile, and nobody is called again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_suspended_past_its_lease_does_no_harm_when_it_wakes() {
    const CALLEES: usize = 110;
    let plan = Plan { ring_millis: [200, 10_000], ..Plan::lasting(10_000) };
    let (mut site, task) = under_way("suspended", &plan, CALLEES).await;
    let mut beside = site.start_beside(&plan).await;
    site.daemon.suspend();
    let waited = || (beside.record().calls.len() >= IN_THE_AIR).then_some(());
    until("calls by the other one", 2 * SOON, waited).await;
    site.daemon.resume();
    site.ledger.completed(&task, LATER).await;
    stop_both(&mut site, &mut beside).await;
    let record = site.record().and(beside.record());
    assert_within_limits(&record);
    assert_agree_after_a_crash(&record, &site.ledger.events(), CALLEES);
}

/// It dials without a broker, so that everything it has to tell is in its outbox when it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_daemon_had_to_tell_is_told_by_another() {
    const CALLEES: usize = 50;
    let plan = Plan::default();
    let mut site = Site::start("dead", &plan).await;
    site.put_line(0, 100).await;
    let task = site.create("untold", 10).await;
    site.import(&task, &rows(0..CALLEES)).await;
    // The service instance is retired until later, so this one calls nobody.
    site.daemon.stop(SOON).await;
    let mut deaf = site.launch_deaf(&plan);
    until("the deaf one to be up", SOON, || deaf.daemon.logged("lease taken")).await;
    let mut hearing = site.start_beside(&plan).await;
    site.upstream.accept("service-instance.put", &orders::line(orders::LINE, 10, 100)).await;
    until("every call to end", SOON, || (deaf.record().ended() == CALLEES).then_some(())).await;
    deaf.daemon.kill();
    let all = |events: &[Arc<Event>]| events.iter().filter(|event| event.tells("call.ended", &task)).count() == CALLEES;
    site.ledger.wait_until("the dead one's events", SOON, all).await;
    hearing.daemon.stop(SOON).await;
    site.ledger.settle().await;
    assert!(hearing.record().calls.is_empty(), "nobody is left to be called");
    assert_agree_after_a_crash(&deaf.record(), &site.ledger.events(), CALLEES);
}

/// Killed again and again with imports in hand: each is applied once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_in_hand_is_neither_lost_nor_applied_twice() {
    const BATCHES: usize = 60;
    const ROWS: usize = 1_000;
    let mut site = Site::start("in-hand", &Plan::default()).await;
    site.put_mute_line().await;
    let task = site.create("in hand", 10).await;
    for number in 0..BATCHES {
        let callees: Vec<_> = (0..ROWS).map(|row| json!({"calledNumber": orders::number(row)})).collect();
        let batch = format!("batch-{number}");
        let body = json!({"taskId": task, "batchId": batch, "allowDuplicateNumbers": true, "callees": callees});
        site.upstream.send(&harness::upstream::Request::command("callees.import", &body)).await;
    }
    let imported = |site: &Site| {
        let told = site.ledger.about("callees.imported", &task);
        let batches: Vec<_> = told.iter().map(|event| event.text("batchId").to_owned()).collect();
        let events: HashSet<_> = told.iter().map(|event| event.attribute("id").to_owned()).collect();
        (batches.into_iter().collect::<BTreeSet<_>>().len(), events.len())
    };
    for part in [1, BATCHES / 3, 2 * BATCHES / 3] {
        until("another import", SOON, || (imported(&site).0 >= part).then_some(())).await;
        site.daemon.kill();
        site.start_again(&Plan::default()).await;
    }
    until("every import", LATER, || (imported(&site).0 == BATCHES).then_some(())).await;
    site.daemon.stop(SOON).await;
    site.ledger.settle().await;
    assert_eq!(imported(&site), (BATCHES, BATCHES), "batches, and events that tell of them");
    site.start_again(&Plan::default()).await;
    assert_eq!(site.task(&task).await["counts"]["pending"], BATCHES * ROWS);
}

/// The clock of a machine that is an hour ahead.
#[derive(Debug)]
struct AnHourAhead;

impl Clock for AnHourAhead {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + TimeDelta::hours(1)
    }

    fn sleep_until(&self, at: DateTime<Utc>) -> BoxFuture<'_, ()> {
        async move { SystemClock.sleep_until(at - TimeDelta::hours(1)).await }.boxed()
    }

    fn machine_time(&self) -> DateTime<Utc> {
        self.now()
    }
}

/// It would call an hour too early every morning, and too late every evening.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_wrong_clock_calls_nobody_and_leaves_it_to_others() {
    const CALLEES: usize = 20;
    let plan = Plan::default();
    let mut site = Site::on_clock("wrong-clock", &plan, &Arc::new(AnHourAhead)).await;
    site.put_line(10, 100).await;
    let task = site.create("early", 10).await;
    site.import(&task, &rows(0..CALLEES)).await;
    let mut beside = site.start_beside(&plan).await;
    site.ledger.completed(&task, SOON).await;
    beside.daemon.stop(SOON).await;
    site.daemon.stop(SOON).await;
    site.ledger.settle().await;
    assert!(site.record().calls.is_empty(), "it called somebody");
    assert_agree(&beside.record(), &site.ledger.events(), CALLEES);
}
