//! What is left when it is over.

use serde_json::{Value, json};

use super::super::names::{DEAD_LETTERS, GROWTH, HELD, QUEUES};
use super::super::samples::{Ledgers, STOPPED};
use super::figures;

fn poison(ledgers: &mut Ledgers, (what, body): (&str, &str)) {
    ledgers.file("poison.jsonl").push(json!({"what": what, "poison": body, "at": 1}));
}

#[test]
fn poison_that_is_no_dead_letter_is_found() {
    assert_eq!(figures(|ledgers| poison(ledgers, ("CONFIRMED", "cafe"))), [(DEAD_LETTERS, 1)]);
    assert_eq!(figures(|ledgers| poison(ledgers, ("SENT", "cafe"))), [], "it may never have arrived");
}

#[test]
fn a_dead_letter_that_was_no_poison_is_found() {
    let dead = |sent: &'static str| {
        figures(|ledgers| {
            poison(ledgers, ("SENT", sent));
            // Twice, as is everybody's right.
            ledgers.file("dead.jsonl").extend([json!({"body": "cafe"}), json!({"body": "cafe"})]);
        })
    };
    assert_eq!(dead("cafe"), []);
    assert_eq!(dead("babe"), [(DEAD_LETTERS, 1)]);
}

#[test]
fn what_is_still_held_is_found() {
    let held = |more: Value| {
        figures(|ledgers| {
            let mut line = json!({"process": STOPPED, "calltaskd_slots_held": 0, "calltaskd_sip_dialogs": 0});
            line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            ledgers.file("aftermath.jsonl").push(line);
        })
    };
    assert_eq!(held(json!({})), []);
    for gauge in ["calltaskd_slots_held", "calltaskd_sip_dialogs", "calltaskd_sip_transactions"] {
        assert_eq!(held(json!({gauge: 1})), [(HELD, 1)], "{gauge}");
    }
}

#[test]
fn a_message_in_a_queue_is_found() {
    let queue = |messages: u32| {
        figures(|ledgers| ledgers.file("aftermath.jsonl").push(json!({"queue": "commands", "messages": messages})))
    };
    assert_eq!(queue(0), []);
    assert_eq!(queue(1), [(QUEUES, 1)]);
}

#[test]
fn a_daemon_that_has_grown_is_found() {
    let grown = |name: &'static str, before: u64, after: u64| {
        figures(|ledgers| {
            for (when, size) in [("WARM_UP", before - 1), ("WARM_UP", before), ("END", after)] {
                ledgers.file("aftermath.jsonl").push(json!({"size": when, "process": STOPPED, name: size}));
            }
        })
    };
    for name in ["memoryKib", "descriptors", "threads"] {
        assert_eq!(grown(name, 100, 120), []);
        assert_eq!(grown(name, 100, 121), [(GROWTH, 1)], "{name}");
    }
}
