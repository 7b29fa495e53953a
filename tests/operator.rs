//! The operator's endpoint: what it shows of a daemon, and that a daemon never depends on it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod harness;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use harness::operator::{Operator, Scrape};
use harness::orders;
use harness::patience::{SOON, until};
use harness::plan::Plan;
use harness::site::Site;
use serde_json::json;

const ANY_PORT: &str = "127.0.0.1:0";

async fn scraped(operator: Operator, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
    until(what, SOON, || Some(operator.scrape()).filter(|scrape| holds(scrape))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_count_what_the_events_tell() {
    let plan = Plan { admin: ANY_PORT, results: vec![("ANSWERED", 2), ("USER_BUSY", 1)], ..Plan::default() };
    let site = Site::start("operator-metrics", &plan).await;
    let operator = Operator::of(&site.daemon).await;
    site.put_line(7, 100).await;
    let task = site.create("counted", 100).await;
    site.import(&task, &orders::rows(0..40)).await;
    site.upstream.reject("task.start", &json!({"taskId": task}), &["WRONG_STATE"]).await;
    let ended = until("forty calls to end", SOON, || {
        Some(site.ledger.about("call.ended", &task)).filter(|ended| ended.len() == 40)
    })
    .await;
    let scrape = scraped(operator, "slots to come free, and events to be confirmed", |scrape| {
        scrape.sum("calltaskd_slots_held", &[]) == 0.0 && scrape.sum("calltaskd_outbox_waiting", &[]) == 0.0
    })
    .await;
    for result in ["ANSWERED", "USER_BUSY"] {
        let told = ended.iter().filter(|event| event.data()["result"] == result).count();
        let labels = [("trunk", "simulated"), ("result", result), ("scope", "CALLEE")];
        assert_eq!(scrape.sum("calltaskd_calls_ended_total", &labels), told as f64, "{result} in {}", scrape.text());
    }
    let sum = |metric: &str, labels: &[(&str, &str)]| scrape.sum(metric, labels);
    assert_eq!(sum("calltaskd_calls_placed_total", &[("trunk", "simulated")]), 40.0);
    assert_eq!(sum("calltaskd_slots_limit", &[("service_instance", orders::LINE)]), 7.0);
    assert_eq!(sum("calltaskd_lease_held", &[("service_instance", orders::LINE)]), 1.0);
    let imports = [("command", "callees.import"), ("outcome", "accepted")];
    assert_eq!(sum("calltaskd_commands_total", &imports), 1.0);
    assert_eq!(sum("calltaskd_commands_total", &[("command", "task.start"), ("outcome", "rejected")]), 1.0);
    assert!(sum("calltaskd_events_confirmed_total", &[]) >= 41.0);
    assert!(!scrape.text().contains("+49"), "a number in {}", scrape.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_without_a_server_is_seen() {
    let closed = free_address();
    let trunk = |name: &str, more: &str| {
        format!("[trunks.{name}]\nkind = \"sip\"\naddress = \"{closed}\"\noptions_seconds = 1\n{more}")
    };
    let more = "[sip]\nbind = \"udp:127.0.0.1:0\"\n".to_owned()
        + &trunk("silent", "")
        + &trunk("unconnected", "transport = \"tcp\"\n");
    let site = Site::start("operator-trunks", &Plan { admin: ANY_PORT, more, ..Plan::default() }).await;
    let operator = Operator::of(&site.daemon).await;
    scraped(operator, "both servers to be down", |scrape| {
        ["silent", "unconnected"].iter().all(|trunk| {
            let of = |state| scrape.sum("calltaskd_trunk_servers", &[("trunk", *trunk), ("state", state)]);
            (of("up"), of("down")) == (0.0, 1.0)
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_ends_with_the_drain_and_life_does_not() {
    let plan = Plan { admin: ANY_PORT, ..Plan::lasting(5_000) };
    let mut site = Site::start("operator-health", &plan).await;
    let operator = Operator::of(&site.daemon).await;
    let status = |path: &str| operator.ask(path).map(|answer| answer.status);
    assert_eq!((status("/health/live"), status("/health/ready")), (Some(200), Some(200)));
    assert_eq!(status("/"), Some(404));
    site.put_line(1, 1).await;
    let task = site.create("talks", 1).await;
    site.import(&task, &orders::rows(0..1)).await;
    scraped(operator, "a call", |scrape| scrape.sum("calltaskd_slots_held", &[]) == 1.0).await;
    site.daemon.terminate();
    until("the daemon to be ready no more", SOON, || (status("/health/ready") == Some(503)).then_some(())).await;
    assert_eq!(status("/health/live"), Some(200), "its call goes on");
    site.daemon.stop(SOON).await;
}

/// Two daemons of one host, with the same settings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_taken_stops_nobody_and_is_taken_over() {
    let address = free_address();
    let plan = Plan { admin: Box::leak(address.to_string().into_boxed_str()), ..Plan::default() };
    let mut site = Site::start("operator-shared", &plan).await;
    let operator = Operator::of(&site.daemon).await;
    let beside = site.start_beside(&plan).await;
    let refused = "the operator's endpoint cannot be opened; it is tried again";
    until("the other to miss its endpoint", SOON, || beside.daemon.logged(refused)).await;
    assert_eq!(operator.ask("/health/ready").unwrap().status, 200);
    site.daemon.stop(SOON).await;
    let opened = "the operator's endpoint is open";
    until("the other to take it", Duration::from_secs(30), || beside.daemon.logged(opened)).await;
    assert_eq!(Operator::at(address).ask("/health/ready").unwrap().status, 200);
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
