//! The document that calltaskd implements, sentence by sentence, as its users see the daemon.
//!
//! `docs/call-task-management.md` numbers the sentences; each has the one test here whose name begins with its number,
//! and `list.rs` holds the two together. Whatever goes further than that document is tested elsewhere.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

#[path = "../harness/mod.rs"]
mod harness;

mod calling_hours;
mod cancelling;
mod creation;
mod details;
mod exporting;
mod importing;
mod introduction;
mod limits;
mod list;
mod operator;
mod recordings;
mod redials;
mod updates;
