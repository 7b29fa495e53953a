//! What surrounds a daemon under test: real servers, the systems at both ends of the bus, and the carrier's record.
//!
//! The tests see the daemon from outside alone, by the wire contract; nothing here looks into its crate or its
//! tables, but for the clock that a test may give it. Each test has its own database, its own names on the bus and its own process, so that tests run side
//! by side. Nothing waits by sleeping: each wait has a condition, a name and a deadline (`patience.rs`).

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

pub mod agreement;
pub mod daemon;
pub mod document;
pub mod downstream;
pub mod export;
pub mod operator;
pub mod orders;
pub mod patience;
pub mod plan;
pub mod record;
pub mod servers;
pub mod site;
pub mod upstream;
pub mod voice;
