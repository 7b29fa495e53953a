//! One call of one side, and what was drawn for it: whether, when and how it is answered, and who hangs up when.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::message::Message;
use crate::plan::{ENDINGS, Ending, RING_MILLIS, TALK_MILLIS};

/// Where a message came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    Callee,
    Agent,
}

impl Side {
    /// Before what happens on this side, in the ledger.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Callee => "",
            Self::Agent => "AGENT_",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ringing,
    /// 200 was given.
    Answered,
    Over,
}

/// What chance has in store for a call; the same for both sides of it.
#[derive(Debug, Clone, Copy)]
pub struct Lot {
    pub ring: Duration,
    pub talk: Duration,
    pub ending: Ending,
    pub callee_hangs_up: bool,
}

impl Lot {
    fn draw(seed: u64, attempt: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, attempt).hash(&mut hasher);
        let mut dice = StdRng::seed_from_u64(hasher.finish());
        let millis = |dice: &mut StdRng, [least, most]: [u64; 2]| Duration::from_millis(dice.gen_range(least..=most));
        let mut at = dice.gen_range(0..ENDINGS.iter().map(|(_, weight)| weight).sum());
        let drawn = ENDINGS.iter().find(|(_, weight)| {
            let is_it = at < *weight;
            at = at.saturating_sub(*weight);
            is_it
        });
        let ending = drawn.unwrap().0;
        let (ring, talk) = (millis(&mut dice, RING_MILLIS), millis(&mut dice, TALK_MILLIS));
        Self { ring, talk, ending, callee_hangs_up: dice.gen_bool(0.5) }
    }

    pub fn hangs_up(self, side: Side) -> bool {
        self.callee_hangs_up == (side == Side::Callee)
    }
}

/// A phone in a call.
#[derive(Debug)]
pub struct Leg {
    pub side: Side,
    pub invite: Message,
    pub from: SocketAddr,
    pub lot: Lot,
    pub state: State,
    /// The ACK to its 200 came.
    pub is_acknowledged: bool,
}

impl Leg {
    pub fn new(side: Side, (invite, from): (Message, SocketAddr), seed: u64) -> Self {
        let lot = Lot::draw(seed, attempt(invite.call_id()));
        Self { side, invite, from, lot, state: State::Ringing, is_acknowledged: false }
    }
}

/// The attempt that a Call-ID belongs to: it is the callee's Call-ID, and the end of the agent's.
pub fn attempt(call_id: &str) -> &str {
    call_id.get(call_id.len().saturating_sub(36)..).unwrap_or(call_id)
}

/// The user of a header's URI: the number.
pub fn user(header: &str) -> &str {
    header.split_once("sip:").and_then(|(_, rest)| rest.split_once('@')).map_or("", |(user, _)| user)
}
