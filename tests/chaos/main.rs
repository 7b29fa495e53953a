//! Everything that goes wrong in production, drawn from a seed, while an upstream and a downstream system and a carrier
//! each keep a ledger of their own; then a checker that shares no code with the daemon joins the ledgers with a dump
//! of the database.
//!
//! `make chaos MINUTES=5 SEED=…` shows it happen; without either it is the two minutes that are part of `make test`.
//! The evidence stays in cargo's target folder; `CALLTASKD_CHAOS_CHECK=FOLDER` judges it again without a run.
//!
//! Needs `CALLTASKD_TEST_SERVICES`, the script that restarts the private servers, and skips itself without.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod book;
mod checker;
mod consumer;
mod fleet;
#[path = "../harness/mod.rs"]
mod harness;
mod nemesis;
mod plan;
mod producer;
mod run;
mod witness;

use std::io::Write as _;
use std::path::PathBuf;

use plan::Scale;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_promise_is_broken_whatever_falls() {
    let folder = match std::env::var_os("CALLTASKD_CHAOS_CHECK") {
        Some(folder) => PathBuf::from(folder),
        None => {
            let Some(services) = std::env::var_os("CALLTASKD_TEST_SERVICES") else {
                // Not by println, which the test runner shows for failures alone.
                let line = "chaos: skipped, CALLTASKD_TEST_SERVICES names no script that restarts the servers\n";
                std::io::stderr().write_all(line.as_bytes()).unwrap();
                return;
            };
            run::run(Scale::from_environment(), services).await
        }
    };
    let report = checker::check(&folder);
    println!("\n{report}");
    // An easy run proves nothing, and an empty one is sound.
    assert!(report.facts.callees > 0 && report.facts.kills_with_many_in_the_air > 0, "too easy a run");
    assert!(report.is_sound(), "broken, by the evidence in {}", folder.display());
}
