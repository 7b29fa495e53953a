//! How a call ended, or left this process, as its bridge tells whoever placed it. What that means is not said here: the judge does.

use chrono::{DateTime, Utc};

use crate::dialer::sip::message::Reply;
use crate::domain::call::HangupBy;
use crate::domain::classification::FinalResponse;

/// How the callee's part of a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// No server of the trunk could be sent to.
    Unsent,
    /// The carrier said no, or nothing.
    Refused(Reply),
    /// It rang, or did not, as long as it may.
    RangOut(Option<Reply>),
    /// We took the call back before it was answered.
    Stopped(Option<Reply>),
    /// It was answered and ended.
    Talked(HangupBy, FinalResponse),
    /// It was answered, and the agent could not be connected.
    AgentFailed(Reply),
    /// It was answered, and the media of both sides do not fit together.
    MediaMismatch,
}

/// A call that is over.
#[derive(Debug, Clone)]
pub struct Over {
    pub cause: Cause,
    /// The carrier said something, whatever it was.
    pub heard: bool,
    pub ringing_at: Option<DateTime<Utc>>,
    pub answered_at: Option<DateTime<Utc>>,
    pub ended_at: DateTime<Utc>,
    /// The trunk wants offers, it turned out.
    pub wants_offers: bool,
}

/// What a server says that cannot take the call, and another may (RFC 3263, section 4.3).
const TRY_ANOTHER: u16 = 503;

impl Over {
    /// Whether the call may be tried with another server of the trunk.
    pub fn wants_another_server(&self) -> bool {
        matches!(&self.cause, Cause::Refused(reply) if reply.status == TRY_ANOTHER && !reply.local)
    }
}

/// How a call leaves this process.
#[derive(Debug, Clone)]
pub enum Finish {
    Over(Box<Over>),
    /// It is up, and written down for whoever follows at this address.
    HandedOver,
}
