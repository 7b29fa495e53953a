//! The wire contract, sentence by sentence, as the systems at both ends of the bus see it.
//!
//! Each test has a daemon of its own, and they run side by side.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

#[path = "../harness/mod.rs"]
mod harness;

mod agents;
mod cancels;
mod dead_letters;
mod events;
mod exports;
mod idempotency;
mod imports;
mod instruments;
mod numbers;
mod order;
mod queries;
mod records;
mod reports;
mod rows;
mod schedules;
mod service_instances;
mod starts;
mod states;
mod tasks;
mod uncounted;
mod unroutable;
mod updates;
