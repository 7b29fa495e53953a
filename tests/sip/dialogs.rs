//! What goes wrong between two user agents, and what changes while they talk (RFC 3261, sections 9, 13 and 14).

use std::time::Duration;

use serde_json::json;

use crate::endings::{answered, assert_tells, case, play_all};
use crate::exchange::{Case, Exchange};
use crate::harness::patience::{SOON, until};
use crate::sipp::play;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_crossing_and_changing_messages() {
    let talked = || json!({"result": "ANSWERED", "hangupBy": "CALLEE", "counted": true});
    let table = [
        (
            Case {
                loses_each_once: true,
                ..answered("lossy", play("answers_and_hangs_up"), play("agent").pausing(3_000))
            },
            talked(),
        ),
        (
            case("too-late", play("answers_too_late")),
            json!({"result": "NO_ANSWER", "counted": true, "sip.status": 200, "answeredAt": null}),
        ),
        (answered("two-phones", play("two_phones_answer"), play("agent").pausing(2_000)), talked()),
        (answered("changes", play("changes_its_mind"), play("agent_follows")), talked()),
        (answered("crossing", play("crosses_an_offer"), play("agent")), talked()),
    ];
    play_all("dialogs", &table).await;
}

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
