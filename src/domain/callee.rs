//! A callee: one person whom one task is to call. A callee's row never changes; what became of it is
//! written elsewhere.

use std::collections::BTreeMap;

use super::ids::{CalleeId, CalleeKey, TaskId};
use super::phone_number::PhoneNumber;

/// A callee to be imported.
#[derive(Debug, Clone)]
pub struct NewCallee {
    pub called_number: PhoneNumber,
    pub out_id: Option<String>,
    pub variables: BTreeMap<String, String>,
}

/// A callee as it was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callee {
    pub key: CalleeKey,
    pub called_number: PhoneNumber,
    /// The upstream system's own id.
    pub out_id: Option<String>,
    /// The import that it came with.
    pub batch_id: Option<String>,
    pub variables: BTreeMap<String, String>,
}

impl Callee {
    /// The id for everyone outside.
    pub fn id(&self, task: TaskId) -> CalleeId {
        CalleeId::of(task, self.key.seq)
    }
}

/// Why a callee ended without a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedReason {
    /// The trunk cannot dial the number at all.
    NotDiallable,
    /// The upstream system does not want the call any more.
    Cancelled,
}

impl FailedReason {
    /// As the wire and the store spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotDiallable => "NOT_DIALLABLE",
            Self::Cancelled => "CANCELLED",
        }
    }
}
