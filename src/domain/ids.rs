//! Identifiers, each a type of its own, so that a callee's id cannot be passed where a task's is meant.
//!
//! The ids of callees and calls are computed (RFC 9562, version 5) from the task's id and the callee's place in
//! it: they are known before anything is written, never repeat across databases, and need no look-up.

use std::fmt;

use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// A call task, for everyone outside.
    TaskId
);
uuid_id!(
    /// One person to be called by one task.
    CalleeId
);
uuid_id!(
    /// One attempt to reach a callee, and the call it makes: one call set-up, one id.
    CallId
);
uuid_id!(
    /// One event; the same event published twice has the same id.
    EventId
);
uuid_id!(
    /// One export of a task's callees.
    ExportId
);
uuid_id!(
    /// One run of the daemon: minted at each process start, so that a restarted daemon is not its predecessor.
    Holder
);
text_id!(
    /// A communication agent, named by the upstream system.
    AgentId
);
text_id!(
    /// A service instance, named by the upstream system.
    ServiceInstanceId
);
text_id!(
    /// A trunk of the settings, in lower case: trunk names are read without case.
    TrunkName
);

impl TrunkName {
    pub fn new(name: &str) -> Self {
        Self(name.to_ascii_lowercase())
    }
}

impl CalleeId {
    /// The callee at place `seq` of its task.
    pub fn of(task: TaskId, seq: i64) -> Self {
        Self(Uuid::new_v5(&task.0, seq.to_string().as_bytes()))
    }
}

impl CallId {
    /// The call of the `attempt`-th try (from 1) to reach the callee at place `seq`.
    pub fn of(task: TaskId, seq: i64, attempt: u32) -> Self {
        Self(Uuid::new_v5(&task.0, format!("{seq}:{attempt}").as_bytes()))
    }
}

impl EventId {
    /// An event that happens once in the life of `subject` has an id that can be computed again.
    pub fn once(subject: Uuid, event_type: &str) -> Self {
        Self(Uuid::new_v5(&subject, event_type.as_bytes()))
    }

    /// An event that can happen many times.
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }
}

/// A task's number in the database: short, rising, and what its rows are partitioned by. Never shown outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskNo(pub i64);

/// Where a callee stands: its task and its place in it, from 1 in the order of import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CalleeKey {
    pub task: TaskNo,
    pub seq: i64,
}
