//! How a callee and an agent behave: the last digits of the callee's number say it, so that both sides know it.

use std::time::Duration;

/// How a call is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    CalleeHangsUp,
    AgentHangsUp,
    /// The carrier asks for credentials first; then as if it had not.
    Challenged,
    CalleeBusy,
    RingsOn,
    AgentBusy,
}

const ENDINGS: [Ending; 6] = [
    Ending::CalleeHangsUp,
    Ending::AgentHangsUp,
    Ending::Challenged,
    Ending::CalleeBusy,
    Ending::RingsOn,
    Ending::AgentBusy,
];

/// The callee's place, by its number.
fn index(callee: &str) -> usize {
    callee[callee.len() - 4..].parse().unwrap()
}

impl Ending {
    pub fn of(callee: &str) -> Self {
        ENDINGS[index(callee) % ENDINGS.len()]
    }

    /// Whether the agent is called.
    pub fn is_answered(self) -> bool {
        !matches!(self, Self::CalleeBusy | Self::RingsOn)
    }

    /// `result`, `hangupBy` and `sip.status` of its event.
    pub fn told(self) -> (&'static str, Option<&'static str>, u64) {
        match self {
            Self::CalleeHangsUp => ("ANSWERED", Some("CALLEE"), 200),
            Self::AgentHangsUp | Self::Challenged => ("ANSWERED", Some("AGENT"), 200),
            Self::CalleeBusy => ("USER_BUSY", None, 486),
            Self::RingsOn => ("NO_ANSWER", None, 487),
            Self::AgentBusy => ("AGENT_FAILED", Some("SYSTEM"), 486),
        }
    }
}

/// How long the phone rings before it is answered.
pub fn ring(callee: &str) -> Duration {
    Duration::from_millis(200 + 37 * index(callee) as u64 % 1_000)
}

/// How long whoever hangs up talks before.
pub fn talk(callee: &str) -> Duration {
    Duration::from_millis(500 + 53 * index(callee) as u64 % 2_500)
}
