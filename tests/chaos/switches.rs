//! Whether the safeguards are live: a run without each of them must break the promise that it keeps, and no other.
//!
//! `make switches`; `ONLY=FENCE,LAST_CHECK` names some of them, `CONTROL=1` has the same runs with every safeguard on, which must
//! be sound. All runs are had before anything is asserted, each in a folder of its own.

use std::ffi::OsString;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use calltaskd::safeguards::Safeguard;
use futures_util::FutureExt;

use super::aimed::{Aim, until_of_minute};
use super::checker::{self, Report, names};
use super::faults::Fault;
use super::plan::Scale;
use super::run;

/// A moment of a few milliseconds that a run did not hit may be hit by another, of the next seed.
const TRIES: u64 = 3;
/// The microsecond of a minute at which a run begins that is about a minute's end.
const BEGINS_AT: i64 = 20_000_000;

/// A short run that needs the safeguard.
struct Campaign {
    seconds: u64,
    callees: usize,
    slots_are_scarce: bool,
    /// Those that hurt here.
    faults: &'static [Fault],
    /// What chance would bring about too seldom.
    aimed: Option<Aim>,
    /// What must be broken.
    red: &'static str,
    /// What may be broken besides, because it follows from that.
    consequences: &'static [&'static str],
}

fn campaign(safeguard: Safeguard) -> Campaign {
    let usual = |red, consequences| Campaign {
        seconds: 50,
        callees: 4_000,
        slots_are_scarce: false,
        faults: &[],
        aimed: None,
        red,
        consequences,
    };
    match safeguard {
        // The store has a last word of that callee and refuses another, so the attempt stays open and is told of to nobody.
        Safeguard::Fence => Campaign {
            // Few enough that whoever is imported is called at once.
            callees: 3_000,
            aimed: Some(Aim::CancelsOnTheirWay),
            ..usual(names::AFTER_THE_LAST_WORD, &[names::RESULTS, names::ATTEMPTS, names::LEFT_OVER])
        },
        Safeguard::AckAfterCommit => Campaign { faults: &[Fault::Postgres], ..usual(names::NOT_APPLIED, &[]) },
        // Mostly stops: what a daemon leaves that is asked to stop is still up when its heir begins.
        Safeguard::SlotsAtTakeover => {
            Campaign { slots_are_scarce: true, faults: &[Fault::Term, Fault::Rolling], ..usual(names::SLOTS, &[]) }
        }
        // An event that is lost may have been a last word, the end of an attempt, the answer to an import.
        Safeguard::ConfirmById => Campaign {
            callees: 6_000,
            // What a daemon leaves is published by another, much at once.
            faults: &[Fault::Kill],
            aimed: Some(Aim::TheQueueOfEvents),
            ..usual(names::LOST, &[names::FINAL_EVENTS, names::RESULTS, names::ATTEMPTS, names::NOT_APPLIED])
        },
        // Of a call without a licence no end is recorded or told; whoever was called so is still to be called, and may be up then.
        Safeguard::CommitSeen => Campaign {
            faults: &[Fault::Postgres],
            aimed: Some(Aim::ClaimsOnTheirWay),
            ..usual(
                names::LICENCES,
                &[names::SET_UPS, names::AFTER_SILENCE, names::RESULTS, names::ATTEMPTS, names::FINAL_EVENTS],
            )
        },
        Safeguard::LastCheck => Campaign {
            callees: 2_500,
            slots_are_scarce: true,
            aimed: Some(Aim::TheEndOfAMinute),
            ..usual(names::HOURS, &[])
        },
    }
}

/// What a run says of its safeguard.
enum Verdict {
    AsItShouldBe,
    /// Nothing was broken: the moment did not come, or the safeguard is not needed.
    Nothing,
    Wrong(String),
}

impl Campaign {
    fn judge(&self, report: &Report) -> Verdict {
        let broken: Vec<&str> = report.broken().collect();
        let others: Vec<&str> =
            broken.iter().copied().filter(|name| *name != self.red && !self.consequences.contains(name)).collect();
        if broken.is_empty() {
            Verdict::Nothing
        } else if !broken.contains(&self.red) {
            Verdict::Wrong(format!("\"{}\" holds, and broken are {broken:?}", self.red))
        } else if !others.is_empty() {
            Verdict::Wrong(format!("broken besides \"{}\": {others:?}", self.red))
        } else {
            Verdict::AsItShouldBe
        }
    }

    /// Runs until something breaks, if it has to; gives what is not as it should be.
    async fn complaint(&self, safeguard: Safeguard, services: &OsString) -> Option<String> {
        for number in 0..TRIES {
            match self.run(safeguard, (services.clone(), number)).await {
                Verdict::AsItShouldBe => return None,
                Verdict::Wrong(complaint) => return Some(complaint),
                Verdict::Nothing => println!("---- {safeguard}: nothing was broken in run {}", number + 1),
            }
        }
        Some(format!("\"{}\" holds all the same, in {TRIES} runs", self.red))
    }

    async fn run(&self, safeguard: Safeguard, (services, number): (OsString, u64)) -> Verdict {
        let control = given("CONTROL").is_some();
        let scale = Scale {
            faults_for: Duration::from_secs(self.seconds),
            callees: self.callees,
            slots_are_scarce: self.slots_are_scarce,
            faults: Some(self.faults),
            aimed: self.aimed,
            about: Some(safeguard),
            is_without: !control,
            seed: Scale::from_environment().seed + number,
        };
        println!("\n---- {} {safeguard}", if control { "with" } else { "without" });
        if self.aimed == Some(Aim::TheEndOfAMinute) {
            // Windows are of a minute: that one ends when there is much to do.
            tokio::time::sleep(until_of_minute(BEGINS_AT)).await;
        }
        // A run that cannot go on must not hide the others.
        let Ok(folder) = AssertUnwindSafe(run::run(scale, services)).catch_unwind().await else {
            return Verdict::Wrong("the run could not go on, as the panic above says".to_owned());
        };
        let report = checker::check(&folder);
        println!("\n{report}");
        match (control, report.is_sound()) {
            (true, true) => Verdict::AsItShouldBe,
            (true, false) => {
                Verdict::Wrong(format!("broken with all safeguards on: {:?}", report.broken().collect::<Vec<_>>()))
            }
            (false, _) => self.judge(&report),
        }
    }
}

fn given(name: &str) -> Option<String> {
    std::env::var(format!("CALLTASKD_CHAOS_{name}")).ok().filter(|text| !text.is_empty())
}

/// Not by println, which the test runner shows for failures alone.
fn skip(why: &str) {
    std::io::stderr().write_all(format!("switches: skipped, {why}\n").as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_safeguard_turns_its_invariant_red() {
    if given("SWITCHES").is_none() {
        return skip("CALLTASKD_CHAOS_SWITCHES is not set: make switches");
    }
    let Some(services) = std::env::var_os("CALLTASKD_TEST_SERVICES") else {
        return skip("CALLTASKD_TEST_SERVICES names no script that restarts the servers");
    };
    let only = given("ONLY");
    let is_wanted =
        |safeguard: &Safeguard| only.as_ref().is_none_or(|only| only.split(',').any(|name| name == safeguard.name()));
    let mut complaints = Vec::new();
    for safeguard in Safeguard::ALL.into_iter().filter(is_wanted) {
        let complaint = campaign(safeguard).complaint(safeguard, &services).await;
        println!("---- {safeguard}: {}", complaint.as_deref().unwrap_or("as it should be"));
        complaints.extend(complaint.map(|complaint| format!("{safeguard}: {complaint}")));
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
