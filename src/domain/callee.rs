//! A callee: one person whom one task is to call. A callee's row never changes; what became of it is
//! written elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::call::wire_enum;
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

wire_enum!(
    /// Why a callee ended without a call.
    FailedReason {
        /// The trunk cannot dial the number at all.
        NotDiallable = "NOT_DIALLABLE",
        /// The upstream system does not want the call any more.
        Cancelled = "CANCELLED",
    }
);
