//! Unknown outcomes, and what excuses them.

use serde_json::{Value, json};

use super::super::names::{KEPT_AND_UNKNOWN, UNKNOWN_OUTCOMES};
use super::super::samples::{KILLED, Ledgers, STOPPED, SUCCESSOR, at, call, task};
use super::{broken, figures};

fn claim(ledgers: &mut Ledgers, (task_no, seq): (i64, i64)) -> &mut Value {
    let mut claims = ledgers.dump("witness_claims").iter_mut();
    claims.find(|row| row["task_no"] == task_no && row["seq"] == seq).unwrap()
}

fn fault<'l>(ledgers: &'l mut Ledgers, kind: &str) -> &'l mut Value {
    ledgers.file("faults.jsonl").iter_mut().find(|fault| fault["fault"] == kind).unwrap()
}

#[test]
fn an_unknown_outcome_of_a_call_that_ended_long_before_is_found() {
    let found = figures(|ledgers| ledgers.ended(call(1, 1, 2))["data"]["result"] = json!("UNKNOWN_OUTCOME"));
    assert_eq!(found, [(UNKNOWN_OUTCOMES, 1)], "at 4 s, and the kill came at 20 s");
}

#[test]
fn an_unknown_outcome_of_a_daemon_to_which_nothing_happened_is_found() {
    let found = figures(|ledgers| ledgers.ended(call(1, 2, 3))["data"]["result"] = json!("UNKNOWN_OUTCOME"));
    assert_eq!(found, [(UNKNOWN_OUTCOMES, 1)], "a TERM is no excuse");
}

#[test]
fn an_unknown_outcome_without_the_kill_is_found() {
    let found = broken(|ledgers| {
        ledgers.file("faults.jsonl").retain(|fault| fault["process"] != KILLED);
        ledgers.file("processes.jsonl")[2]["how"] = json!("EXIT");
    });
    assert_eq!(found, [UNKNOWN_OUTCOMES]);
}

#[test]
fn either_note_of_a_kill_is_an_excuse() {
    assert_eq!(broken(|ledgers| ledgers.file("faults.jsonl").retain(|fault| fault["process"] != KILLED)), [""; 0]);
    // Also of a claim that was committed after it.
    assert_eq!(broken(|ledgers| ledgers.file("processes.jsonl")[2]["how"] = json!("EXIT")), [""; 0]);
}

#[test]
fn an_unknown_outcome_of_a_claim_after_the_stop_is_found() {
    let claimed_at = |instant: i64| {
        figures(|ledgers| {
            claim(ledgers, (2, 1))["committed_at"] = json!(instant);
            ledgers.record(STOPPED).retain(|line| line["callId"] != json!(call(2, 1, 1)));
        })
    };
    assert_eq!(claimed_at(at(45_000)), [], "it was under way when the daemon stood still");
    assert_eq!(claimed_at(at(45_000) + 1), [(UNKNOWN_OUTCOMES, 1)]);
}

#[test]
fn the_last_claim_is_what_counts() {
    assert_eq!(figures(|ledgers| ledgers.claim((2, 1, 1), STOPPED, 45_001)), [(UNKNOWN_OUTCOMES, 1)]);
    // Nothing happened to the one who had it before; the rows of the table are in no order.
    assert_eq!(figures(|ledgers| ledgers.claim((2, 1, 1), SUCCESSOR, 28_900)), []);
}

#[test]
fn an_unknown_outcome_of_a_call_that_ended_too_long_before_the_stop_is_found() {
    let ended_at = |instant: i64| {
        figures(|ledgers| {
            // Earlier by two seconds in all its traces, and by more at its end.
            claim(ledgers, (2, 1))["committed_at"] = json!(at(26_995));
            ledgers.record(STOPPED)[2]["at"] = json!(at(27_000));
            ledgers.record(STOPPED)[3]["at"] = json!(instant);
        })
    };
    assert_eq!(ended_at(at(28_000)), []);
    assert_eq!(ended_at(at(28_000) - 1), [(UNKNOWN_OUTCOMES, 1)]);
}

#[test]
fn an_outage_of_postgres_puts_off_the_recording() {
    let spoil = |change: fn(&mut Value)| figures(|ledgers| change(fault(ledgers, "POSTGRES")));
    let early = |outage: &mut Value| outage["until"] = json!(at(14_990));
    assert_eq!(spoil(early), [(UNKNOWN_OUTCOMES, 1)], "over before the call ended");
    let late = |outage: &mut Value| outage["at"] = json!(at(17_001));
    assert_eq!(spoil(late), [(UNKNOWN_OUTCOMES, 1)], "begun after the end must have been recorded");
    let just = |outage: &mut Value| outage["at"] = json!(at(17_000));
    assert_eq!(spoil(just), []);
    let another = |outage: &mut Value| outage["fault"] = json!("RABBITMQ");
    assert_eq!(spoil(another), [(UNKNOWN_OUTCOMES, 1)], "of another server");
}

#[test]
fn whatever_keeps_postgres_from_the_daemons_puts_off_the_recording() {
    let of = |kind: &str, more: Value| {
        figures(|ledgers| {
            let outage = fault(ledgers, "POSTGRES");
            outage["fault"] = json!(kind);
            outage.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        })
    };
    for kind in ["POSTGRES_AWAY", "SESSIONS", "DISK_FULL"] {
        assert_eq!(of(kind, json!({})), [], "{kind}");
    }
    for kind in ["RABBITMQ_KILL", "CONNECTIONS", "MEMORY_ALARM", "UNBOUND"] {
        assert_eq!(of(kind, json!({})), [(UNKNOWN_OUTCOMES, 1)], "{kind}");
    }
    for kind in ["STALL", "RESET"] {
        assert_eq!(of(kind, json!({"postgres": true, "rabbitmq": false})), [], "{kind}");
        let elsewhere = of(kind, json!({"postgres": false, "rabbitmq": true}));
        assert_eq!(elsewhere, [(UNKNOWN_OUTCOMES, 1)], "{kind} before RabbitMQ alone");
    }
}

#[test]
fn an_unknown_outcome_of_nobodys_attempt_is_found() {
    let found = figures(|ledgers| ledgers.dump("witness_claims").retain(|row| row["task_no"] != 2 || row["seq"] != 4));
    assert_eq!(found, [(UNKNOWN_OUTCOMES, 1)]);
    let found = figures(|ledgers| claim(ledgers, (2, 4))["holder"] = json!(task(9)));
    assert_eq!(found, [(UNKNOWN_OUTCOMES, 1)]);
}

#[test]
fn an_unknown_outcome_of_a_call_that_was_written_down_is_found() {
    let kept_at = |instant: i64, back_at: i64| {
        figures(|ledgers| {
            let row = json!({"task_no": 1, "seq": 3, "attempt": 1, "committed_at": instant});
            ledgers.dump("witness_dialogs").push(row);
            ledgers.record(SUCCESSOR).iter_mut().for_each(|line| line["at"] = json!(back_at + 1_000));
            ledgers.file("processes.jsonl")[3]["startedAt"] = json!(back_at);
        })
    };
    assert_eq!(kept_at(at(19_000), at(20_001)), [(KEPT_AND_UNKNOWN, 1)]);
    assert_eq!(kept_at(at(20_000), at(20_001)), [], "too late: the daemon was dead");
    assert_eq!(kept_at(at(19_000), at(40_000)), [], "nobody was back at the address within 20 s");
}

#[test]
fn an_end_that_was_never_heard_of_is_an_excuse() {
    let ended = |how: &str, heard: Option<Value>| {
        figures(|ledgers| {
            ledgers.ended(call(1, 1, 2))["data"]["result"] = json!("UNKNOWN_OUTCOME");
            let record = ledgers.record(KILLED);
            let end = record.iter().position(|line| line["event"] == "ENDED" && line["callId"] == json!(call(1, 1, 2)));
            record[end.unwrap()]["how"] = json!(how);
            record.extend(heard);
        })
    };
    let settled = |more: &str| json!({"event": "SETTLED", "callId": call(1, 1, 2), "at": at(4_100), more: "200"});
    assert_eq!(ended("CALLEE", None), []);
    assert_eq!(ended("CALLEE", Some(settled("unheard"))), []);
    assert_eq!(ended("CALLEE", Some(settled("bye"))), [(UNKNOWN_OUTCOMES, 1)]);
    assert_eq!(ended("DAEMON", None), [(UNKNOWN_OUTCOMES, 1)]);
}
