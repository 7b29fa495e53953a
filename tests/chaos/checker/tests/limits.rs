//! Slots and calls per second. In the good run every limit is reached, so that one less is one too few.

use serde_json::{Value, json};

use super::super::names::{CALLS_PER_SECOND, RESULTS, SLOTS};
use super::super::samples::{KILLED, Ledgers, NARROW, SOUTH, STOPPED, SUCCESSOR, WIDE, at, call};
use super::figures;

fn line<'l>(ledgers: &'l mut Ledgers, process: &str, (event, key): (&str, (i64, i64, u32))) -> &'l mut Value {
    let id = json!(call(key.0, key.1, key.2));
    ledgers.record(process).iter_mut().find(|line| line["event"] == event && line["callId"] == id).unwrap()
}

#[test]
fn a_service_instance_above_its_slots_is_found() {
    let limit = |slots: u32| figures(|ledgers| ledgers.plan()["serviceInstances"][0]["maxConcurrent"] = json!(slots));
    assert_eq!(limit(2), [(SLOTS, 1)]);
    assert_eq!(limit(1), [(SLOTS, 2)]);
}

#[test]
fn a_task_above_its_concurrency_is_found() {
    assert_eq!(figures(|ledgers| ledgers.plan()["tasks"][0]["concurrency"] = json!(1)), [(SLOTS, 1)]);
    let all = figures(|ledgers| {
        for task in 0..3 {
            ledgers.plan()["tasks"][task]["concurrency"] = json!(0);
        }
    });
    assert_eq!(all, [(SLOTS, 2 + 1 + 1)], "what each has too many is added up");
}

#[test]
fn a_caller_number_above_its_limit_is_found() {
    let limit = |slots: u32| {
        figures(|ledgers| ledgers.plan()["serviceInstances"][0]["callerNumbers"][0]["maxConcurrent"] = json!(slots))
    };
    assert_eq!(limit(1), [(SLOTS, 1)]);
    let wide = figures(|ledgers| ledgers.plan()["serviceInstances"][0]["callerNumbers"][1]["maxConcurrent"] = json!(0));
    assert_eq!(wide, [(SLOTS, 1)]);
}

#[test]
fn a_slot_is_held_until_the_call_ends() {
    let end = |instant: i64| figures(|ledgers| line(ledgers, KILLED, ("ENDED", (3, 1, 1)))["at"] = json!(instant));
    // The next call of the service instance that it would be too much for comes at 18 s.
    assert_eq!(end(at(18_500)), []);
    assert_eq!(end(at(18_500) + 1), [(SLOTS, 1)], "two of task 3");
}

#[test]
fn a_slot_is_held_for_a_second_at_least() {
    // The call was cancelled after 400 ms; two of the task's next calls begin when its second is over.
    let place = |instant: i64| figures(|ledgers| line(ledgers, KILLED, ("INVITE", (1, 2, 1)))["at"] = json!(instant));
    assert_eq!(place(at(50)), [], "the carrier may have heard of it late");
    assert_eq!(place(at(50) + 1), [(SLOTS, 3), (CALLS_PER_SECOND, 1)], "service instance, task and number");
}

#[test]
fn a_call_of_a_killed_daemon_holds_its_slot_until_the_carrier_sees_its_end() {
    let over_at = |instant: i64| {
        figures(|ledgers| {
            for key in [(1, 3, 1), (3, 2, 1)] {
                line(ledgers, KILLED, ("ENDED", key))["at"] = json!(instant);
            }
        })
    };
    assert_eq!(over_at(at(20_000)), []);
    assert_eq!(over_at(at(20_000) + 1), [(SLOTS, 1)], "the successor's call is one too many for the number");
}

#[test]
fn a_call_that_never_ends_holds_its_slot_for_ever() {
    let found = figures(|ledgers| drop(ledgers.record(STOPPED).remove(1)));
    assert_eq!(found, [(SLOTS, 2), (RESULTS, 2)]);
}

#[test]
fn a_call_that_no_limit_covers_is_found() {
    let stranger = "+493055509999";
    let found = figures(|ledgers| {
        line(ledgers, SUCCESSOR, ("INVITE", (1, 2, 3)))["callerNumber"] = json!(stranger);
        ledgers.ended(call(1, 2, 3))["data"]["callerNumber"] = json!(stranger);
    });
    assert_eq!(found, [(SLOTS, 1)]);
    let of_another_service_instance = figures(|ledgers| {
        line(ledgers, SUCCESSOR, ("INVITE", (1, 2, 3)))["callerNumber"] = json!(SOUTH);
        ledgers.ended(call(1, 2, 3))["data"]["callerNumber"] = json!(SOUTH);
    });
    assert_eq!(of_another_service_instance, [(SLOTS, 1)]);
    let of_its_own = figures(|ledgers| {
        line(ledgers, SUCCESSOR, ("INVITE", (1, 2, 3)))["callerNumber"] = json!(WIDE);
        ledgers.ended(call(1, 2, 3))["data"]["callerNumber"] = json!(WIDE);
    });
    assert_eq!(of_its_own, []);
    assert_eq!(figures(|ledgers| drop(ledgers.plan()["tasks"].as_array_mut().unwrap().remove(1))), [(SLOTS, 3)]);
}

#[test]
fn too_many_calls_in_a_second_are_found() {
    assert_eq!(figures(|ledgers| ledgers.plan()["serviceInstances"][0]["maxCps"] = json!(1)), [(CALLS_PER_SECOND, 1)]);
    assert_eq!(figures(|ledgers| ledgers.plan()["serviceInstances"][0]["maxCps"] = json!(0)), [(CALLS_PER_SECOND, 2)]);
}

#[test]
fn a_second_is_half_open_and_begins_anywhere() {
    let place = |instant: i64| {
        figures(|ledgers| {
            line(ledgers, STOPPED, ("INVITE", (2, 1, 1)))["at"] = json!(instant);
            let mut claims = ledgers.dump("witness_claims").iter_mut();
            let claim = claims.find(|row| row["task_no"] == 2 && row["seq"] == 1).unwrap();
            claim["committed_at"] = json!(at(28_900));
            ledgers.plan()["serviceInstances"][1]["maxConcurrent"] = json!(2);
            ledgers.plan()["tasks"][1]["concurrency"] = json!(2);
        })
    };
    assert_eq!(place(at(28_950)), []);
    assert_eq!(place(at(28_950) - 1), [(CALLS_PER_SECOND, 1)]);
}

#[test]
fn two_daemons_share_the_limits_of_a_service_instance() {
    let found = figures(|ledgers| {
        // The successor places while its predecessor's calls are up.
        line(ledgers, SUCCESSOR, ("INVITE", (1, 2, 3)))["at"] = json!(at(19_999));
        let claim = ledgers.dump("witness_claims").iter_mut().find(|row| row["attempt"] == 3).unwrap();
        claim["committed_at"] = json!(at(19_990));
    });
    assert_eq!(found, [(SLOTS, 1)], "three through {NARROW}");
}
