//! `task.create` and `task.update`. An update is judged as the create that it amounts to, so the two can never differ.

use serde_json::{Map, Value};

use super::commands::{complete, task_ref};
use super::reading::{ID_LENGTH, Rules, calling_days, daily_ranges, instant_of, redial_rule, task_id, time_zone};
use super::replies::creation;
use crate::domain::calling_window::CallingWindow;
use crate::domain::fields::{Fields, Parsed, count, line, text};
use crate::domain::ids::{AgentId, ServiceInstanceId, TaskId};
use crate::domain::problem::{Code, Problem, Problems};
use crate::domain::task::{NewTask, StartMode, Task, TaskRef};

/// What an update may change.
const CHANGEABLE: [&str; 11] = [
    "name",
    "serviceInstanceId",
    "concurrency",
    "startMode",
    "startAt",
    "timeZone",
    "callingDays",
    "callingTimes",
    "redial",
    "ringTimeoutSeconds",
    "maxTalkSeconds",
];

/// A new task as far as it could be read.
#[derive(Debug, Default)]
pub struct TaskDraft {
    pub id: Option<TaskId>,
    pub name: Option<String>,
    pub agent: Option<AgentId>,
    pub service_instance: Option<ServiceInstanceId>,
    /// What was wrong with it.
    pub problems: Problems,
    rest: Option<NewTask>,
}

impl TaskDraft {
    /// The task, if nothing was wrong.
    pub fn complete(self) -> Result<NewTask, Problems> {
        match (self.problems.is_empty(), self.rest) {
            (true, Some(task)) => Ok(task),
            _ => Err(self.problems),
        }
    }
}

/// What is to be changed of a task.
#[derive(Debug)]
pub struct TaskUpdate {
    pub task: TaskRef,
    /// As they came; `null` clears.
    changes: Map<String, Value>,
}

impl TaskUpdate {
    /// Whether it sets the field.
    pub fn sets(&self, field: &str) -> bool {
        self.changes.get(field).is_some_and(|value| !value.is_null())
    }

    /// The task as it would be, with all that is wrong with it then.
    pub fn merged(&self, task: &Task, rules: &Rules) -> TaskDraft {
        let mut body = creation(task);
        for (field, value) in &self.changes {
            body[field] = value.clone();
        }
        create(&body, rules)
    }
}

/// Reads `task.update`, as far as it can be judged without the task.
pub(super) fn update(body: &Value) -> Parsed<TaskUpdate> {
    let mut fields = Fields::of(body)?;
    let task = task_ref(&mut fields);
    let mut changes = Map::new();
    for field in CHANGEABLE {
        fields.optional(field, Ok);
        if let Some(value) = body.get(field) {
            changes.insert(field.to_owned(), value.clone());
        }
    }
    complete(fields.finish(), task.map(|task| TaskUpdate { task, changes }))
}

/// Reads `task.create`.
pub(super) fn create(body: &Value, rules: &Rules) -> TaskDraft {
    let mut fields = match Fields::of(body) {
        Ok(fields) => fields,
        Err(problems) => return TaskDraft { problems, ..TaskDraft::default() },
    };
    let id = fields.optional("taskId", task_id);
    let name = fields.required("name", line(1..=128));
    let agent = fields.required("agentId", line(ID_LENGTH)).map(AgentId);
    let service_instance = fields.required("serviceInstanceId", line(ID_LENGTH)).map(ServiceInstanceId);
    let concurrency = fields.required("concurrency", count(1..=rules.most_concurrency));
    let start = start_mode(&mut fields);
    let window = window(&mut fields, rules);
    let redial = fields.optional("redial", redial_rule);
    let ring_timeout = fields.optional("ringTimeoutSeconds", count(10..=120)).unwrap_or(45);
    let max_talk = fields.optional("maxTalkSeconds", count(10..=7_200)).unwrap_or(1_800);
    let rest = (|| {
        Some(NewTask {
            id: id.unwrap_or_else(|| TaskId(uuid::Uuid::new_v4())),
            name: name.clone()?,
            agent: agent.clone()?,
            service_instance: service_instance.clone()?,
            concurrency: concurrency?,
            start: start?,
            window: window?,
            redial,
            ring_timeout_seconds: ring_timeout,
            max_talk_seconds: max_talk,
        })
    })();
    TaskDraft { id, name, agent, service_instance, problems: fields.finish(), rest }
}

/// `startAt` is there with `SCHEDULED`, and only then.
fn start_mode(fields: &mut Fields) -> Option<StartMode> {
    let scheduled = fields.required("startMode", |value| match text(1..=16)(value)?.as_str() {
        "IMMEDIATE" => Ok(false),
        "SCHEDULED" => Ok(true),
        _ => Err(Problem::new(Code::InvalidValue, "must be IMMEDIATE or SCHEDULED").into()),
    });
    if scheduled == Some(true) {
        return fields.required("startAt", instant_of).map(StartMode::Scheduled);
    }
    let given = fields.has("startAt");
    fields.optional("startAt", instant_of);
    if scheduled.is_some() && given {
        let message = "goes with startMode SCHEDULED only; leave it out";
        fields.problem(Problem::of("startAt", Code::InvalidValue, message));
    }
    scheduled.map(|_| StartMode::Immediate)
}

fn window(fields: &mut Fields, rules: &Rules) -> Option<CallingWindow> {
    let time_zone = fields.optional("timeZone", time_zone).unwrap_or(rules.default_time_zone);
    let days = fields.required("callingDays", calling_days);
    let times = fields.required("callingTimes", daily_ranges);
    Some(CallingWindow { time_zone, days: days?, times: times? })
}
