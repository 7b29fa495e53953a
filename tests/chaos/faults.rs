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
    /// Crashes, and is back at once.
    Postgres,
    Rabbitmq,
    /// Nothing passes the network.
    Stall,
    /// The network loses all connections.
    Reset,
    /// Some of the daemons' sessions are ended by Postgres.
    Sessions,
    PostgresAway,
    /// Nobody is bound to the events.
    Unbound,
    RabbitmqKill,
    /// All connections are closed by RabbitMQ.
    Connections,
    /// RabbitMQ takes nothing from publishers.
    MemoryAlarm,
    DiskFull,
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
const KINDS: [(Fault, &str, u32); 18] = [
    (Fault::Kill, "KILL", 11),
    (Fault::Stop, "STOP", 3),
    (Fault::Term, "TERM", 3),
    (Fault::Postgres, "POSTGRES", 2),
    (Fault::Rabbitmq, "RABBITMQ", 1),
    (Fault::Stall, "STALL", 2),
    (Fault::Reset, "RESET", 1),
    (Fault::Sessions, "SESSIONS", 2),
    (Fault::PostgresAway, "POSTGRES_AWAY", 1),
    (Fault::Unbound, "UNBOUND", 1),
    (Fault::RabbitmqKill, "RABBITMQ_KILL", 1),
    (Fault::Connections, "CONNECTIONS", 1),
    (Fault::MemoryAlarm, "MEMORY_ALARM", 1),
    (Fault::DiskFull, "DISK_FULL", 1),
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

/// The kinds that may come in a run.
pub fn allowed(scale: &Scale) -> Vec<Fault> {
    let names = std::env::var(ALLOWED).ok().filter(|names| !names.is_empty());
    match (scale.faults, names) {
        (Some(faults), _) => faults.to_vec(),
        (None, Some(names)) => names.split(',').map(|name| named(name.trim())).collect(),
        (None, None) => {
            let short = KINDS.iter().take(if scale.faults_for < LONG { OF_A_SHORT_RUN } else { KINDS.len() });
            short.map(|(fault, ..)| *fault).collect()
        }
    }
}

fn named(name: &str) -> Fault {
    let found = KINDS.iter().find(|(_, known, _)| *known == name);
    found.unwrap_or_else(|| panic!("{ALLOWED}: there is no fault {name:?} among {KINDS:?}")).0
}

/// What comes next.
pub struct Order {
    allowed: Vec<Fault>,
    /// Drawn already, the next one last.
    drawn: Vec<Fault>,
}

impl Order {
    /// Each kind once before any comes again, as often as the run has to have each; after that as they are drawn.
    pub fn new(dice: &mut StdRng, scale: &Scale, allowed: Vec<Fault>) -> Self {
        let mut drawn = Vec::new();
        for _ in 0..scale.faults_of_a_kind() {
            let round = drawn.len();
            drawn.extend(&allowed);
            drawn[round..].shuffle(dice);
        }
        Self { allowed, drawn }
    }

    /// Whether a kind has yet to come.
    pub fn is_incomplete(&self) -> bool {
        !self.drawn.is_empty()
    }

    /// None, where none may come.
    pub fn next(&mut self, dice: &mut StdRng) -> Option<Fault> {
        let weight = |fault: &Fault| KINDS.iter().find(|(known, ..)| known == fault).unwrap().2;
        self.drawn.pop().or_else(|| self.allowed.choose_weighted(dice, weight).ok().copied())
    }
}
