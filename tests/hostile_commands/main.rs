//! Commands and files that somebody made to do harm: each is refused clearly, once, and the daemon works on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

#[path = "../harness/mod.rs"]
mod harness;

mod bodies;
mod fields;
mod files;
mod properties;
mod relay;
mod replies;
mod scene;
mod stranger;
