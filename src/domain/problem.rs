//! What is wrong with an input: a code for programs, the field, and a sentence that names the remedy.
//!
//! Problems are collected, never thrown at the first: whoever sent a bad command learns everything in one
//! reply. A parser names fields relative to itself; its caller puts its own path in front (`under`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::call::wire_enum;

wire_enum!(
    /// The codes of the wire contract. A code is for programs: its meaning never changes.
    Code {
        /// A field that must be there is missing.
        Required = "REQUIRED",
        /// A field that the command does not know.
        UnknownField = "UNKNOWN_FIELD",
        /// The value has another JSON type than the field.
        WrongType = "WRONG_TYPE",
        /// The value cannot be understood.
        InvalidValue = "INVALID_VALUE",
        /// A number or a count outside its limits.
        OutOfRange = "OUT_OF_RANGE",
        /// A text or list over its limit.
        TooLong = "TOO_LONG",
        /// Another task has the name.
        NameTaken = "NAME_TAKEN",
        /// A task with this id exists or existed.
        TaskIdTaken = "TASK_ID_TAKEN",
        /// What the command addresses does not exist.
        NotFound = "NOT_FOUND",
        /// The task's state does not allow the command.
        WrongState = "WRONG_STATE",
        /// Calls of the task are in the air.
        CallsInProgress = "CALLS_IN_PROGRESS",
        /// The agent was never put.
        AgentUnknown = "AGENT_UNKNOWN",
        /// The agent is not published.
        AgentNotPublished = "AGENT_NOT_PUBLISHED",
        /// The service instance was never put.
        ServiceInstanceUnknown = "SERVICE_INSTANCE_UNKNOWN",
        /// The settings have no such trunk.
        TrunkUnknown = "TRUNK_UNKNOWN",
        /// The shares of the service instances add up to more than their trunk has.
        TrunkOvercommitted = "TRUNK_OVERCOMMITTED",
        /// The `message_id` was used for another command.
        MessageIdReused = "MESSAGE_ID_REUSED",
        /// The command needs a `message_id`.
        MessageIdRequired = "MESSAGE_ID_REQUIRED",
        /// Not a JSON object in UTF-8, an unknown command, or too large.
        Unreadable = "UNREADABLE",
        /// A row's number is no phone number.
        NumberInvalid = "NUMBER_INVALID",
        /// A row has no number.
        NumberMissing = "NUMBER_MISSING",
        /// A row lacks a variable that the agent requires.
        VariableMissing = "VARIABLE_MISSING",
        /// Part of the contract, but not built yet: never run as if it had not been asked for.
        NotYetSupported = "NOT_YET_SUPPORTED",
    }
);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub code: Code,
    /// Path of the field, like `callingTimes[0].start`; empty when it is about the whole.
    pub field: String,
    /// What is wrong and what to do about it, in one sentence.
    pub message: String,
}

impl Problem {
    /// A problem of the value itself; the caller adds the path with [`Problems::under`].
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, field: String::new(), message: message.into() }
    }

    /// A problem of one field of the value.
    pub fn of(field: impl Into<String>, code: Code, message: impl Into<String>) -> Self {
        Self { code, field: field.into(), message: message.into() }
    }

    fn under(mut self, path: &str) -> Self {
        self.field = match self.field.as_str() {
            "" => path.to_owned(),
            inner if inner.starts_with('[') => format!("{path}{inner}"),
            inner => format!("{path}.{inner}"),
        };
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            write!(f, "{}: {}", self.code.as_str(), self.message)
        } else {
            write!(f, "{}: {}: {}", self.field, self.code.as_str(), self.message)
        }
    }
}

/// Everything that is wrong, in the order it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Nothing wrong so far.
    pub fn none() -> Self {
        Self::default()
    }

    pub fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub fn append(&mut self, mut other: Problems) {
        self.0.append(&mut other.0);
    }

    /// The same problems, seen from the object that holds the value under `path`.
    #[must_use]
    pub fn under(self, path: &str) -> Self {
        Self(self.0.into_iter().map(|problem| problem.under(path)).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// `value` when nothing is wrong.
    pub fn unless_any<T>(self, value: T) -> Result<T, Problems> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
