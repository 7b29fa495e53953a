//! The instruments themselves: what they find when something is wrong.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::agreement::disagreements;
use crate::harness::downstream::Event;
use crate::harness::record::Record;

fn record(calls: &[(i64, i64)]) -> Record {
    let lines = calls.iter().enumerate().flat_map(|(id, (placed, ended))| {
        let id = format!("call-{id}");
        [
            json!({"event": "PLACED", "callId": id, "taskId": "t", "calledNumber": "n", "callerNumber": "c", "at": placed}),
            json!({"event": "ENDED", "callId": id, "result": "ANSWERED", "at": ended}),
        ]
    });
    Record::of(lines)
}

/// The event that fits the call `id` of [`record`].
fn ended(id: usize) -> Value {
    json!({
        "id": format!("event-{id}"), "type": "call.ended",
        "data": {
            "callId": format!("call-{id}"), "calleeId": format!("callee-{id}"), "taskId": "t", "calledNumber": "n",
            "callerNumber": "c", "result": "ANSWERED", "attempt": 1, "final": true,
        },
    })
}

fn event(json: &Value) -> Arc<Event> {
    let body = json.to_string().into_bytes();
    let routing_key = "call.ended.final".to_owned();
    let (content_type, delivery_mode, message_id, type_property) = (None, None, None, None);
    Arc::new(Event { routing_key, body, json: json.clone(), content_type, delivery_mode, message_id, type_property })
}

#[test]
fn a_slot_lasts_a_second_at_least() {
    let short = record(&[(0, 10), (999_999, 1_000_010), (1_000_000, 1_000_010)]);
    assert_eq!(short.most_slots(), 2);
    let long = record(&[(0, 5_000_000), (4_999_999, 5_000_001), (5_000_000, 5_000_001)]);
    assert_eq!(long.most_slots(), 2);
}

#[test]
fn a_second_is_half_open() {
    assert_eq!(record(&[(0, 1), (500_000, 1), (1_000_000, 1)]).most_placings_in_a_second(), 2);
    assert_eq!(record(&[(1, 1), (500_000, 1), (1_000_000, 1)]).most_placings_in_a_second(), 3);
}

#[test]
fn a_call_that_is_placed_or_ended_twice_is_a_fault() {
    let placed =
        json!({"event": "PLACED", "callId": "1", "taskId": "t", "calledNumber": "n", "callerNumber": "c", "at": 1});
    let ended = json!({"event": "ENDED", "callId": "1", "result": "ANSWERED", "at": 2});
    assert_eq!(Record::of([placed.clone(), placed.clone()].into_iter()).faults.len(), 1);
    assert_eq!(Record::of([placed.clone(), ended.clone(), ended.clone()].into_iter()).faults.len(), 1);
    assert_eq!(Record::of([ended.clone()].into_iter()).faults.len(), 1);
    assert!(Record::of([placed, ended].into_iter()).faults.is_empty());
}

#[test]
fn record_and_events_agree_when_everything_is_told_once_or_again() {
    let events = [event(&ended(0)), event(&ended(1)), event(&ended(1))];
    assert_eq!(disagreements(&record(&[(0, 1), (0, 1)]), &events, 2), Vec::<String>::new());
}

#[test]
fn every_way_to_disagree_is_found() {
    let changed = |field: &str, value: Value| {
        let mut json = ended(1);
        json["data"][field] = value;
        json
    };
    let other_id = {
        let mut json = ended(1);
        json["id"] = json!("event-2");
        json
    };
    for (what, events) in [
        ("a call without an event", vec![]),
        ("an event without a call", vec![ended(1), ended(2)]),
        ("another result", vec![changed("result", json!("USER_BUSY"))]),
        ("another number", vec![changed("calledNumber", json!("m"))]),
        ("no final event", vec![changed("final", json!(false))]),
        ("a gap in the attempts", vec![changed("attempt", json!(2))]),
        ("two events of one end", vec![ended(1), other_id]),
        ("two events with one id", vec![ended(1), changed("scope", json!("TRUNK"))]),
    ] {
        let events: Vec<_> = std::iter::once(ended(0)).chain(events).map(|json| event(&json)).collect();
        assert!(!disagreements(&record(&[(0, 1), (0, 1)]), &events, 2).is_empty(), "{what}");
    }
}
