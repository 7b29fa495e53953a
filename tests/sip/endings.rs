//! How calls end: what the carrier and the agent do, and what the event tells. All of it goes on side by side, in one
//! daemon.

use serde_json::{Value, json};

use crate::cases::{Table, answered, assert_tells, case, refused, rung, seconds_between, without_agent};
use crate::exchange::{Case, Exchange, Other};
use crate::sipp::play;

fn answered_calls() -> Table {
    const LATE: &str = "offer = \"late\"";
    let talked = |by: &str| {
        json!({"result": "ANSWERED", "hangupBy": by, "scope": "CALLEE", "counted": true, "final": true,
        "sip.status": 200})
    };
    vec![
        (
            Case {
                callees: 5,
                ..answered("callee-ends", play("answers_and_hangs_up").times(5), play("agent").times(5))
            },
            talked("CALLEE"),
        ),
        (answered("agent-ends", play("answers"), play("agent_hangs_up")), talked("AGENT")),
        (answered("slow-agent", play("answers_and_hangs_up"), play("agent").pausing(4_000)), talked("CALLEE")),
        (answered("moving-phone", play("answers_elsewhere"), play("agent_told_again")), talked("SYSTEM")),
        (Case { trunk: LATE, ..answered("late", play("offers"), play("agent_hangs_up")) }, talked("AGENT")),
        (
            Case { trunk: LATE, ..answered("wants-an-offer", play("wants_an_offer"), play("agent_hangs_up")) },
            talked("AGENT"),
        ),
        (
            Case {
                trunk: "offer = \"agent-first\"",
                ..answered("agent-first", play("answers_and_hangs_up"), play("agent_first"))
            },
            talked("CALLEE"),
        ),
        (
            Case {
                trunk: "username = \"alice\"\npassword = \"s3cret\"",
                ..answered("challenge", play("challenges"), play("agent_hangs_up"))
            },
            talked("AGENT"),
        ),
        (answered("has-left", play("has_left"), play("agent")), talked("CALLEE")),
        (answered("leaves", play("answers_and_leaves"), play("goes_on").saying("180 Ringing")), talked("CALLEE")),
    ]
}

/// The callee is released at once.
fn without_agents() -> Table {
    let failed =
        || json!({"result": "AGENT_FAILED", "scope": "LOCAL", "counted": true, "final": true, "hangupBy": "SYSTEM"});
    let clash =
        || json!({"result": "AGENT_FAILED", "scope": "LOCAL", "counted": true, "sip.rule": "local-media-mismatch"});
    vec![
        (without_agent("agent-busy", Other::Plays(play("refuses").saying("486 Busy Here"))), failed()),
        (without_agent("agent-down", Other::Plays(play("refuses").saying("503 Service Unavailable"))), failed()),
        (without_agent("agent-silent", Other::Silent), failed()),
        (without_agent("agent-rings", Other::Plays(play("goes_on").saying("180 Ringing"))), failed()),
        (without_agent("agent-encrypts", Other::Plays(play("agent_encrypts"))), clash()),
        (answered("phone-refuses-agent", play("refuses_the_new_offer"), play("agent")), failed()),
        (
            Case {
                trunk: "offer = \"late\"",
                ..answered("late-agent-busy", play("offers_in_vain"), play("refuses").saying("486 Busy Here"))
            },
            failed(),
        ),
    ]
}

fn calls_that_are_not_answered() -> Table {
    let callee = |result: &str| {
        json!({"result": result, "scope": "CALLEE", "counted": true, "final": true,
        "answeredAt": null, "hangupBy": null})
    };
    let rang = |result: &str, status: u16| {
        json!({"result": result, "scope": "CALLEE", "counted": true, "final": true,
        "sip.status": status, "answeredAt": null})
    };
    let trunk = |result: &str| {
        json!({"result": result, "scope": "TRUNK", "counted": false, "final": false,
        "answeredAt": null})
    };
    let blocked = || json!({"result": "OPERATOR_BLOCK", "scope": "CALLER_NUMBER", "counted": true, "final": true});
    vec![
        (refused("busy", "486 Busy Here"), callee("USER_BUSY")),
        (refused("busy-everywhere", "600 Busy Everywhere"), callee("USER_BUSY")),
        (refused("not-found", "404 Not Found"), callee("INVALID_NUMBER")),
        (refused("incomplete", "484 Address Incomplete"), callee("INVALID_NUMBER")),
        (refused("gone", "410 Gone"), callee("INVALID_NUMBER")),
        (rung("rang-480", "480 Temporarily Unavailable"), rang("NO_ANSWER", 480)),
        (rung("rang-408", "408 Request Timeout"), rang("NO_ANSWER", 408)),
        (case("rings-on", play("goes_on").saying("180 Ringing")), rang("NO_ANSWER", 487)),
        (refused("unavailable", "480 Temporarily Unavailable"), callee("UNAVAILABLE")),
        (case("trying-only", play("goes_on").saying("100 Trying")), callee("UNAVAILABLE")),
        (rung("declined", "603 Decline"), callee("CALL_REJECTED")),
        (refused("blocked", "603 Decline"), blocked()),
        (refused("rejected", "608 Rejected"), blocked()),
        (refused("redirected", "302 Moved Temporarily"), callee("CALL_FORWARDING")),
        (refused("forbidden", "403 Forbidden"), trunk("OTHERS")),
        (
            Case {
                trunk: "username = \"alice\"\npassword = \"wrong\"",
                ..case("challenged-twice", play("challenges_twice"))
            },
            trunk("OTHERS"),
        ),
        (
            case("overloaded", play("refuses").saying("503 Service Unavailable").with("Retry-After: 900 (calm down)")),
            trunk("NETWORK_BUSY"),
        ),
        (refused("broken", "500 Server Internal Error"), trunk("NETWORK_BUSY")),
    ]
}

/// Messages that are lost, that cross each other, and that change a session.
fn disturbed_calls() -> Table {
    let talked = || json!({"result": "ANSWERED", "hangupBy": "CALLEE", "counted": true});
    vec![
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
    ]
}

/// An agent that does not come is not waited for any longer than it may take.
fn assert_released(event: &Value, name: &str) {
    let waited = seconds_between(event, "answeredAt", "endedAt");
    // Others are given up by the agent's own word.
    let silent = ["agent-silent", "agent-rings"].contains(&name);
    let patience = if silent { 7.9..16.0 } else { 0.0..6.0 };
    assert!(patience.contains(&waited), "{name}: the callee was kept for {waited} s");
}

/// What is not counted is tried again, and not before the trunk wants it.
fn assert_again(event: &Value, name: &str) {
    let least = if name == "overloaded" { 899.0 } else { 599.0 };
    let wait = seconds_between(event, "endedAt", "redialAt");
    assert!(wait > least, "{name}: called again after {wait} s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_ends_as_the_signalling_says() {
    let table = [answered_calls(), without_agents(), calls_that_are_not_answered(), disturbed_calls()].concat();
    let cases: Vec<Case> = table.iter().map(|(case, _)| *case).collect();
    let exchange = Exchange::open("endings", &cases).await;
    for (case, expected) in &table {
        for event in exchange.ended(case.name).await {
            let (event, name) = (event.data(), case.name);
            assert_tells(event, name, expected);
            if event["result"] == "AGENT_FAILED" {
                assert_released(event, name);
            }
            if event["counted"] == false {
                assert_again(event, name);
            }
            // Of what each message is lost once, the 180 is never repeated.
            let mute = matches!(case.carrier, Other::Plays(script) if script.is_mute()) || case.loses_each_once;
            assert_eq!(event["ringingAt"].is_string(), !mute, "{name}: {event}");
        }
    }
    exchange.close().await;
}
