//! Trunks that are not there, or only partly; and a daemon that was not there for a while.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::cases::{answered, assert_tells, case, rung};
use crate::exchange::{Case, Exchange, Other};
use crate::harness::patience::{SOON, until};
use crate::harness::site::folder;
use crate::sipp::{Counted, Ports, Sipp, play};
use crate::{ports, tools};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_do_not_answer() {
    const TCP: &str = "transport = \"tcp\"";
    let cases = [
        Case { carrier: Other::Silent, ..case("silent", play("refuses")) },
        // The first server's connection is refused, so the second may be tried.
        Case {
            trunk: TCP,
            closed_first: true,
            ..answered("second-server", play("answers_and_hangs_up").over_tcp(), play("agent"))
        },
        answered("stays-healthy", play("answers_and_hangs_up"), play("agent")),
    ];
    let exchange = Exchange::open("absence", &cases).await;
    for name in ["second-server", "stays-healthy"] {
        let talked = json!({"result": "ANSWERED", "hangupBy": "CALLEE", "counted": true});
        assert_tells(exchange.ended(name).await[0].data(), name, &talked);
    }
    let lost = json!({"result": "NETWORK_BUSY", "scope": "TRUNK", "counted": false, "final": false,
        "ringingAt": null, "sip.status": 408, "sip.rule": "local-no-reply"});
    assert_tells(exchange.ended("silent").await[0].data(), "silent", &lost);
    exchange.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_without_a_connection_gets_its_calls_when_there_is_one() {
    let port = ports::free();
    let absent = answered("absent", play("refuses"), play("agent"));
    let cases = [Case { carrier: Other::Absent, trunk_port: port, trunk: "transport = \"tcp\"", ..absent }];
    let exchange = Exchange::open("unconnected", &cases).await;
    let said = "ALARM: no connection to a server of the trunk";
    until("the daemon to miss the connection", SOON, || exchange.site.daemon.has_logged(said).then_some(())).await;
    let script = play("answers_and_hangs_up").over_tcp();
    let folder = folder("unconnected-carrier");
    let carrier = Sipp::launch(&tools::path("sipp"), &folder, script, Ports { own: port, told: 0 });
    let ended = exchange.ended("absent").await;
    assert_tells(ended[0].data(), "absent", &json!({"result": "ANSWERED", "attempt": 1}));
    assert_eq!(carrier.finish(SOON).await, Counted { successful: 1, failed: 0 });
    exchange.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_are_asked_whether_they_are_there() {
    let cases = [
        Case { trunk: "options_seconds = 1", callees: 12, ..case("asked", play("is_asked").times(12)) },
        Case { carrier: Other::Absent, trunk: "transport = \"tcp\"", ..case("absent", play("is_asked")) },
    ];
    let exchange = Exchange::idle("options", &cases).await;
    let check = exchange.site.command(&["check", "--connect", "--json"]).output().unwrap();
    assert_eq!(check.status.code(), Some(1), "a trunk is not there: {check:?}");
    let told: Value = serde_json::from_slice(&check.stdout).unwrap();
    assert_eq!(told["status"], "UNREACHABLE");
    let servers = told["servers"].as_array().unwrap();
    let of = |trunk: &str| servers.iter().find(|server| server["trunk"] == trunk).unwrap();
    assert_eq!(of("asked")["sipStatus"], 200, "{told}");
    assert!(of("absent")["error"].as_str().unwrap().contains("refused"), "{told}");
    exchange.finish_carrier("asked").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_that_fails_every_call_is_left_alone() {
    const CALLS: usize = 8;
    let refuses = play("refuses").saying("403 Forbidden").times(100);
    let cases = [Case { callees: 30, concurrency: 1, ..case("forbids", refuses) }];
    let exchange = Exchange::open("breaker", &cases).await;
    let ended = exchange.some_ended("forbids", CALLS).await;
    let at = |index: usize| ended[index].data()["startedAt"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    let gap = |index: usize| (at(index + 1) - at(index)).as_seconds_f64();
    // Five in a row may be chance; then it gets one call after a second, after two more, after four more.
    assert!(gap(4) >= 0.9 && gap(5) >= 1.9 && gap(6) >= 3.9, "{:?}", (0..CALLS - 1).map(gap).collect::<Vec<_>>());
    assert!(exchange.site.daemon.has_logged("ALARM: the trunk fails calls; it gets none for a while"));
    exchange.abandon().await;
}

/// Beyond the ring timeout of these tests, and longer than a refusal takes to come.
const AWAY: Duration = Duration::from_secs(12);

/// What was said to a suspended daemon lies in its socket when it wakes, and so do its timers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wakes_hears_first_what_was_said_meanwhile() {
    let mut exchange = Exchange::open("suspended", &[rung("busy", "486 Busy Here")]).await;
    until("the call to ring", SOON, || exchange.has_sent("busy-carrier", "180 Ringing").then_some(())).await;
    exchange.site.daemon.suspend();
    assert!(!exchange.has_sent("busy-carrier", "486 Busy Here"), "suspended too late to show anything");
    let asleep = Instant::now();
    until("the ring timeout to be over", 2 * AWAY, || (asleep.elapsed() > AWAY).then_some(())).await;
    exchange.site.daemon.resume();
    let busy = json!({"result": "USER_BUSY", "scope": "CALLEE", "sip.status": 486});
    assert_tells(exchange.ended("busy").await[0].data(), "busy", &busy);
    exchange.close().await;
}
