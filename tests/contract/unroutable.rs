//! Events that no queue is bound for wait until one is, and nobody waits for them.

use std::sync::Arc;

use serde_json::json;

use crate::harness::downstream::Event;
use crate::harness::orders::rows;
use crate::harness::patience::{LATER, SOON};
use crate::harness::plan::Plan;
use crate::harness::site::Site;

#[tokio::test]
async fn an_event_without_a_queue_is_kept_until_there_is_one() {
    let mut site = Site::listening("unroutable", &Plan::default(), &["task.completed"]).await;
    site.put_line(20, 50).await;
    let task = site.create("unheard", 20).await;
    site.import(&task, &rows(0..40)).await;
    let completed = site.ledger.completed(&task, SOON).await;
    assert_eq!(completed.data()["counts"]["completed"], 40, "the dialling went on");
    assert_eq!(site.record().ended(), 40);
    assert_eq!(site.ledger.events().len(), 1, "there is a queue for nothing else");
    site.ledger.bind("#").await;
    let all = |events: &[Arc<Event>]| {
        let ids: std::collections::HashSet<_> = events.iter().map(|event| event.attribute("id")).collect();
        // Creation, import, running, 40 ends, completion.
        ids.len() == 44
    };
    site.ledger.wait_until("the events that were parked", LATER, all).await;
    // One that is new goes the usual way.
    site.import(&task, &rows(40..41)).await;
    let reopened = |event: &Event| event.tells("task.running", &task) && event.text("previousState") == "COMPLETED";
    site.ledger.first("the next event", SOON, reopened).await;
    let finals = |events: &[Arc<Event>]| events.iter().any(|event| event.text("outId") == "out-40");
    site.ledger.wait_until("the last call", SOON, finals).await;
    site.stop_and_compare(41).await;
}

/// Also over the end of the daemon that parked it.
#[tokio::test]
async fn a_parked_event_outlives_its_daemon() {
    let mut site = Site::listening("unroutable-restart", &Plan::default(), &[]).await;
    site.put_mute_line().await;
    let task = site.create("unheard", 5).await;
    site.daemon.stop(SOON).await;
    site.ledger.bind("#").await;
    site.start_again(&Plan::default()).await;
    let is_created = |event: &Event| event.tells("task.created", &task);
    let created = site.ledger.first("the event that was parked", LATER, is_created).await;
    assert_eq!(created.data()["counts"], json!({"pending": 0, "calling": 0, "completed": 0, "failed": 0}));
}
