//! The kinds of faults, and in which order they come: drawn from the seed alone, so that the same seed gives the same order.
//!
//! Knows nothing of how a fault is done; that is the nemesis' business.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::plan::{LONG, Scale};

/// Which kinds may come; all that the run is long enough for, when it is not set.
const ALLOWED: &str = "CALLTASKD_CHAOS_FAULTS";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Kill,
    Stop,
    Term,
    Postgres,
    Rabbitmq,
    /// The carrier refuses every call.
    TrunkOverloaded,
    /// The carrier hears nothing.
    TrunkDeaf,
    /// All daemons are stopped and replaced, one after the other.
    Rolling,
    /// A daemon is killed, and its successor's clock is wrong.
    Clock,
}

/// Each kind by the name that ledgers and the environment have for it, and how often it is drawn.
const KINDS: [(Fault, &str, u32); 9] = [
    (Fault::Kill, "KILL", 11),
    (Fault::Stop, "STOP", 3),
    (Fault::Term, "TERM", 3),
    (Fault::Postgres, "POSTGRES", 2),
    (Fault::Rabbitmq, "RABBITMQ", 1),
    (Fault::TrunkOverloaded, "TRUNK_OVERLOADED", 1),
    (Fault::TrunkDeaf, "TRUNK_DEAF", 1),
    (Fault::Rolling, "ROLLING", 1),
    (Fault::Clock, "CLOCK", 1),
];

/// So many of them, from the first on, are all that a short run has time for.
const OF_A_SHORT_RUN: usize = 5;

impl Fault {
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(fault, ..)| *fault == self).unwrap().1
    }

    pub fn strikes_a_daemon(self) -> bool {
        matches!(self, Self::Kill | Self::Stop | Self::Term | Self::Clock)
    }
}

/// What comes next.
pub struct Order {
    allowed: Vec<(Fault, u32)>,
    /// Drawn already: each kind once before any comes again, in an order of chance.
    drawn: Vec<Fault>,
}

impl Order {
    pub fn new(dice: &mut StdRng, scale: &Scale) -> Self {
        let names = std::env::var(ALLOWED).ok().filter(|names| !names.is_empty());
        let allowed: Vec<_> = match (scale.faults, names) {
            (Some(faults), _) => KINDS.into_iter().filter(|(fault, ..)| faults.contains(fault)).collect(),
            (None, Some(names)) => names.split(',').map(|name| named(name.trim())).collect(),
            (None, None) if scale.faults_for >= LONG => KINDS.to_vec(),
            (None, None) => KINDS[..OF_A_SHORT_RUN].to_vec(),
        };
        let mut drawn: Vec<Fault> = allowed.iter().map(|(fault, ..)| *fault).collect();
        drawn.shuffle(dice);
        Self { allowed: allowed.into_iter().map(|(fault, _, weight)| (fault, weight)).collect(), drawn }
    }

    /// Whether a kind has yet to come.
    pub fn is_incomplete(&self) -> bool {
        !self.drawn.is_empty()
    }

    /// None, where none may come.
    pub fn next(&mut self, dice: &mut StdRng) -> Option<Fault> {
        let by_weight = |dice| self.allowed.choose_weighted(dice, |(_, weight)| *weight).ok().map(|(fault, _)| *fault);
        self.drawn.pop().or_else(|| by_weight(dice))
    }
}

fn named(name: &str) -> (Fault, &'static str, u32) {
    let found = KINDS.into_iter().find(|(_, known, _)| *known == name);
    found.unwrap_or_else(|| panic!("{ALLOWED}: there is no fault {name:?} among {KINDS:?}"))
}
