//! The offline checker: reads what a run has left behind in a folder and says which promises it kept.
//!
//! It shares no code with the daemon and never talks to it: the ids, the limits and the order of things are worked
//! out anew from the plan, so that a mistake of the daemon's is not made twice. It judges evidence alone, never its
//! own expectations of what a run should look like; whether a run was hard enough is for the [`Facts`] and whoever
//! reads them. The same evidence always gives the same report.
//!
//! | file | what it is for |
//! |---|---|
//! | `names` | every invariant, in the order of the report |
//! | `evidence`, `events`, `record`, `dump` | the files, as structs |
//! | `history` | the same, put together by call and callee |
//! | `carrier`, `limits`, `hours` | what the carrier saw: set-ups, licences, slots, calls per second, when |
//! | `results`, `unknown` | how calls ended, by the carrier and by the events |
//! | `outcomes` | what became of callees and attempts |
//! | `commands`, `messages` | what was asked for, and what was told |
//! | `aftermath` | what was left when it was over |

mod aftermath;
mod carrier;
mod commands;
mod dump;
mod events;
mod evidence;
mod history;
mod hours;
mod limits;
mod messages;
pub mod names;
mod outcomes;
mod record;
mod report;
mod results;
mod unknown;

#[cfg(test)]
mod good_run;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use std::path::Path;

use evidence::Evidence;
use history::History;
pub use report::{Facts, Report};

/// Judges the evidence in a folder.
///
/// # Panics
///
/// When a line cannot be read, or the dump contradicts itself: then there is nothing to judge.
pub fn check(folder: &Path) -> Report {
    let evidence = Evidence::read(folder);
    let history = History::of(&evidence);
    let invariants = vec![
        carrier::set_ups(&history),
        carrier::licences(&history),
        limits::slots(&evidence),
        limits::calls_per_second(&evidence),
        hours::hours(&evidence),
        hours::misled(&evidence),
        outcomes::final_events(&history),
        results::results(&history),
        outcomes::attempts(&history),
        unknown::unknown_outcomes(&history),
        outcomes::budgets(&evidence),
        messages::lost(&evidence),
        messages::made_up(&evidence),
        commands::not_applied(&evidence),
        commands::applied_twice(&evidence),
        messages::left_over(&evidence),
        outcomes::calls_after_the_last_word(&history),
        carrier::after_silence(&history),
        unknown::kept_and_unknown(&history),
        evidence.aftermath.dead_letters(),
        evidence.aftermath.held(),
        evidence.aftermath.queues(),
        evidence.aftermath.growth(),
    ];
    Report { invariants, facts: Facts::of(&history) }
}
