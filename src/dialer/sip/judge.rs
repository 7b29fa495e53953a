//! What the end of a call over SIP means: what was seen of it is given to the classifier.
//!
//! Must not know the rules themselves; they stand in `domain::classification`.

use chrono::{DateTime, TimeDelta, Utc};

use super::bridge::{Cause, Over};
use super::message::Reply;
use crate::domain::call::{CallEnd, HangupBy};
use crate::domain::classification::{Classification, FinalResponse, LocalCause, Override, Seen, classify};

/// Judges the calls of one trunk.
#[derive(Debug, Default)]
pub struct Judge {
    overrides: Vec<Override>,
}

impl Judge {
    pub fn new(overrides: Vec<Override>) -> Self {
        Self { overrides }
    }

    /// The end of a call that began at `started_at`, and all that was decided about it.
    pub fn end(&self, over: Over, started_at: DateTime<Utc>) -> (CallEnd, Classification) {
        let Over { cause, heard, ringing_at, answered_at, ended_at, .. } = over;
        let hangup_by = hangup_by(&cause);
        let (local, response) = seen(cause, heard);
        let seen = Seen { local, response, rang: ringing_at.is_some() };
        let decided = classify(&seen, &self.overrides);
        let not_before =
            decided.retry_after.and_then(|wait| TimeDelta::from_std(wait).ok()).map(|wait| ended_at + wait);
        let end = CallEnd {
            result: decided.result,
            scope: decided.scope,
            counted: decided.counted,
            sip: Some(seen.evidence(&decided)),
            ringing_at,
            answered_at,
            hangup_by,
            not_before,
            ..CallEnd::unknown(started_at, ended_at)
        };
        (end, decided)
    }
}

fn hangup_by(cause: &Cause) -> Option<HangupBy> {
    match cause {
        Cause::Talked(by, _) => Some(*by),
        Cause::AgentFailed(_) | Cause::MediaMismatch => Some(HangupBy::System),
        Cause::Unsent | Cause::Refused(_) | Cause::RangOut(_) | Cause::Stopped(_) => None,
    }
}

/// What the classifier is told: a cause of our own, and what the callee's side said last. `heard`: it said something.
fn seen(cause: Cause, heard: bool) -> (Option<LocalCause>, Option<FinalResponse>) {
    let answered = || Some(FinalResponse::new(200, "OK"));
    let said = |reply: Option<Reply>| reply.filter(|reply| !reply.local).map(|reply| reply.response);
    match cause {
        Cause::Unsent => (Some(LocalCause::Unreachable), None),
        Cause::Refused(reply) if reply.local => (Some(LocalCause::NoReply), None),
        Cause::Refused(reply) => (None, Some(reply.response)),
        // A call that nobody heard of has not rung too long: the trunk is not there.
        Cause::RangOut(None) if !heard => (Some(LocalCause::NoReply), None),
        // Its first word came when it had been given up: only an answer says that it was there in time.
        Cause::RangOut(Some(reply)) if !reply.is_success() && !heard => (Some(LocalCause::NoReply), None),
        Cause::RangOut(reply) => (Some(LocalCause::RingTimeout), said(reply)),
        Cause::Stopped(reply) => (Some(LocalCause::Stopped), said(reply)),
        Cause::Talked(_, reasons) => (None, Some(reasons)),
        Cause::AgentFailed(_) => (Some(LocalCause::AgentFailed), answered()),
        Cause::MediaMismatch => (Some(LocalCause::MediaMismatch), answered()),
    }
}
