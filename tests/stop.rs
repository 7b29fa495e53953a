//! A stop cuts no call that can end within the grace, counts none that it has to cut, and leaves the rest to the
//! next daemon.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod harness;

use std::collections::HashSet;
use std::time::Duration;

use lapin::uri::AMQPUri;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use harness::downstream::Event;
use harness::orders::rows;
use harness::patience::{LATER, SOON, until};
use harness::plan::Plan;
use harness::servers::Place;
use harness::site::Site;

/// Calls in the air when the stop comes.
const IN_THE_AIR: usize = 100;

const SLOTS: usize = 120;

async fn start(name: &str, plan: &Plan, callees: usize) -> (Site, String) {
    let site = Site::start(name, plan).await;
    let task = call(&site, callees).await;
    (site, task)
}

async fn call(site: &Site, callees: usize) -> String {
    site.put_line(1_000, 200).await;
    let task = site.create("interrupted", u32::try_from(SLOTS).unwrap()).await;
    site.import(&task, &rows(0..callees)).await;
    let enough = || (site.record().in_the_air() >= IN_THE_AIR).then_some(());
    until("100 calls in the air", SOON, enough).await;
    task
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_the_air_end_by_themselves_and_another_daemon_goes_on() {
    const CALLEES: usize = 300;
    let plan = Plan { grace_seconds: 30, ..Plan::lasting(5_000) };
    let (mut site, task) = start("drained", &plan, CALLEES).await;
    site.daemon.terminate();
    let status = site.daemon.exit(Duration::from_secs(30)).await;
    assert_eq!(status.code(), Some(0));
    let drained = site.record();
    assert!((IN_THE_AIR..=SLOTS).contains(&drained.calls.len()), "{} calls: it went on", drained.calls.len());
    let answered = |call: &harness::record::Call| call.end.as_ref().is_some_and(|(result, _)| result == "ANSWERED");
    assert!(drained.calls.iter().all(answered), "a call was cut");
    // It said everything before it went.
    site.ledger.settle().await;
    let ended = site.ledger.about("call.ended", &task);
    assert_eq!(ended.len(), drained.calls.len());
    assert!(ended.iter().all(|event| event.text("hangupBy") != "SYSTEM"));
    site.start_again(&plan).await;
    site.ledger.completed(&task, LATER).await;
    site.stop_and_compare(CALLEES).await;
    assert_eq!(site.record().calls.len(), CALLEES, "each callee was called once");
    assert!(site.record().most_slots() <= SLOTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_grace_does_not_suffice_for_is_cut_and_not_counted() {
    const CALLEES: usize = 150;
    let long = Plan { grace_seconds: 1, ring_millis: [200, 6_000], ..Plan::lasting(60_000) };
    let (mut site, task) = start("cut", &long, CALLEES).await;
    site.daemon.terminate();
    let status = site.daemon.exit(SOON).await;
    assert_eq!(status.code(), Some(0));
    site.ledger.settle().await;
    let ended = site.ledger.about("call.ended", &task);
    let (cancelled, hung_up): (Vec<_>, Vec<_>) = ended.iter().partition(|event| event.text("result") == "CANCEL");
    println!("{} ringing calls and {} answered ones were cut", cancelled.len(), hung_up.len());
    assert!(!cancelled.is_empty() && !hung_up.is_empty());
    cancelled.iter().for_each(|event| assert_cancelled(event));
    hung_up.iter().for_each(|event| assert_hung_up(event));
    let again: HashSet<_> = cancelled.iter().map(|event| event.text("calleeId").to_owned()).collect();
    site.start_again(&Plan::default()).await;
    site.ledger.completed(&task, LATER).await;
    site.stop_and_compare(CALLEES).await;
    let ended = site.ledger.about("call.ended", &task);
    let second: HashSet<_> = ended
        .iter()
        .filter(|event| event.data()["attempt"] == 2)
        .map(|event| event.text("calleeId").to_owned())
        .collect();
    assert_eq!(second, again, "who was cancelled, and nobody else, is called again");
}

fn assert_cancelled(event: &Event) {
    let data = event.data();
    assert_eq!((&data["counted"], &data["final"]), (&false.into(), &false.into()), "{data}");
    assert!(data["redialAt"].is_string() && data.get("answeredAt").is_none(), "{data}");
    assert_eq!(event.routing_key, "call.ended.redial");
}

fn assert_hung_up(event: &Event) {
    let data = event.data();
    let told = (event.text("result"), event.text("hangupBy"), &data["final"]);
    assert_eq!(told, ("ANSWERED", "SYSTEM", &true.into()), "{data}");
    assert_eq!(event.routing_key, "call.ended.final");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_broker_a_stop_is_clean_and_the_next_daemon_tells_the_rest() {
    const CALLEES: usize = 200;
    const GRACE: Duration = Duration::from_secs(40);
    let plan = Plan { grace_seconds: 40, ..Plan::lasting(3_000) };
    let (mut site, shut) = Site::behind("without-broker", &plan, door).await;
    let task = call(&site, CALLEES).await;
    shut.cancel();
    site.daemon.terminate();
    // It does not wait for the grace to be over.
    let status = site.daemon.exit(GRACE).await;
    assert_eq!(status.code(), Some(0));
    let called = site.record().calls.len();
    assert!(called < CALLEES, "it went on");
    let untold = called - site.ledger.about("call.ended", &task).len();
    assert!(untold >= IN_THE_AIR / 2, "only {untold} calls were not told of: that shows nothing");
    site.start_again(&plan).await;
    site.ledger.completed(&task, LATER).await;
    site.stop_and_compare(CALLEES).await;
    assert_eq!(site.record().calls.len(), CALLEES, "each callee was called once");
}

/// A way to the broker that can be shut: then its connections end, and no more are accepted.
async fn door(place: &Place) -> (Place, CancellationToken) {
    let uri: AMQPUri = place.amqp_url.parse().unwrap();
    let server = format!("{}:{}", uri.authority.host, uri.authority.port);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let amqp_url = place.amqp_url.replace(&server, &address);
    assert_ne!(amqp_url, place.amqp_url);
    let shut = CancellationToken::new();
    let is_shut = shut.clone();
    tokio::spawn(shut.clone().run_until_cancelled_owned(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(is_shut.clone().run_until_cancelled_owned(async move {
                let mut server = TcpStream::connect(server).await?;
                copy_bidirectional(&mut client, &mut server).await
            }));
        }
    }));
    (Place { amqp_url, ..place.clone() }, shut)
}
