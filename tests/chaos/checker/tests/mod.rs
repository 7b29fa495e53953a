//! Each invariant is broken by hand in one place, to see that it is found, and that nothing else is.
//!
//! An invariant that no test breaks is a line in a table.

mod aftermath;
mod carrier;
mod hours;
mod limits;
mod messages;
mod outcomes;
mod unknown;

use serde_json::json;

use super::evidence::FaultKind;
use super::samples::{KILLED, Ledgers};

/// The names of the invariants that a spoiled run breaks.
fn broken(spoil: impl FnOnce(&mut Ledgers)) -> Vec<&'static str> {
    figures(spoil).into_iter().map(|(name, _)| name).collect()
}

/// The same with their figures.
fn figures(spoil: impl FnOnce(&mut Ledgers)) -> Vec<(&'static str, u64)> {
    let mut ledgers = Ledgers::good();
    spoil(&mut ledgers);
    let report = ledgers.judge();
    let broken = report.invariants.iter().filter(|invariant| !invariant.holds());
    let broken: Vec<_> = broken.map(|invariant| (invariant.name, invariant.figure)).collect();
    assert!(report.invariants.iter().all(|invariant| invariant.holds() || !invariant.examples.is_empty()));
    assert_eq!(report.is_sound(), broken.is_empty());
    broken
}

#[test]
fn a_good_run_is_sound_and_its_facts_are_counted() {
    let report = Ledgers::good().judge();
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.invariants.len(), 23);
    assert_eq!(report.invariants[0].figure, 1, "each call was placed once");
    let facts = &report.facts;
    assert_eq!((facts.callees, facts.attempts, facts.calls_placed, facts.unknown_outcomes), (10, 12, 11, 5));
    assert_eq!((facts.events, facts.repeated_events, facts.commands, facts.repeated_commands), (28, 1, 6, 1));
    assert_eq!(facts.faults.values().sum::<usize>(), 5);
    assert_eq!((facts.faults[&FaultKind::Kill], facts.kills_with_many_in_the_air), (1, 1));
}

#[test]
fn the_report_is_a_table_with_examples_of_what_is_broken() {
    let mut ledgers = Ledgers::good();
    let good = ledgers.judge().to_string();
    assert!(good.contains("| callees without exactly one final event | 0 | 0 | ok |\n"), "{good}");
    assert!(good.contains("| faults: STOP | 1 |\n") && !good.contains('*'), "{good}");
    for number in 0..30 {
        ledgers.dump("redials").push(json!({"task_no": 1, "seq": number, "due_at": "ö".repeat(500)}));
    }
    let spoiled = ledgers.judge().to_string();
    assert!(spoiled.contains("| rows left over at the end | 30 | 0 | BROKEN |\n"), "{spoiled}");
    assert_eq!(spoiled.matches("\n* redials: {").count(), 20);
    assert!(spoiled.lines().all(|line| line.chars().count() < 450));
}

#[test]
fn a_kill_with_little_in_the_air_is_not_counted_as_a_great_one() {
    let mut ledgers = Ledgers::good();
    ledgers.file("faults.jsonl")[1]["inTheAir"] = json!(49);
    assert_eq!(ledgers.judge().facts.kills_with_many_in_the_air, 0);
}

#[test]
#[should_panic(expected = "carrier.jsonl, line 3: missing field `at`")]
fn a_line_that_cannot_be_read_is_named() {
    let mut ledgers = Ledgers::good();
    ledgers.record(KILLED)[2].as_object_mut().unwrap().remove("at");
    ledgers.judge();
}

#[test]
#[should_panic(expected = "lacks something in its data")]
fn an_event_without_what_it_must_have_ends_the_check() {
    let mut ledgers = Ledgers::good();
    ledgers.ended(super::samples::call(1, 1, 1))["data"].as_object_mut().unwrap().remove("final");
    ledgers.judge();
}

#[test]
#[should_panic(expected = "dump/tasks.jsonl has no task 3")]
fn a_dump_that_is_not_whole_ends_the_check() {
    let mut ledgers = Ledgers::good();
    ledgers.dump("tasks").pop();
    ledgers.judge();
}

#[test]
fn a_last_line_without_its_end_is_not_read_and_a_missing_file_is_empty() {
    let folder = super::samples::Folder::new();
    std::fs::write(folder.join("half.jsonl"), "1\n2\n{\"half").unwrap();
    assert_eq!(super::evidence::lines::<u8>(&folder.join("half.jsonl")), [1, 2]);
    assert!(super::evidence::lines::<u8>(&folder.join("missing.jsonl")).is_empty());
}
