//! A trunk's own rules: what a code means there.
//!
//! Must not decide which results and scopes make sense together: the settings do, where such a rule is written.

use std::ops::RangeInclusive;

use super::evidence::FinalResponse;
use super::table::Ending;
use super::{CallResult, Scope, TrunkState};

/// Statuses from one to another, like 500 to 599.
pub type StatusRange = RangeInclusive<u16>;

/// One rule. It fits when everything that it asks for is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Stands in the evidence, as `trunk:NAME`.
    pub name: String,
    /// One of these statuses; any when there is none.
    pub status: Vec<StatusRange>,
    /// One of these texts, in the reason phrase or in a `Reason` or `Warning` header, in any case; none needed when there
    /// is none.
    pub text: Vec<String>,
    /// One of these causes; none needed when there is none.
    pub q850: Vec<u16>,
    /// Whether the phone rang, if that matters.
    pub rang: Option<bool>,
    pub result: CallResult,
    pub scope: Scope,
    pub counted: bool,
    /// It means that a limit of the trunk is reached: slow down.
    pub slow_down: bool,
}

impl Override {
    pub(super) fn fits(&self, response: &FinalResponse, rang: bool) -> bool {
        let status = self.status.iter().any(|range| range.contains(&response.status));
        let text = self.text.iter().any(|text| response.says(text));
        let q850 = response.causes.iter().any(|cause| self.q850.contains(&cause.code));
        (status || self.status.is_empty())
            && (text || self.text.is_empty())
            && (q850 || self.q850.is_empty())
            && self.rang.is_none_or(|wanted| wanted == rang)
    }

    pub(super) fn ending(&self) -> Ending {
        let trunk = if self.slow_down { TrunkState::Overloaded } else { TrunkState::Fine };
        Ending { result: self.result, scope: self.scope, counted: self.counted, trunk }
    }
}
