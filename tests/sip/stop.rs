//! A stop takes back what rings and hangs up what talks.

use std::time::Duration;

use serde_json::json;

use crate::cases::{answered, assert_tells, case};
use crate::exchange::Exchange;
use crate::harness::patience::{SOON, until};
use crate::sipp::play;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_takes_back_what_rings_and_hangs_up_what_talks() {
    let cases =
        [case("ringing", play("goes_on").saying("180 Ringing")), answered("talking", play("answers"), play("agent"))];
    let mut exchange = Exchange::open("stop", &cases).await;
    let up = || exchange.has_sent("ringing-carrier", "180 Ringing") && exchange.has_sent("talking-agent", "200 OK");
    until("one call to ring and one to be answered", SOON, || up().then_some(())).await;
    exchange.site.daemon.terminate();
    let status = exchange.site.daemon.exit(Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(0));
    exchange.site.ledger.settle().await;
    let cancelled = json!({"result": "CANCEL", "scope": "LOCAL", "counted": false, "final": false, "answeredAt": null});
    assert_tells(exchange.ended("ringing").await[0].data(), "ringing", &cancelled);
    let cut = json!({"result": "ANSWERED", "hangupBy": "SYSTEM", "counted": true, "final": true});
    assert_tells(exchange.ended("talking").await[0].data(), "talking", &cut);
    exchange.compare().await;
}
