//! Holds docs/asyncapi.yaml equal to the code, from all sides and without any server: what the readers of commands and
//! queries take, what the writers of events and replies write, the sets of values, and the examples of docs/wire.md.
//!
//! The tests that have servers judge by the same document whatever a daemon sends (tests/harness).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

#[path = "harness/document.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod document;
#[path = "asyncapi/events.rs"]
mod events;
#[path = "asyncapi/examples.rs"]
mod examples;
#[path = "asyncapi/fields.rs"]
mod fields;
#[path = "asyncapi/limits.rs"]
mod limits;
#[path = "asyncapi/reading.rs"]
mod reading;
#[path = "asyncapi/structure.rs"]
mod structure;
#[path = "asyncapi/values.rs"]
mod values;
