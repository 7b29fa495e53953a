//! A call task: its settings, its states, and the only ways from one state to another.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::agent::Agent;
use super::call::wire_enum;
use super::calling_window::CallingWindow;
use super::ids::{AgentId, ServiceInstanceId, TaskId, TaskNo};
use super::redial::{RedialRule, RedialTerms};
use super::service_instance::ServiceInstance;

/// Everything that `task.create` decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    pub id: TaskId,
    pub name: String,
    pub agent: AgentId,
    pub service_instance: ServiceInstanceId,
    pub concurrency: u32,
    pub start: StartMode,
    pub window: CallingWindow,
    pub redial: Option<RedialRule>,
    pub ring_timeout_seconds: u32,
    pub max_talk_seconds: u32,
}

impl NewTask {
    /// What it says about calling again.
    pub fn redial_terms(&self) -> RedialTerms {
        RedialTerms { rule: self.redial.clone(), window: self.window.clone() }
    }
}

/// When a task runs for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartMode {
    /// At the first import.
    Immediate,
    /// At this instant; in the past it means at the first import.
    Scheduled(DateTime<Utc>),
}

impl StartMode {
    /// As the wire and the store spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Immediate => "IMMEDIATE",
            Self::Scheduled(_) => "SCHEDULED",
        }
    }

    pub fn start_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Immediate => None,
            Self::Scheduled(at) => Some(at),
        }
    }
}

/// A task as it is stored.
#[derive(Debug, Clone)]
pub struct Task {
    pub no: TaskNo,
    pub settings: NewTask,
    pub state: TaskState,
    /// Its scheduled start is still to come: nothing has used it up.
    pub armed: bool,
    /// Why the start failed.
    pub reason: Option<String>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
}

/// How a task is named in a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskRef {
    Id(TaskId),
    Name(String),
}

/// Which tasks to list.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    pub state: Option<TaskState>,
    /// A part of the name, in any case.
    pub name: Option<String>,
    /// Only tasks older than this one.
    pub before: Option<TaskNo>,
    pub most: i64,
}

/// The states of a task. A deleted task has none: it is gone for everyone outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Nothing imported yet.
    Initializing,
    /// Calls are made.
    Running,
    /// No call starts; those in the air end by themselves.
    Stopped,
    /// It was to run and could not: the reason is kept with it.
    StartFailed,
    /// Every callee is final.
    Completed,
}

impl Task {
    /// True when the first import must wait for the scheduled start.
    pub fn waits_for_start(&self, now: DateTime<Utc>) -> bool {
        self.armed && self.settings.start.start_at().is_some_and(|at| at > now)
    }

    /// True when the scheduled start is due and nothing else has started or stopped the task before.
    pub fn is_to_start(&self, now: DateTime<Utc>) -> bool {
        let startable = matches!(self.state, TaskState::Stopped | TaskState::StartFailed);
        self.armed && startable && !self.waits_for_start(now)
    }

    /// The same task by other settings. `anew`: they name a start, which is still to come whatever became of the last.
    #[must_use]
    pub fn updated(&self, settings: NewTask, anew: bool) -> Self {
        let armed = settings.start.start_at().is_some() && (anew || self.armed);
        Self { settings, armed, ..self.clone() }
    }
}

impl TaskState {
    pub const ALL: [Self; 5] = [Self::Initializing, Self::Running, Self::Stopped, Self::StartFailed, Self::Completed];

    /// As the wire and the store spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "INITIALIZING",
            Self::Running => "RUNNING",
            Self::Stopped => "STOPPED",
            Self::StartFailed => "START_FAILED",
            Self::Completed => "COMPLETED",
        }
    }

    /// Where an import with at least one accepted callee leads; `None`: it changes no state.
    pub fn after_import(self, obstacle: Option<StartObstacle>) -> Option<Self> {
        match self {
            Self::Initializing | Self::Completed => Some(Self::begin(obstacle)),
            Self::Running | Self::Stopped | Self::StartFailed => None,
        }
    }

    /// Where a start leads.
    pub fn after_start(self, obstacle: Option<StartObstacle>) -> Result<Self, WrongState> {
        match self {
            Self::Stopped | Self::StartFailed => Ok(Self::begin(obstacle)),
            Self::Initializing | Self::Running | Self::Completed => {
                Err(WrongState { state: self, allowed: "STOPPED or START_FAILED" })
            }
        }
    }

    /// Where a stop leads.
    pub fn after_stop(self) -> Result<Self, WrongState> {
        match self {
            Self::Running => Ok(Self::Stopped),
            _ => Err(WrongState { state: self, allowed: "RUNNING" }),
        }
    }

    /// Whether its settings may be changed.
    pub fn may_update(self) -> Result<(), WrongState> {
        match self {
            Self::Initializing | Self::Stopped | Self::StartFailed => Ok(()),
            Self::Running | Self::Completed => {
                Err(WrongState { state: self, allowed: "INITIALIZING, STOPPED or START_FAILED" })
            }
        }
    }

    /// Whether it may be deleted.
    pub fn may_delete(self) -> Result<(), WrongState> {
        match self {
            Self::Running => Err(WrongState { state: self, allowed: "any other state: stop it first" }),
            _ => Ok(()),
        }
    }

    /// Where every passage to running leads.
    pub fn begin(obstacle: Option<StartObstacle>) -> Self {
        if obstacle.is_some() { Self::StartFailed } else { Self::Running }
    }
}

impl FromStr for TaskState {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A command that the task's state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task is {state}; this needs {allowed}")]
pub struct WrongState {
    pub state: TaskState,
    pub allowed: &'static str,
}

wire_enum!(
    /// Why a task cannot run.
    StartObstacle {
        AgentUnknown = "AGENT_UNKNOWN",
        AgentNotPublished = "AGENT_NOT_PUBLISHED",
        ServiceInstanceUnknown = "SERVICE_INSTANCE_UNKNOWN",
        NoCallerNumbers = "NO_CALLER_NUMBERS",
        /// No caller number may ever be used at a time at which the task may call.
        WindowsNeverMeet = "WINDOWS_NEVER_MEET",
    }
);

impl StartObstacle {
    /// What stands in the way of a start with this agent and this service instance.
    pub fn find(
        (agent, service_instance): (Option<&Agent>, Option<&ServiceInstance>),
        window: &CallingWindow,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        match (agent, service_instance) {
            (None, _) => Some(Self::AgentUnknown),
            (Some(agent), _) if !agent.published => Some(Self::AgentNotPublished),
            (_, None) => Some(Self::ServiceInstanceUnknown),
            (_, Some(instance)) if instance.caller_numbers.is_empty() => Some(Self::NoCallerNumbers),
            (_, Some(instance)) if !instance.ever_calls_within(window, now) => Some(Self::WindowsNeverMeet),
            _ => None,
        }
    }
}

/// How many of a task's callees stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub pending: u64,
    pub calling: u64,
    pub completed: u64,
    pub failed: u64,
}

impl Counts {
    /// True when no callee is left to call.
    pub fn all_final(self) -> bool {
        self.pending == 0 && self.calling == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_running_task_stops_and_only_a_stopped_or_failed_one_starts() {
        for state in TaskState::ALL {
            assert_eq!(state.after_stop().is_ok(), state == TaskState::Running, "{state}");
            let startable = matches!(state, TaskState::Stopped | TaskState::StartFailed);
            assert_eq!(state.after_start(None).is_ok(), startable, "{state}");
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }

    #[test]
    fn every_passage_to_running_can_fail() {
        let obstacle = Some(StartObstacle::NoCallerNumbers);
        assert_eq!(TaskState::Initializing.after_import(obstacle), Some(TaskState::StartFailed));
        assert_eq!(TaskState::Completed.after_import(None), Some(TaskState::Running));
        assert_eq!(TaskState::Stopped.after_import(None), None);
        assert_eq!(TaskState::Stopped.after_start(obstacle), Ok(TaskState::StartFailed));
    }
}
