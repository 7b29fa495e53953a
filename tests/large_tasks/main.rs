//! A task of a million callees: asked about, listed, deleted, and removed while another one dials.
//!
//! `CALLTASKD_TEST_MILLION` says how many; `make accept` makes it a million. What a question costs is judged by the rows
//! that Postgres reads for it, never by a clock. The tables are filled directly (`crowd.rs`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

#[path = "../harness/mod.rs"]
mod harness;

mod crowd;
mod pages;
mod reads;
mod remains;

use std::time::{Duration, Instant};

use crowd::{Crowd, Stage};
use harness::orders::{self, rows};
use harness::patience::{LATER, SOON, until};
use harness::plan::Plan;
use harness::site::Site;
use remains::Remains;
use serde_json::{Value, json};

/// Calls per second of the task beside.
const BUSY_CPS: u32 = 100;
/// The longest that its calls are counted while rows go.
const LONGEST_LOOK: Duration = Duration::from_secs(20);
/// What must be left of its rate, where rows go long enough to compare. It loses nothing where nothing else runs.
const LEAST_RATIO: f64 = 0.7;
/// Of fewer, the rows are gone in a second or two, in which a rate says nothing.
const ENOUGH_TO_COMPARE: i64 = 500_000;
/// Of what a task has, so much may be read to answer for it, to stop or to delete it.
const MOST_READ: f64 = 0.02;

fn million() -> i64 {
    std::env::var("CALLTASKD_TEST_MILLION").map_or(60_000, |rows| rows.parse().unwrap())
}

fn plan() -> Plan {
    Plan { ring_millis: [0, 0], talk_millis: [0, 0], ..Plan::default() }
}

/// Two tasks that differ in their size alone, and the daemon stopped.
async fn site_with_crowds(name: &str) -> (Site, [(String, Crowd); 2]) {
    let mut site = Site::start(name, &plan()).await;
    site.put_line(1_000, BUSY_CPS).await;
    let crowds = [1_000, million()].map(|callees| Crowd { callees });
    let tasks = [site.create("small", 10).await, site.create("large", 10).await];
    site.daemon.stop(SOON).await;
    for (task, crowd) in tasks.iter().zip(crowds) {
        crowd.write(site.place(), task).await;
    }
    let [small, large] = tasks;
    (site, [(small, crowds[0]), (large, crowds[1])])
}

fn counts(crowd: Crowd) -> Value {
    let pending = crowd.how_many(|stage| matches!(stage, Stage::Fresh | Stage::Waiting));
    let completed = crowd.how_many(|stage| matches!(stage, Stage::Completed(_)));
    let failed = crowd.how_many(|stage| stage == Stage::Cancelled);
    json!({"pending": pending, "calling": 0, "completed": completed, "failed": failed})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_million_callees_is_found_by_index() {
    let (mut site, [_, (task, crowd)]) = site_with_crowds("pages").await;
    reads::forget(&site).await;
    site.start_again(&plan()).await;
    pages::look_through(&site, &task, crowd).await;
    site.daemon.stop(SOON).await;
    let whole = reads::whole_tables(&site).await;
    println!("{} callees: tables read as a whole: {whole:?}", crowd.callees);
    // Of a small table Postgres rightly reads all when it needs much.
    assert!(crowd.callees < ENOUGH_TO_COMPARE || whole.is_empty(), "{whole:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_of_a_million_callees_is_asked_about_and_deleted_as_fast_as_a_small_one() {
    let (mut site, tasks) = site_with_crowds("deleted").await;
    site.start_again(&plan()).await;
    reads::forget(&site).await;
    for (task, crowd) in &tasks {
        let told = site.task(task).await;
        assert_eq!(told["counts"], counts(*crowd));
        let listed = site.upstream.query("task.list", &json!({"name": told["name"]})).await;
        assert_eq!(listed["items"].as_array().unwrap().len(), 1);
        site.upstream.accept("task.update", &json!({"taskId": task, "concurrency": 11})).await;
        let began = Instant::now();
        site.upstream.accept("task.delete", &json!({"taskId": task})).await;
        println!("the delete of {} callees was answered within {:?}", crowd.callees, began.elapsed());
        let deleted = site.ledger.first("task.deleted", SOON, |event| event.tells("task.deleted", task)).await;
        assert_eq!(deleted.data()["counts"], counts(*crowd));
    }
    site.daemon.stop(SOON).await;
    let read = reads::rows(&site).await;
    let callees = million();
    println!("{read} rows were read for all that, of tasks with {callees} callees and a thousand");
    assert!(read as f64 <= 2_000.0 + callees as f64 * MOST_READ, "{read} rows");
}

/// Placings per second from one moment to another.
fn rate(site: &Site, before: usize, began: Instant) -> f64 {
    (site.record().calls.len() - before) as f64 / began.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_task_dials_on_while_a_million_rows_go() {
    let (mut site, [_, (task, crowd)]) = site_with_crowds("purged").await;
    site.start_again(&plan()).await;
    let busy = site.create_as(&orders::task("busy", 1_000)).await;
    // Enough for the purge of a million and a look afterwards.
    site.import(&busy, &rows(0..10_000 + usize::try_from(crowd.callees).unwrap() / 20)).await;
    until("the other task to dial", SOON, || (site.record().calls.len() > 200).then_some(())).await;
    site.upstream.accept("task.delete", &json!({"taskId": task})).await;
    let mut remains = Remains::of(site.place(), task, crowd.callees).await;

    // The first round of another daemon's janitor begins at once.
    let _beside = site.start_beside(&plan()).await;
    let begun = remains.until_left(crowd.callees - 1, SOON).await;
    assert!(begun < crowd.callees, "nothing was removed");
    let (before, began) = (site.record().calls.len(), Instant::now());
    let left = remains.until_left(0, LONGEST_LOOK).await;
    let (during, looked) = (rate(&site, before, began), began.elapsed());
    let gone = remains.until_left(0, LATER + Duration::from_millis(crowd.callees.unsigned_abs())).await;
    assert_eq!(gone, 0, "the rows are not gone");
    println!("the rows of {} callees went within {:?}", crowd.callees, began.elapsed());
    let (before, began) = (site.record().calls.len(), Instant::now());
    tokio::time::sleep(looked.max(Duration::from_secs(2))).await;
    let after = rate(&site, before, began);
    let removed = begun - left;
    println!("{during:.1} calls per second while {removed} rows went in {looked:?}, {after:.1} afterwards");
    assert!(removed > 0, "nothing was removed meanwhile");
    assert!(during > 0.0, "the other task stood still");
    let is_slowed = crowd.callees >= ENOUGH_TO_COMPARE && during < after * LEAST_RATIO;
    assert!(!is_slowed, "the other task was slowed: {during:.1} and {after:.1} calls per second");
}
