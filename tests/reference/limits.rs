//! "Task Concurrency": how many calls a task may have, and what counts as one.

use serde_json::Value;

use crate::harness::orders::{self, rows, with};
use crate::harness::patience::LATER;
use crate::harness::plan::Plan;
use crate::harness::record::{Call, Record};
use crate::harness::site::Site;

const SECOND: i64 = 1_000_000;

#[tokio::test]
async fn s08_a_task_has_a_concurrency() {
    let site = Site::start("concurrency", &Plan::lasting(1_200)).await;
    site.put_line(20, 50).await;
    let without = with(orders::task("none", 3), "concurrency", Value::Null);
    site.upstream.reject("task.create", &without, &["REQUIRED concurrency"]).await;
    let task = site.create("three", 3).await;
    assert_eq!(site.task(&task).await["concurrency"], 3);
    site.import(&task, &rows(0..6)).await;
    site.ledger.completed(&task, LATER).await;
    assert_eq!(most_up(&site.record()), 3);
}

/// The most calls that were up at once.
fn most_up(record: &Record) -> usize {
    let up = |at: i64| record.calls.iter().filter(|call| call.placed_at <= at && end(call) > at).count();
    record.calls.iter().map(|call| up(call.placed_at)).max().unwrap()
}

fn end(call: &Call) -> i64 {
    call.end.as_ref().map_or(i64::MAX, |(_, at)| *at)
}

/// Numbers with an odd end are busy at once, the others talk beyond a second.
#[tokio::test]
async fn s09_the_concurrency_counts_calls_initiated_per_second_and_calls_in_progress() {
    const CONCURRENCY: usize = 4;
    let force = ["1", "3", "5", "7", "9"].map(|ending| (ending, "USER_BUSY")).to_vec();
    let plan = Plan { ring_millis: [10, 10], force, ..Plan::lasting(1_500) };
    let site = Site::start("calculation", &plan).await;
    site.put_line(20, 50).await;
    let task = site.create("counted", 4).await;
    site.import(&task, &rows(0..12)).await;
    site.ledger.completed(&task, LATER).await;
    let calls = site.record().calls;
    assert_eq!(calls.len(), 12);
    let initiated = |at: i64| calls.iter().filter(|call| (at - SECOND + 1..=at).contains(&call.placed_at)).count();
    let earlier = |at: i64| calls.iter().filter(|call| call.placed_at <= at - SECOND && end(call) > at).count();
    let sums: Vec<usize> = calls.iter().map(|call| initiated(call.placed_at) + earlier(call.placed_at)).collect();
    assert_eq!(sums.iter().max(), Some(&CONCURRENCY), "{sums:?}");
    // Each part matters, or nothing would be shown: there were calls that had ended within their second, and others
    // that went on beyond it.
    assert!(calls.iter().any(|call| end(call) < call.placed_at + SECOND));
    assert!(calls.iter().any(|call| earlier(call.placed_at) > 0), "no call was placed beside one in progress");
}
