//! Everything that goes wrong in production, drawn from a seed, while an upstream and a downstream system and a carrier
//! that is called over SIP each keep a ledger of their own; then a checker that shares no code with the daemon joins the ledgers with a dump
//! of the database.
//!
//! `make chaos MINUTES=5 SEED=…` shows it happen; without either it is the minute that is part of `make test`.
//! The evidence stays in cargo's target folder; `CALLTASKD_CHAOS_CHECK=FOLDER` judges it again without a run.
//!
//! `CALLTASKD_CHAOS_FAULTS=STOP,KILL` lets these kinds of faults come and no others.
//!
//! Needs `CALLTASKD_TEST_SERVICES`, the script that restarts the private servers, and skips itself without.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod aftermath;
mod aimed;
mod book;
mod carrier;
mod checker;
mod consumer;
mod disk;
mod faults;
mod fleet;
#[path = "../harness/mod.rs"]
mod harness;
mod nemesis;
mod outages;
mod plan;
#[path = "../sip/ports.rs"]
mod ports;
mod producer;
mod proxy;
mod run;
mod sessions;
mod switches;
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
    println!("\n{report}\nto judge the same evidence again: CALLTASKD_CHAOS_CHECK={} make chaos", folder.display());
    assert!(report.is_sound(), "broken, as the table above says");
    // An easy run proves nothing, and an empty one is sound.
    let facts = &report.facts;
    assert!(facts.callees > 0, "sound, and empty: no callee was accepted");
    assert!(facts.kills_with_many_in_the_air > 0, "sound, and too easy: no kill found calls in the air");
    assert!(
        facts.rare_faults.is_empty(),
        "sound, and too easy: {:?} came less often than they had to",
        facts.rare_faults
    );
    if facts.is_very_long {
        let (all, great) = (facts.faults.values().sum::<usize>(), facts.faults_with_many_in_the_air);
        assert!(10 * great >= 9 * all, "sound, and too easy: {great} of {all} faults found many calls in the air");
    }
}
