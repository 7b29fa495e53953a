//! How a call ended: its result, whose doing it was, and the evidence.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),* }

        impl $name {
            /// Every value, in the order of the contract.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As the wire and the store spell it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl FromStr for $name {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or(())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(super) use wire_enum;

wire_enum!(
    /// How an attempt ended.
    CallResult {
        Answered = "ANSWERED",
        CallRejected = "CALL_REJECTED",
        UserBusy = "USER_BUSY",
        Suspend = "SUSPEND",
        InvalidNumber = "INVALID_NUMBER",
        PoweredOff = "POWERED_OFF",
        NetworkBusy = "NETWORK_BUSY",
        NoAnswer = "NO_ANSWER",
        CallForwarding = "CALL_FORWARDING",
        IncomingCallBarred = "INCOMING_CALL_BARRED",
        OperatorBlock = "OPERATOR_BLOCK",
        NoUserResponse = "NO_USER_RESPONSE",
        Unavailable = "UNAVAILABLE",
        IntelligentAnswer = "INTELLIGENT_ANSWER",
        Cancel = "CANCEL",
        Others = "OTHERS",
        /// The callee answered, the agent could not be connected.
        AgentFailed = "AGENT_FAILED",
        /// The daemon died with the attempt open, and nobody can say how it ended.
        UnknownOutcome = "UNKNOWN_OUTCOME",
    }
);

wire_enum!(
    /// Whose doing the end was. Only a callee's or a caller number's uses up an attempt.
    Scope {
        Callee = "CALLEE",
        CallerNumber = "CALLER_NUMBER",
        Trunk = "TRUNK",
        Local = "LOCAL",
    }
);

wire_enum!(
    /// Who ended an answered call.
    HangupBy {
        Callee = "CALLEE",
        Agent = "AGENT",
        /// The daemon: talk limit, or its own end.
        System = "SYSTEM",
    }
);

/// What the signalling said (RFC 3261, section 21; Q.850 cause by RFC 3326), kept as evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SipEvidence {
    pub status: u16,
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q850: Option<u16>,
    /// The rule that decided the result.
    pub rule: String,
}

/// The end of one call, as its dialer tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallEnd {
    pub result: CallResult,
    pub scope: Scope,
    /// False when the failure was not the callee's.
    pub counted: bool,
    pub sip: Option<SipEvidence>,
    pub started_at: DateTime<Utc>,
    pub ringing_at: Option<DateTime<Utc>>,
    pub answered_at: Option<DateTime<Utc>>,
    pub ended_at: DateTime<Utc>,
    pub hangup_by: Option<HangupBy>,
    /// When the trunk wants to be asked again, if it said so; not kept, it only moves the next attempt.
    pub not_before: Option<DateTime<Utc>>,
}

impl CallEnd {
    /// The end of an attempt whose daemon died: counted and never redialled, since it may have rung.
    pub fn unknown(started_at: DateTime<Utc>, ended_at: DateTime<Utc>) -> Self {
        Self {
            result: CallResult::UnknownOutcome,
            scope: Scope::Local,
            counted: true,
            sip: None,
            started_at,
            ringing_at: None,
            answered_at: None,
            ended_at,
            hangup_by: None,
            not_before: None,
        }
    }

    /// Whole seconds between answer and end; `None` for a call that was not answered.
    pub fn talk_seconds(&self) -> Option<u32> {
        Some(talk_seconds(self.answered_at?, self.ended_at))
    }
}

/// Whole seconds between answer and end.
pub(super) fn talk_seconds(answered_at: DateTime<Utc>, ended_at: DateTime<Utc>) -> u32 {
    u32::try_from(ended_at.signed_duration_since(answered_at).num_seconds()).unwrap_or(0)
}
