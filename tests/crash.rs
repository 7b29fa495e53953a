//! A daemon is killed with calls in the air: the next one closes them, calls nobody again, and goes on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod harness;

use std::collections::HashSet;

use harness::agreement::assert_agree_after_a_crash;
use harness::orders::rows;
use harness::patience::{LATER, SOON, until};
use harness::plan::Plan;
use harness::site::Site;

/// Calls in the air when it is killed.
const IN_THE_AIR: usize = 100;

const SLOTS: usize = 120;
const PACE: usize = 60;
const CALLEES: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_on_the_line_in_a_crash_is_told_of_and_not_called_again() {
    let mut site = Site::start("killed", &Plan::lasting(4_000)).await;
    site.put_line(1_000, u32::try_from(PACE).unwrap()).await;
    let task = site.create("interrupted", u32::try_from(SLOTS).unwrap()).await;
    site.import(&task, &rows(0..CALLEES)).await;
    let enough = || (site.record().in_the_air() >= IN_THE_AIR).then_some(());
    until("100 calls in the air", SOON, enough).await;
    site.daemon.kill();
    let killed = site.record();
    site.start_again(&Plan::lasting(1_000)).await;
    site.ledger.completed(&task, LATER).await;
    site.daemon.stop(SOON).await;
    site.ledger.settle().await;
    let record = site.record();
    assert_agree_after_a_crash(&record, &site.ledger.events(), CALLEES);
    let called: HashSet<_> = record.calls.iter().map(|call| &call.called).collect();
    assert_eq!(called.len(), record.calls.len(), "somebody was called twice");
    let unknown: Vec<_> = site
        .ledger
        .about("call.ended", &task)
        .into_iter()
        .filter(|event| event.text("result") == "UNKNOWN_OUTCOME")
        .collect();
    assert!(unknown.len() >= killed.in_the_air(), "{} of {} calls", unknown.len(), killed.in_the_air());
    for event in unknown {
        let data = event.data();
        assert_eq!((&data["counted"], &data["final"]), (&true.into(), &true.into()), "{data}");
    }
    let afterwards = record.only(|call| killed.calls.iter().all(|before| before.id != call.id));
    assert!(afterwards.most_slots() <= SLOTS);
    assert!(record.most_placings_in_a_second() <= PACE, "the pace holds across a takeover too");
}
