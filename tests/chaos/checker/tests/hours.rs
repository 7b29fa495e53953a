//! Calls outside their hours. The good run begins at 14:13:20.

use serde_json::json;

use super::super::names::{HOURS, MISLED};
use super::figures;

fn open(start: &str, end: &str) -> Vec<(&'static str, u64)> {
    figures(|ledgers| ledgers.plan()["tasks"][0]["callingTimes"] = json!([{"start": start, "end": end}]))
}

#[test]
fn a_call_outside_its_hours_is_found() {
    assert_eq!(open("14:13", "14:14"), []);
    assert_eq!(open("00:00", "24:00"), []);
    assert_eq!(open("14:14", "24:00"), [(HOURS, 6)], "all of task 1 come before");
    assert_eq!(open("00:00", "14:13"), [(HOURS, 6)], "all of task 1 come after");
}

#[test]
fn a_call_by_a_wrong_clock_is_found() {
    let found = figures(|ledgers| ledgers.file("processes.jsonl")[1]["misled"] = json!(true));
    assert_eq!(found, [(MISLED, 2)], "all of the stopped daemon");
}
