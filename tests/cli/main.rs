//! The command line as its operator has it: every command by hand and by `--json`, what it prints, and how it ends.
//!
//! One daemon for each group of commands.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

#[path = "../harness/mod.rs"]
mod harness;

mod files;
mod nobody;
mod records;
mod said;
mod tasks;
mod terminal;
