//! What the checker found, for a person and for an assertion.
//!
//! Examples are there to begin a search with, not to be complete: a broken run may have a hundred thousand of them.

use std::collections::BTreeMap;
use std::fmt;

use super::evidence::FaultKind;
use super::history::History;

/// How many examples of one broken invariant are shown, and how many characters of each.
const SHOWN: usize = 20;
const SHOWN_CHARACTERS: usize = 400;

/// A kill that is worth its name: so many calls in the air.
const MANY_IN_THE_AIR: u64 = 50;

/// One promise, as a figure that must not be above its limit.
#[derive(Debug)]
pub struct Invariant {
    pub name: &'static str,
    pub figure: u64,
    pub limit: u64,
    /// What broke it.
    pub examples: Vec<String>,
}

impl Invariant {
    /// Nothing of this kind may be found.
    pub fn none(name: &'static str, found: Vec<String>) -> Self {
        Self::new(name, (found.len(), 0), found)
    }

    pub fn new(name: &'static str, (figure, limit): (usize, u64), mut found: Vec<String>) -> Self {
        // Much of it comes out of hash maps; the report of the same evidence is the same.
        found.sort_unstable();
        let examples = found.iter().take(SHOWN).map(|example| cut(example)).collect();
        Self { name, figure: figure as u64, limit, examples }
    }

    pub fn holds(&self) -> bool {
        self.figure <= self.limit
    }
}

fn cut(example: &str) -> String {
    match example.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &example[..end]),
        None => example.to_owned(),
    }
}

/// How much there was to judge, and how hard the run was.
#[derive(Debug)]
pub struct Facts {
    pub callees: usize,
    pub attempts: usize,
    pub calls_placed: usize,
    pub unknown_outcomes: usize,
    /// Each counted once.
    pub events: usize,
    pub repeated_events: usize,
    /// Each counted once.
    pub commands: usize,
    pub repeated_commands: usize,
    pub poison: usize,
    /// Calls that another run could have gone on with.
    pub kept_calls: usize,
    pub faults: BTreeMap<FaultKind, usize>,
    /// The kinds that came less often than the plan says.
    pub rare_faults: Vec<FaultKind>,
    pub faults_with_many_in_the_air: usize,
    pub kills_with_many_in_the_air: usize,
    /// Each kind had to come several times.
    pub is_very_long: bool,
}

impl Facts {
    pub fn of(history: &History) -> Self {
        let evidence = history.evidence;
        let mut faults = BTreeMap::new();
        for fault in &evidence.faults {
            *faults.entry(fault.kind).or_default() += 1;
        }
        let great: Vec<_> = evidence.faults.iter().filter(|fault| fault.in_the_air >= MANY_IN_THE_AIR).collect();
        let often = |kind: &FaultKind| faults.get(kind).copied().unwrap_or(0) >= evidence.plan.faults_of_a_kind;
        let rare_faults = evidence.plan.faults.iter().copied().filter(|kind| !often(kind)).collect();
        let commands = evidence.commands();
        let sent: usize = commands.values().map(|command| command.sent).sum();
        let events = evidence.events.distinct().count();
        Self {
            callees: evidence.dump.callees.len(),
            attempts: evidence.dump.attempts.len(),
            calls_placed: evidence.records.placings.len(),
            unknown_outcomes: history.unknown_outcomes().count(),
            events,
            repeated_events: evidence.events.all.len() - events,
            commands: commands.len(),
            repeated_commands: sent.saturating_sub(commands.len()),
            poison: evidence.aftermath.poison_sent(),
            kept_calls: evidence.dump.dialogs.len(),
            rare_faults,
            faults_with_many_in_the_air: great.len(),
            kills_with_many_in_the_air: great.iter().filter(|fault| fault.kind == FaultKind::Kill).count(),
            faults,
            is_very_long: evidence.plan.faults_of_a_kind > 1,
        }
    }

    fn lines(&self) -> Vec<(String, usize)> {
        let mut lines: Vec<(String, usize)> = [
            ("callees", self.callees),
            ("attempts", self.attempts),
            ("calls placed", self.calls_placed),
            ("unknown outcomes", self.unknown_outcomes),
            ("events", self.events),
            ("repeats of events", self.repeated_events),
            ("commands", self.commands),
            ("repeats of commands", self.repeated_commands),
            ("messages that nobody can read", self.poison),
            ("calls written down", self.kept_calls),
        ]
        .map(|(name, figure)| (name.to_owned(), figure))
        .into();
        lines.extend(self.faults.iter().map(|(kind, figure)| (format!("faults: {kind}"), *figure)));
        let great = format!("faults with {MANY_IN_THE_AIR} or more calls in the air");
        lines.push((great, self.faults_with_many_in_the_air));
        let kills = format!("kills with {MANY_IN_THE_AIR} or more calls in the air");
        lines.push((kills, self.kills_with_many_in_the_air));
        lines
    }
}

/// Everything that was found.
#[derive(Debug)]
pub struct Report {
    /// Always all of them, in the same order.
    pub invariants: Vec<Invariant>,
    pub facts: Facts,
}

impl Report {
    /// True when every promise was kept.
    pub fn is_sound(&self) -> bool {
        self.broken().next().is_none()
    }

    /// The names of those that do not hold.
    pub fn broken(&self) -> impl Iterator<Item = &'static str> {
        self.invariants.iter().filter(|invariant| !invariant.holds()).map(|invariant| invariant.name)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| invariant | figure | limit | |\n|---|--:|--:|---|")?;
        for invariant in &self.invariants {
            let Invariant { name, figure, limit, .. } = invariant;
            let verdict = if invariant.holds() { "ok" } else { "BROKEN" };
            writeln!(f, "| {name} | {figure} | {limit} | {verdict} |")?;
        }
        for invariant in self.invariants.iter().filter(|invariant| !invariant.holds()) {
            writeln!(f, "\n**{}**, {} at most {}:\n", invariant.name, invariant.figure, invariant.limit)?;
            for example in &invariant.examples {
                writeln!(f, "* {example}")?;
            }
        }
        writeln!(f, "\n| fact | figure |\n|---|--:|")?;
        for (name, figure) in self.facts.lines() {
            writeln!(f, "| {name} | {figure} |")?;
        }
        Ok(())
    }
}
