//! A cancel and a claim that meet: after a reply that says cancelled, the carrier must never see that callee again.
//!
//! Each round imports one callee into a running task and cancels it a moment later. The moment follows the last
//! round's outcome, so that both sides win about as often. `CALLTASKD_TEST_CANCELS` says how many rounds; for the
//! acceptance it is 10,000.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod harness;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use harness::downstream::Event;
use harness::orders::{number, row};
use harness::patience::{LATER, until};
use harness::plan::Plan;
use harness::site::Site;
use serde_json::json;

const ROUNDS: usize = 300;
/// Tasks side by side.
const LANES: usize = 8;
/// Between these, by an eighth each time, the delay finds the time that a claim takes on this machine, whatever it is.
const SHORTEST: Duration = Duration::from_micros(200);
const LONGEST: Duration = Duration::from_secs(2);

fn rounds() -> usize {
    std::env::var("CALLTASKD_TEST_CANCELS").map_or(ROUNDS, |rounds| rounds.parse().unwrap())
}

#[allow(clippy::disallowed_methods, reason = "compared with the carrier's record, which has the machine's time")]
fn now_micros() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// Every third callee is called again at once, over and over, so that waiting ones are raced for as well.
fn plan() -> Plan {
    let again = "CANCEL,CANCEL,CANCEL,CANCEL,ANSWERED";
    let force = vec![("0", again), ("3", again), ("6", again)];
    Plan { force, ring_millis: [1, 3], talk_millis: [1, 3], ..Plan::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_cancelled_is_not_dialled_any_more() {
    let mut site = Site::start("cancel-race", &plan()).await;
    site.put_line(100_000, 100_000).await;
    let rounds = rounds() / LANES * LANES;
    let lanes = (0..LANES).map(|lane| race(&site, lane, rounds / LANES));
    let cancelled: HashMap<String, i64> = futures_util::future::join_all(lanes).await.into_iter().flatten().collect();
    let is_done = |events: &[Arc<Event>]| events.iter().filter(|event| event.is_final()).count() >= rounds;
    until("every final event", LATER, || is_done(&site.ledger.events()).then_some(())).await;
    let record = site.record();
    let is_late = |placed_at: i64, called: &str| cancelled.get(called).is_some_and(|at| placed_at > *at);
    let too_late: Vec<_> = record.calls.iter().filter(|call| is_late(call.placed_at, &call.called)).collect();
    let waiting = record.calls.iter().filter(|call| cancelled.contains_key(&call.called)).count();
    let claimed = rounds - cancelled.len();
    println!("{rounds} rounds: {} cancelled ({waiting} calls before), {claimed} claimed", cancelled.len());
    assert!(too_late.is_empty(), "dialled after the reply: {too_late:?}");
    assert!(cancelled.len() >= rounds / 10 && claimed >= rounds / 10, "one side hardly ever won");
    site.stop_and_compare(rounds).await;
}

/// One task, callee after callee; gives the numbers that were cancelled, with when that was known.
async fn race(site: &Site, lane: usize, rounds: usize) -> HashMap<String, i64> {
    let task = site.create(&format!("raced {lane}"), 1_000).await;
    let (mut cancelled, mut delay) = (HashMap::new(), Duration::from_millis(2));
    for index in lane * rounds..(lane + 1) * rounds {
        site.import(&task, &[row(index)]).await;
        tokio::time::sleep(delay).await;
        let body = json!({"taskId": task, "outIds": [format!("out-{index}")]});
        let reply = site.upstream.accept("callees.cancel", &body).await;
        if reply["result"] == "ALL_SUCCEEDED" {
            cancelled.insert(number(index), now_micros());
            delay = (delay * 9 / 8).min(LONGEST);
        } else {
            assert_eq!(reply["failed"][0]["code"], "NOT_PENDING", "{reply}");
            delay = (delay * 8 / 9).max(SHORTEST);
        }
    }
    cancelled
}
