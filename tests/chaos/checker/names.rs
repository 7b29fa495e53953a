//! What each invariant is called in the report. The names are stable: reports of different runs are compared by them.

/// How often one attempt was handed to the carrier.
pub const SET_UPS: &str = "call set-ups of one attempt, at most";
/// The committed row is the licence to dial.
pub const LICENCES: &str = "calls placed without a licence committed before";
pub const SLOTS: &str = "slots above a limit, at any instant";
pub const CALLS_PER_SECOND: &str = "calls per second above a limit, in any second";
pub const HOURS: &str = "calls placed outside their task's hours";
pub const MISLED: &str = "calls placed by a daemon with a wrong clock";
pub const FINAL_EVENTS: &str = "callees without exactly one final event";
pub const RESULTS: &str = "results that differ from the carrier's record";
pub const ATTEMPTS: &str = "attempts without exactly one call.ended";
pub const UNKNOWN_OUTCOMES: &str = "unknown outcomes of attempts that were not open at a kill or stop";
pub const BUDGETS: &str = "callees with more counted attempts than allowed";
pub const LOST: &str = "events written and never consumed";
pub const MADE_UP: &str = "events consumed and never written, or in two versions";
pub const NOT_APPLIED: &str = "commands confirmed and not applied";
pub const APPLIED_TWICE: &str = "commands applied twice";
pub const LEFT_OVER: &str = "rows left over at the end";
pub const AFTER_SILENCE: &str = "INVITEs of one attempt after silence";
pub const KEPT_AND_UNKNOWN: &str =
    "unknown outcomes of calls that were written down, with a daemon back at their address";
pub const DEAD_LETTERS: &str = "dead letters that are no poison, and poison that is no dead letter";
pub const HELD: &str = "slots, calls, dialogs and transactions held at the end";
pub const QUEUES: &str = "queues with messages at the end";
pub const GROWTH: &str = "memory, descriptors or threads above 1.2 of what they were";
pub const AFTER_THE_LAST_WORD: &str = "calls placed after a callee's final event";
