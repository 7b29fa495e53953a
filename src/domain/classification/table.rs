//! The table of the classifier: each row says when it decides, and what the end means then. The first that fits decides.
//!
//! What a row leaves open it does not ask for. Causes by Q.850 come before SIP statuses, because gateways translate the
//! network's causes into few statuses and lose something on the way. A status that the trunk gives in its own
//! name (credentials, account, media) is not asked for a cause: whatever is there was only made from it.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::{CallResult, LocalCause, Scope, Seen, TrunkState};

/// What an end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    pub result: CallResult,
    pub scope: Scope,
    pub counted: bool,
    pub trunk: TrunkState,
}

/// What a row looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Local(LocalCause, &'static str),
    /// One of the causes, with one of the statuses; these are ranges, because some rows hold for a hundred.
    Q850(&'static [u16], &'static [RangeInclusive<u16>]),
    Sip(&'static [RangeInclusive<u16>]),
}

/// What else has to be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Only {
    Always,
    Rang,
    Silent,
    /// The callee itself gave the cause.
    ByUser,
    /// A text of the response says that an analysis of calls blocked the number.
    Blocked,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub step: Step,
    pub only: Only,
    pub ending: Ending,
}

const fn ending(result: CallResult, scope: Scope, trunk: TrunkState) -> Ending {
    Ending { result, scope, counted: super::counts(scope), trunk }
}

const fn callee(result: CallResult) -> Ending {
    ending(result, Scope::Callee, TrunkState::Fine)
}

/// The carrier refuses this caller number.
const BLOCKED: Ending = ending(CallResult::OperatorBlock, Scope::CallerNumber, TrunkState::Fine);
/// The caller number cannot be vouched for (STIR): nobody was kept from anything, and another callee fares no better.
const IDENTITY: Ending =
    Ending { counted: false, ..ending(CallResult::Others, Scope::CallerNumber, TrunkState::Broken) };
const BUSY_NETWORK: Ending = ending(CallResult::NetworkBusy, Scope::Trunk, TrunkState::Overloaded);
const BROKEN_TRUNK: Ending = ending(CallResult::Others, Scope::Trunk, TrunkState::Broken);
/// Mostly a limit of channels or calls per second that the trunk does not call so.
const FORBIDDEN: Ending = ending(CallResult::Others, Scope::Trunk, TrunkState::Overloaded);
const OUR_STOP: Ending = ending(CallResult::Cancel, Scope::Local, TrunkState::Fine);
/// Counted: the callee has been bothered.
const NO_AGENT: Ending = Ending { counted: true, ..ending(CallResult::AgentFailed, Scope::Local, TrunkState::Fine) };

const NO_ANSWER: Ending = callee(CallResult::NoAnswer);
const UNAVAILABLE: Ending = callee(CallResult::Unavailable);
const INVALID: Ending = callee(CallResult::InvalidNumber);

/// Without redirections: their causes tell why the call was to go elsewhere, not how it ended.
pub(super) const ANY: &[RangeInclusive<u16>] = &[400..=699];

/// What the trunk says in its own name.
pub(super) const OWN_WORD: [u16; 14] = [401, 402, 407, 415, 428, 429, 436, 437, 438, 482, 483, 488, 501, 606];

const fn local(cause: LocalCause, rule: &'static str, only: Only, ending: Ending) -> Row {
    Row { step: Step::Local(cause, rule), only, ending }
}

const fn q850(causes: &'static [u16], only: Only, ending: Ending) -> Row {
    Row { step: Step::Q850(causes, ANY), only, ending }
}

const fn q850_with(
    causes: &'static [u16],
    statuses: &'static [RangeInclusive<u16>],
    only: Only,
    ending: Ending,
) -> Row {
    Row { step: Step::Q850(causes, statuses), only, ending }
}

const fn sip(statuses: &'static [RangeInclusive<u16>], only: Only, ending: Ending) -> Row {
    Row { step: Step::Sip(statuses), only, ending }
}

/// Causes of our own; they come before the trunk's rules.
pub(super) const LOCAL: &[Row] = &[
    local(LocalCause::Stopped, "local-stop", Only::Always, OUR_STOP),
    local(LocalCause::RingTimeout, "local-ring-timeout-rang", Only::Rang, NO_ANSWER),
    local(LocalCause::RingTimeout, "local-ring-timeout", Only::Always, UNAVAILABLE),
    // The phone did ring, so another call is the task's to allow, not the trunk's.
    local(LocalCause::NoReply, "local-lost-while-ringing", Only::Rang, NO_ANSWER),
    local(LocalCause::NoReply, "local-no-reply", Only::Always, BUSY_NETWORK),
    local(LocalCause::Unreachable, "local-unreachable", Only::Always, BUSY_NETWORK),
    local(LocalCause::AuthenticationFailed, "local-authentication", Only::Always, BROKEN_TRUNK),
    local(LocalCause::AgentFailed, "local-agent-failed", Only::Always, NO_AGENT),
    local(LocalCause::MediaMismatch, "local-media-mismatch", Only::Always, NO_AGENT),
];

/// What the signalling says; it comes after the trunk's rules.
pub(super) const SIGNALLED: &[Row] = &[
    sip(&[200..=299], Only::Always, callee(CallResult::Answered)),
    // Normal clearing, normal unspecified, interworking and the like say nothing: their statuses decide.
    q850(&[1, 28], Only::Always, INVALID),
    // The number has changed, and the new one belongs to nobody whom the task knows.
    q850_with(&[22], &[301..=301, 400..=699], Only::Always, INVALID),
    q850_with(&[2, 3], &[404..=404, 604..=604], Only::Always, INVALID),
    q850(&[17], Only::Always, callee(CallResult::UserBusy)),
    q850(&[18], Only::Rang, NO_ANSWER),
    q850(&[18], Only::Silent, UNAVAILABLE),
    q850(&[19], Only::Always, NO_ANSWER),
    // A phone that is off, one without coverage and one that is suspended look alike here.
    q850(&[20, 27], Only::Always, UNAVAILABLE),
    q850_with(&[21], &[603..=603], Only::Blocked, BLOCKED),
    q850_with(&[21], &[603..=603], Only::ByUser, callee(CallResult::CallRejected)),
    q850(&[34, 38, 41, 42, 47, 58], Only::Always, BUSY_NETWORK),
    q850_with(&[55, 57], &[403..=403], Only::Always, callee(CallResult::IncomingCallBarred)),
    q850(&[65, 79, 88], Only::Always, BROKEN_TRUNK),
    q850(&[102], Only::Rang, NO_ANSWER),
    q850(&[102], Only::Silent, BUSY_NETWORK),
    sip(&[300..=399], Only::Always, callee(CallResult::CallForwarding)),
    sip(&[401..=402, 407..=407], Only::Always, BROKEN_TRUNK),
    sip(&[403..=403], Only::Always, FORBIDDEN),
    sip(&[404..=404, 410..=410, 484..=485, 604..=604], Only::Always, INVALID),
    sip(&[408..=408], Only::Rang, NO_ANSWER),
    sip(&[408..=408], Only::Silent, BUSY_NETWORK),
    sip(&[428..=429, 436..=438], Only::Always, IDENTITY),
    sip(&[480..=480, 487..=487], Only::Rang, NO_ANSWER),
    sip(&[480..=480, 487..=487], Only::Silent, UNAVAILABLE),
    sip(&[486..=486, 600..=600], Only::Always, callee(CallResult::UserBusy)),
    // Media, features, loops, and whatever else is between the trunk and us.
    sip(&[400..=499, 501..=501, 505..=505, 513..=513, 580..=580, 606..=606], Only::Always, BROKEN_TRUNK),
    sip(&[500..=599], Only::Always, BUSY_NETWORK),
    sip(&[603..=603], Only::Blocked, BLOCKED),
    sip(&[603..=603], Only::Rang, callee(CallResult::CallRejected)),
    // Nobody declines what has not rung.
    sip(&[603..=603, 608..=608], Only::Always, BLOCKED),
    // The callee does not want to be called.
    sip(&[607..=607], Only::Always, callee(CallResult::OperatorBlock)),
    sip(&[601..=699], Only::Always, callee(CallResult::Others)),
];

/// No response to an INVITE: nothing else is left.
pub(super) const LAST: Row = sip(&[0..=u16::MAX], Only::Always, BROKEN_TRUNK);

/// What those who block calls by analysis write ("603+").
const BLOCKING_TEXTS: [&str; 3] = ["network blocked", "603+", "v=analytics"];

impl Row {
    /// Whether a cause of our own decides. Where nothing was seen at all, that is one.
    pub fn fits_local(&self, seen: &Seen) -> bool {
        let nothing = seen.response.is_none().then_some(LocalCause::NoReply);
        let Step::Local(cause, _) = self.step else { return false };
        seen.local.or(nothing) == Some(cause) && self.holds(seen)
    }

    pub fn fits_signalled(&self, seen: &Seen) -> bool {
        let Some(response) = &seen.response else { return false };
        let within = |ranges: &[RangeInclusive<u16>]| ranges.iter().any(|range| range.contains(&response.status));
        let fits = match self.step {
            Step::Local(..) => false,
            Step::Sip(statuses) => within(statuses),
            Step::Q850(causes, statuses) => {
                within(statuses) && !OWN_WORD.contains(&response.status) && self.cause(causes, seen).is_some()
            }
        };
        fits && self.holds(seen)
    }

    /// The cause that is one of `causes`; only the first header's is believed, others were collected on the way.
    fn cause(&self, causes: &[u16], seen: &Seen) -> Option<u16> {
        let first = seen.response.as_ref()?.causes.first()?;
        let given = causes.contains(&first.code) && (self.only != Only::ByUser || first.by_user);
        given.then_some(first.code)
    }

    fn holds(&self, seen: &Seen) -> bool {
        let says = |text: &&str| seen.response.as_ref().is_some_and(|response| response.says(text));
        match self.only {
            // Whether the cause is the user's is looked at with the cause.
            Only::Always | Only::ByUser => true,
            Only::Rang => seen.rang,
            Only::Silent => !seen.rang,
            Only::Blocked => BLOCKING_TEXTS.iter().any(says),
        }
    }

    /// The name that the evidence gets.
    pub fn rule(&self, seen: &Seen) -> Cow<'static, str> {
        let status = seen.response.as_ref().map_or(0, |response| response.status);
        match self.step {
            Step::Local(_, rule) => Cow::Borrowed(rule),
            Step::Q850(causes, _) => {
                let cause = self.cause(causes, seen).unwrap_or_default();
                Cow::Owned(format!("q850-{cause}{}", self.suffix()))
            }
            Step::Sip(_) => Cow::Owned(format!("sip-{status}{}", self.suffix())),
        }
    }

    pub(super) fn suffix(&self) -> &'static str {
        match self.only {
            Only::Always | Only::Silent => "",
            Only::Rang => "-rang",
            Only::ByUser => "-user",
            Only::Blocked => "-blocked",
        }
    }
}
