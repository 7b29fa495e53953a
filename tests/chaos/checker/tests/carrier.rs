//! Set-ups, licences, and results by the record.

use serde_json::{Value, json};

use super::super::names::{AFTER_SILENCE, ATTEMPTS, LICENCES, LOST, RESULTS, SET_UPS, SLOTS};
use super::super::samples::{KILLED, STOPPED, SUCCESSOR, WIDE, at, call, task};
use super::{broken, figures};

#[test]
fn a_call_set_up_twice_is_found() {
    let found = figures(|ledgers| {
        // A second daemon placed it again, long after, and it ended in the same way.
        for line in [json!({"event": "INVITE", "at": at(70_000)}), json!({"event": "ENDED", "at": at(71_000)})] {
            let first = ledgers.record(KILLED).iter();
            let first = first.filter(|first| first["callId"] == json!(call(1, 1, 2)));
            let mut again = first.clone().find(|first| first["event"] == line["event"]).unwrap().clone();
            again["at"] = line["at"].clone();
            ledgers.record(SUCCESSOR).push(again);
        }
    });
    assert_eq!(found, [(SET_UPS, 2)]);
}

#[test]
fn a_call_set_up_twice_by_one_daemon_is_found() {
    let found = broken(|ledgers| {
        let mut again = ledgers.record(STOPPED)[0].clone();
        again["at"] = json!(at(60_000));
        ledgers.record(STOPPED).insert(1, again);
    });
    // The first of the two never ended.
    assert_eq!(found, [SET_UPS, SLOTS, RESULTS, AFTER_SILENCE]);
}

#[test]
fn a_call_that_nobody_claimed_is_found() {
    let found = figures(|ledgers| ledgers.dump("witness_claims").retain(|row| row["task_no"] != 3 || row["seq"] != 1));
    assert_eq!(found, [(LICENCES, 1)]);
}

#[test]
fn a_call_before_the_commit_of_its_licence_is_found() {
    let commit_at =
        |instant: i64| figures(|ledgers| ledgers.dump("witness_claims")[0]["committed_at"] = json!(instant));
    assert_eq!(commit_at(at(0)), []);
    assert_eq!(commit_at(at(0) + 1), [(LICENCES, 1)]);
}

#[test]
fn a_call_whose_id_is_of_no_attempt_is_found() {
    let found = broken(|ledgers| {
        let stranger = json!({
            "event": "INVITE", "callId": task(9), "taskId": task(1), "calledNumber": "+49309", "callerNumber": WIDE,
            "at": at(80_000),
        });
        ledgers.record(STOPPED).push(stranger);
        ledgers
            .record(STOPPED)
            .push(json!({"event": "ENDED", "callId": task(9), "result": "OTHERS", "at": at(80_500)}));
    });
    assert_eq!(found, [LICENCES, RESULTS, ATTEMPTS]);
}

#[test]
fn a_result_that_is_not_the_carriers_is_found() {
    let found = figures(|ledgers| ledgers.ended(call(1, 1, 2))["data"]["result"] = json!("NO_ANSWER"));
    assert_eq!(found, [(RESULTS, 1)]);
}

#[test]
fn a_number_or_a_task_that_is_not_the_carriers_is_found() {
    for (field, wrong) in [("calledNumber", "+49301"), ("callerNumber", "+49302")] {
        for call in [call(1, 1, 2), call(1, 3, 1)] {
            let found = figures(|ledgers| ledgers.ended(call)["data"][field] = json!(wrong));
            assert_eq!(found, [(RESULTS, 1)], "{field}, also of an unknown outcome");
        }
    }
    assert_eq!(figures(|ledgers| ledgers.ended(call(1, 1, 2))["data"]["taskId"] = json!(task(3))), [(RESULTS, 1)]);
}

#[test]
fn a_result_without_a_call_is_found() {
    let found = figures(|ledgers| ledgers.record(SUCCESSOR).clear());
    assert_eq!(found, [(RESULTS, 1)]);
}

#[test]
fn a_result_that_the_carrier_never_told_is_found() {
    let found = figures(|ledgers| ledgers.ended(call(3, 2, 1))["data"]["result"] = json!("ANSWERED"));
    assert_eq!(found, [(RESULTS, 1)]);
}

#[test]
fn a_call_of_the_record_that_was_not_told_of_is_found() {
    let found = broken(|ledgers| {
        ledgers.file("events.jsonl").retain(|line| line["event"]["data"]["callId"] != json!(call(1, 1, 1)));
    });
    assert_eq!(found, [RESULTS, ATTEMPTS, LOST]);
}

#[test]
fn a_call_that_ended_twice_is_found() {
    let found = figures(|ledgers| {
        let end = ledgers.record(SUCCESSOR)[1].clone();
        ledgers.record(SUCCESSOR).push(end);
    });
    assert_eq!(found, [(RESULTS, 1)]);
}

#[test]
fn an_end_without_a_call_is_found() {
    let end = json!({"event": "ENDED", "callId": task(9), "result": "ANSWERED", "at": at(1)});
    assert_eq!(figures(|ledgers| ledgers.record(STOPPED).push(end)), [(RESULTS, 1)]);
}

#[test]
fn a_call_that_never_ended_is_found() {
    // Of the stopped one, which still runs.
    assert_eq!(figures(|ledgers| drop(ledgers.record(STOPPED).pop())), [(RESULTS, 1)]);
    let found = figures(|ledgers| drop(ledgers.record(SUCCESSOR).pop()));
    assert_eq!(found, [(RESULTS, 2)], "the call, and the event that knows its end");
}

#[test]
fn an_invite_after_silence_is_found() {
    let again = |instant: i64| {
        broken(|ledgers| {
            let mut again = ledgers.record(KILLED)[2].clone();
            again["at"] = json!(at(instant));
            // The first one ends at 400 ms: before the line that comes third, and after the one that comes second.
            let place = if instant < 400 { 3 } else { 4 };
            ledgers.record(KILLED).insert(place, again);
        })
    };
    assert!(again(300).contains(&AFTER_SILENCE));
    assert!(!again(600).contains(&AFTER_SILENCE), "one after a refusal is another matter");
}

#[test]
fn an_invite_from_nobodys_address_is_found() {
    let found = broken(|ledgers| ledgers.file("processes.jsonl")[1]["port"] = json!(3));
    assert!(found.contains(&RESULTS), "{found:?}");
}

/// What the good run's callee who was answered may be told to have been, by how the carrier saw it end.
fn told(event: &str, seen: &str, more: Option<Value>) -> Vec<(&'static str, u64)> {
    figures(|ledgers| {
        ledgers.ended(call(1, 1, 2))["data"]["result"] = json!(event);
        let record = ledgers.record(KILLED);
        let end = record.iter().position(|line| line["event"] == "ENDED" && line["callId"] == json!(call(1, 1, 2)));
        record[end.unwrap()]["result"] = json!(seen);
        if let Some(line) = more {
            record.insert(end.unwrap(), line);
        }
    })
}

#[test]
fn what_a_cancel_means_depends_on_how_long_it_rang() {
    assert_eq!(told("CANCEL", "CANCELLED", None), []);
    assert_eq!(told("NO_ANSWER", "CANCELLED", None), [(RESULTS, 1)], "it rang for a second");
    assert_eq!(told("NO_ANSWER", "ANSWERED", None), [(RESULTS, 1)]);
    let crossed = json!({"event": "CANCEL", "callId": call(1, 1, 2), "at": at(3_900)});
    assert_eq!(told("NO_ANSWER", "ANSWERED", Some(crossed)), []);
}

#[test]
fn a_refusal_is_no_taking_back_unless_they_crossed() {
    assert_eq!(told("CANCEL", "USER_BUSY", None), [(RESULTS, 1)]);
    let crossed = json!({"event": "CANCEL", "callId": call(1, 1, 2), "at": at(4_100)});
    assert_eq!(told("CANCEL", "USER_BUSY", Some(crossed)), []);
}

#[test]
fn an_agent_that_was_there_did_not_fail() {
    assert_eq!(told("AGENT_FAILED", "ANSWERED", None), []);
    let joined = json!({"event": "AGENT_ACKED", "callId": call(1, 1, 2), "at": at(1_000) - 1});
    assert_eq!(told("AGENT_FAILED", "ANSWERED", Some(joined)), [(RESULTS, 1)]);
    let just_before_the_kill = json!({"event": "AGENT_ACKED", "callId": call(1, 1, 2), "at": at(18_000)});
    assert_eq!(told("AGENT_FAILED", "ANSWERED", Some(just_before_the_kill)), []);
}

#[test]
fn an_agent_that_came_when_the_trunk_heard_again_was_not_there() {
    let deaf = |until: i64| {
        figures(|ledgers| {
            ledgers.ended(call(1, 1, 2))["data"]["result"] = json!("AGENT_FAILED");
            ledgers.record(KILLED).push(json!({"event": "AGENT_ACKED", "callId": call(1, 1, 2), "at": at(3_500)}));
            ledgers.file("faults.jsonl").push(json!({"fault": "TRUNK_DEAF", "at": at(-12_000), "until": at(until)}));
        })
    };
    assert_eq!(deaf(-1_000), []);
    assert_eq!(deaf(-6_000), [(RESULTS, 1)], "it would have been said again long before");
}

#[test]
fn who_is_suspended_until_the_kill_could_not_write_down_the_agent() {
    let suspended = |until: i64| {
        figures(|ledgers| {
            ledgers.ended(call(1, 1, 2))["data"]["result"] = json!("AGENT_FAILED");
            ledgers.record(KILLED).push(json!({"event": "AGENT_ACKED", "callId": call(1, 1, 2), "at": at(3_500)}));
            let stop = json!({"fault": "STOP", "at": at(4_000), "until": at(until), "process": KILLED});
            ledgers.file("faults.jsonl").push(stop);
        })
    };
    // It is killed at 20 s, and Postgres is away from 16 to 17.5 s.
    assert_eq!(suspended(16_500), [(RESULTS, 1)]);
    assert_eq!(suspended(18_500), []);
}
