//! What the end of a call over SIP means: its result, whose doing it was, and whether it uses up an attempt.
//!
//! Pure: it is given what was seen of the callee's leg and the trunk's own rules. What decides, in this order: a cause
//! of our own, the trunk's rules, the Q.850 cause (RFC 3326), the SIP status. The same code means different things on
//! different trunks, so the trunk's rules come first, and the rule that decided is kept with the result. What a
//! callee is due after it is decided in `redial.rs`. The table stands in `table.rs` and, for people, in
//! docs/call-results.md; a test holds the two equal.

mod evidence;
mod overrides;
mod table;

#[cfg(test)]
mod document;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use super::call::{CallResult, Scope, SipEvidence};

pub use evidence::{Cause, FinalResponse};
pub use overrides::{Override, StatusRange};
use table::Ending;

/// A trunk that names a longer time is asked again after this one: it may have forgotten by then, or have been mended.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// What was seen of a call's callee's side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Why we ended it, or why nothing more came.
    pub local: Option<LocalCause>,
    /// The last response to the INVITE.
    pub response: Option<FinalResponse>,
    /// A 180 or another 18x came.
    pub rang: bool,
}

/// What ended a call without a word, or against the word, of the carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalCause {
    /// It was not answered in time, so we took it back.
    RingTimeout,
    /// We were told to end it before it was answered.
    Stopped,
    /// No last response came: Timer B, or the connection broke.
    NoReply,
    /// It could not be sent: no address, or no connection.
    Unreachable,
    /// The trunk did not take our credentials, or we have none.
    AuthenticationFailed,
    /// The callee answered, the agent could not be connected.
    AgentFailed,
    /// The callee answered with media that no agent could be connected to.
    MediaMismatch,
}

/// What an end says about the trunk itself, for whoever sets the pace and raises the alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrunkState {
    /// It did its work.
    Fine,
    /// It has too much to do, or says that a limit is reached: slow down.
    Overloaded,
    /// Its settings, its account or its route are wrong: other calls will end likewise until a person mends it.
    Broken,
}

/// What the end of a call means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classification {
    pub result: CallResult,
    pub scope: Scope,
    pub counted: bool,
    /// What decided: `sip-486`, `q850-17`, `trunk:NAME`, `local-ring-timeout`.
    pub rule: Cow<'static, str>,
    pub trunk: TrunkState,
    /// How long the trunk wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// Whether an end of this scope uses up an attempt, unless something else is said.
pub const fn counts(scope: Scope) -> bool {
    matches!(scope, Scope::Callee | Scope::CallerNumber)
}

/// Judges the end of a call; `overrides` are the trunk's own rules, of which the first that fits decides.
pub fn classify(seen: &Seen, overrides: &[Override]) -> Classification {
    if let Some(row) = table::LOCAL.iter().find(|row| row.fits_local(seen)) {
        return seen.decided(&row.ending, row.rule(seen));
    }
    let refusal = seen.response.as_ref().filter(|response| response.status >= 300);
    if let Some(own) = refusal.and_then(|response| overrides.iter().find(|own| own.fits(response, seen.rang))) {
        return seen.decided(&own.ending(), Cow::Owned(format!("trunk:{}", own.name)));
    }
    let row = table::SIGNALLED.iter().find(|row| row.fits_signalled(seen)).unwrap_or(&table::LAST);
    seen.decided(&row.ending, row.rule(seen))
}

impl Seen {
    fn decided(&self, ending: &Ending, rule: Cow<'static, str>) -> Classification {
        let Ending { result, scope, counted, trunk } = *ending;
        let asked = self.response.as_ref().and_then(|response| response.retry_after);
        let retry_after = asked.filter(|_| scope == Scope::Trunk).map(|asked| asked.min(LONGEST_RETRY_AFTER));
        Classification { result, scope, counted, rule, trunk, retry_after }
    }

    /// What the signalling said, to be kept with the result. Without a response it is what RFC 3261 (section 8.1.3.1)
    /// has a user agent assume.
    pub fn evidence(&self, decided: &Classification) -> SipEvidence {
        let rule = decided.rule.clone().into_owned();
        let Some(response) = &self.response else {
            let (status, reason) = match self.local {
                Some(LocalCause::RingTimeout | LocalCause::Stopped) => (487, "Request Terminated"),
                Some(LocalCause::Unreachable) => (503, "Service Unavailable"),
                _ => (408, "Request Timeout"),
            };
            return SipEvidence { status, reason: reason.to_owned(), q850: None, rule };
        };
        let q850 = response.causes.first().map(|cause| cause.code);
        SipEvidence { status: response.status, reason: response.reason.clone(), q850, rule }
    }
}
