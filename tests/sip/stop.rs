//! A stop takes back what rings and leaves what talks to whoever follows.

use std::time::Duration;

use serde_json::json;

use crate::cases::{answered, assert_tells, case};
use crate::exchange::{Case, Exchange, Other};
use crate::harness::patience::{SOON, until};
use crate::sipp::play;
use crate::survival::all_joined;

/// The grace of these tests is a second.
const STOPPED: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_takes_back_what_rings() {
    let mut exchange = Exchange::open("stop", &[case("ringing", play("goes_on").saying("180 Ringing"))]).await;
    let rings = || exchange.has_sent("ringing-carrier", "180 Ringing");
    until("the call to ring", SOON, || rings().then_some(())).await;
    exchange.site.daemon.terminate();
    assert_eq!(exchange.site.daemon.exit(STOPPED).await.code(), Some(0));
    exchange.site.ledger.settle().await;
    let cancelled = json!({"result": "CANCEL", "scope": "LOCAL", "counted": false, "final": false, "answeredAt": null});
    assert_tells(exchange.ended("ringing").await[0].data(), "ringing", &cancelled);
    exchange.compare().await;
}

/// No CANCEL is sent before the first response; if that is the last one, the callee refused and was not taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_refuses_before_a_stop_can_take_the_call_back_has_refused() {
    let busy = play("refuses_after_a_while").saying("486 Busy Here").pausing(4_000);
    let mut exchange = Exchange::open("stop-refused", &[case("refused", busy)]).await;
    let is_called = || !exchange.numbers_of("refused-carrier").is_empty();
    until("the call to be placed", SOON, || is_called().then_some(())).await;
    exchange.site.daemon.terminate();
    assert_eq!(exchange.site.daemon.exit(STOPPED).await.code(), Some(0));
    exchange.site.ledger.settle().await;
    let busy = json!({"result": "USER_BUSY", "scope": "CALLEE", "counted": true, "sip.status": 486});
    assert_tells(exchange.ended("refused").await[0].data(), "refused", &busy);
    exchange.compare().await;
}

/// Both sides talk on without the daemon; its successor ends their call when the time is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_leaves_what_talks_to_the_next_daemon() {
    let mut exchange = Exchange::open("handed-over", &[answered("talking", play("answers"), play("agent"))]).await;
    all_joined(&exchange, 1).await;
    exchange.site.daemon.terminate();
    let status = exchange.site.daemon.exit(STOPPED).await;
    assert_eq!(status.code(), Some(0), "a call that is handed over is no failure");
    assert!(exchange.site.ledger.events().iter().all(|event| event.kind() != "call.ended"), "it goes on");
    exchange.start_again().await;
    let limited =
        json!({"result": "ANSWERED", "hangupBy": "SYSTEM", "talkSeconds": 10, "counted": true, "final": true});
    assert_tells(exchange.ended("talking").await[0].data(), "talking", &limited);
    exchange.close().await;
}

/// The grace, 64*T1 for the trunk that says nothing, and a little.
const GIVEN_UP: Duration = Duration::from_secs(45);

/// It must not be cancelled before the trunk has said anything, and the callee must not pay for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_until_a_silent_trunk_is_given_up() {
    let case = Case { carrier: Other::Silent, ..case("silent", play("refuses")) };
    let mut exchange = Exchange::open("silent-stop", &[case]).await;
    exchange.is_called("silent").await;
    exchange.site.daemon.terminate();
    assert_eq!(exchange.site.daemon.exit(GIVEN_UP).await.code(), Some(0), "the stop is clean");
    exchange.site.ledger.settle().await;
    let uncounted = json!({"result": "CANCEL", "scope": "LOCAL", "counted": false, "final": false, "answeredAt": null});
    assert_tells(exchange.ended("silent").await[0].data(), "silent", &uncounted);
}
