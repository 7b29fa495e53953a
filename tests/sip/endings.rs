//! How calls end: what the carrier and the agent do, and what the event tells.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::exchange::{Case, Exchange, Other};
use crate::sipp::{Script, play};

/// The phone is not answered, so nobody calls the agent.
pub const fn case(name: &'static str, carrier: Script) -> Case {
    Case {
        name,
        carrier: Other::Plays(carrier),
        agent: Other::Absent,
        trunk: "",
        closed_first: false,
        loses_each_once: false,
        callees: 1,
    }
}

pub const fn answered(name: &'static str, carrier: Script, agent: Script) -> Case {
    Case { agent: Other::Plays(agent), ..case(name, carrier) }
}

const fn without_agent(name: &'static str, agent: Other) -> Case {
    Case { agent, ..case(name, play("answers_and_is_released")) }
}

const fn refused(name: &'static str, status: &'static str) -> Case {
    case(name, play("refuses").saying(status))
}

const fn rung(name: &'static str, status: &'static str) -> Case {
    case(name, play("rings_and_refuses").saying(status))
}

/// What an event has to tell; what is `null` must not be there.
#[track_caller]
pub fn assert_tells(event: &Value, name: &str, expected: &Value) {
    for (field, value) in expected.as_object().unwrap() {
        let found = field.split('.').try_fold(event, |data, part| data.get(part)).unwrap_or(&Value::Null);
        assert_eq!(found, value, "{name}: {field} in {event}");
    }
}

/// Plays all cases of a table side by side, and holds each event against it.
pub async fn play_all(name: &str, table: &[(Case, Value)]) {
    let cases: Vec<Case> = table.iter().map(|(case, _)| *case).collect();
    let exchange = Exchange::open(name, &cases).await;
    for (case, expected) in table {
        for event in exchange.ended(case.name).await {
            assert_tells(event.data(), case.name, expected);
        }
    }
    exchange.close().await;
}

fn seconds_between(event: &Value, from: &str, to: &str) -> f64 {
    let at = |field: &str| event[field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    (at(to) - at(from)).as_seconds_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answered_calls() {
    const LATE: &str = "offer = \"late\"";
    let talked = |by: &str| {
        json!({"result": "ANSWERED", "hangupBy": by, "scope": "CALLEE", "counted": true, "final": true,
        "sip.status": 200})
    };
    let table = [
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
        (answered("leaves", play("answers_and_leaves"), play("goes_on").saying("180 Ringing")), talked("CALLEE")),
    ];
    play_all("answered", &table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callee_whose_agent_does_not_come_is_released_at_once() {
    let failed =
        || json!({"result": "AGENT_FAILED", "scope": "LOCAL", "counted": true, "final": true, "hangupBy": "SYSTEM"});
    let table = [
        (without_agent("agent-busy", Other::Plays(play("refuses").saying("486 Busy Here"))), failed()),
        (without_agent("agent-down", Other::Plays(play("refuses").saying("503 Service Unavailable"))), failed()),
        (without_agent("agent-silent", Other::Silent), failed()),
        (without_agent("agent-rings", Other::Plays(play("goes_on").saying("180 Ringing"))), failed()),
    ];
    let cases: Vec<Case> = table.iter().map(|(case, _)| *case).collect();
    let exchange = Exchange::open("agents", &cases).await;
    for (case, expected) in &table {
        let event = exchange.ended(case.name).await[0].clone();
        assert_tells(event.data(), case.name, expected);
        let waited = seconds_between(event.data(), "answeredAt", "endedAt");
        let patience = if ["agent-busy", "agent-down"].contains(&case.name) { 0.0..4.0 } else { 7.9..12.0 };
        assert!(patience.contains(&waited), "{}: the callee was kept for {waited} s", case.name);
    }
    exchange.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_not_answered() {
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
    let table = [
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
            Case { trunk: "username = \"alice\"\npassword = \"wrong\"", ..case("challenge", play("challenges_twice")) },
            trunk("OTHERS"),
        ),
        (
            case("overloaded", play("refuses").saying("503 Service Unavailable").with("Retry-After: 900 (calm down)")),
            trunk("NETWORK_BUSY"),
        ),
        (refused("broken", "500 Server Internal Error"), trunk("NETWORK_BUSY")),
    ];
    let cases: Vec<Case> = table.iter().map(|(case, _)| *case).collect();
    let exchange = Exchange::open("unanswered", &cases).await;
    for (case, expected) in &table {
        let event = exchange.ended(case.name).await[0].clone();
        assert_tells(event.data(), case.name, expected);
        let is_ringing = case.name.starts_with("rang") || ["rings-on", "declined"].contains(&case.name);
        assert_eq!(event.data()["ringingAt"].is_string(), is_ringing, "{}: {}", case.name, event.data());
        if event.data()["counted"] == false {
            let least = if case.name == "overloaded" { 899.0 } else { 599.0 };
            let wait = seconds_between(event.data(), "endedAt", "redialAt");
            assert!(wait > least, "{}: called again after {wait} s", case.name);
        }
    }
    exchange.close().await;
}
