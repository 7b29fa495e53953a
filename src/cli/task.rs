//! `calltaskd task`, but for `update` and `watch`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use uuid::Uuid;

use super::input::without_nulls;
use super::listing::Listing;
use super::readable::{cell_of, fields};
use super::reply::{number, task_address, text};
use super::session::Session;
use super::task_update::TaskUpdate;
use super::times::{days, hours};
use super::{Once, watch};
use crate::domain::calling_window::DAYS;

#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Create a task; it runs from its first import on
    Create(Box<TaskCreate>),
    /// Start a task that is stopped, or that could not be started
    Start(TaskChange),
    /// Stop a running task; calls in the air end by themselves
    Stop(TaskChange),
    /// Change a task that does not run; what is left out stays as it is
    Update(Box<TaskUpdate>),
    /// Delete a task that does not run
    Delete(TaskChange),
    /// Show a task with its counts
    Show(TaskName),
    /// List the tasks, the newest first
    List(TaskList),
    /// Follow a task until it is completed (exit code 0), stopped or could not be started (1)
    Watch(TaskName),
}

#[derive(Debug, Args)]
pub struct TaskCreate {
    /// Its name, which no other task has
    #[arg(long)]
    name: String,
    /// The id of the agent
    #[arg(long, value_name = "ID")]
    agent: String,
    /// The id of the service instance
    #[arg(long, value_name = "ID")]
    service_instance: String,
    /// Calls at a time
    #[arg(long, value_name = "N")]
    concurrency: u32,
    /// The id of the task [default: the daemon makes one]
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    /// When it starts, like 2026-11-23T09:00:00+01:00 [default: at the first import]
    #[arg(long, value_name = "INSTANT")]
    start_at: Option<String>,
    /// An IANA time zone, like Europe/Berlin [default: that of the daemon's settings]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// The days of calling, like MONDAY-FRIDAY or MONDAY,TUESDAY [default: all]
    #[arg(long, value_delimiter = ',', value_name = "DAY,…")]
    days: Vec<String>,
    /// The hours of calling, like 09:00-12:00,14:00-18:00 [default: 00:00-24:00]
    #[arg(long, value_delimiter = ',', value_name = "START-END,…", value_parser = hours)]
    hours: Vec<Value>,
    #[command(flatten)]
    redial: RedialRule,
    /// How long a call may ring [default: 45]
    #[arg(long, value_name = "N")]
    ring_timeout_seconds: Option<u32>,
    /// How long a call may last [default: 1800]
    #[arg(long, value_name = "N")]
    max_talk_seconds: Option<u32>,
    #[command(flatten)]
    once: Once,
}

/// When a callee is called again.
#[derive(Debug, Args)]
pub struct RedialRule {
    /// After which results a callee is called again, like USER_BUSY,NO_ANSWER. The rule is replaced as a whole: times and
    /// minutes that are not given have their defaults, in an update, too
    #[arg(long, value_delimiter = ',', value_name = "RESULT,…")]
    redial: Vec<String>,
    /// How often at most, all of them together; needs --redial
    #[arg(long, value_name = "N", requires = "redial", default_value_t = 1)]
    redial_times: u32,
    /// How long after the call before; needs --redial
    #[arg(long, value_name = "N", requires = "redial", default_value_t = 15)]
    redial_minutes: u32,
}

impl RedialRule {
    /// As the wire has it, if it was given.
    pub fn rule(&self) -> Option<Value> {
        let reasons: Vec<_> = self.redial.iter().map(|reason| reason.trim().to_uppercase()).collect();
        let rule = json!({"reasons": reasons, "times": self.redial_times, "intervalMinutes": self.redial_minutes});
        (!reasons.is_empty()).then_some(rule)
    }
}

#[derive(Debug, Args)]
pub struct TaskName {
    /// The task's id, or its name
    task: String,
}

#[derive(Debug, Args)]
pub struct TaskChange {
    /// The task's id, or its name
    task: String,
    #[command(flatten)]
    once: Once,
}

#[derive(Debug, Args)]
pub struct TaskList {
    /// Only tasks in this state, like RUNNING
    #[arg(long)]
    state: Option<String>,
    /// Only tasks with this in their name
    #[arg(long)]
    name: Option<String>,
}

impl TaskCommand {
    pub async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(task) => task.create(session).await,
            Self::Start(task) => task.send("task.start", session).await,
            Self::Stop(task) => task.send("task.stop", session).await,
            Self::Update(task) => task.send(session).await,
            Self::Delete(task) => task.delete(session).await,
            Self::Show(task) => show(session, &task.task).await,
            Self::List(filter) => filter.list(session).await,
            Self::Watch(task) => watch::run(session, &task.task).await,
        }
    }
}

impl TaskCreate {
    fn body(&self) -> Value {
        let all_days = || DAYS.map(ToOwned::to_owned).to_vec();
        let days = days(self.days.iter().map(String::as_str));
        let all_day = || vec![json!({"start": "00:00", "end": "24:00"})];
        let body = json!({
            "taskId": self.id,
            "name": self.name,
            "agentId": self.agent,
            "serviceInstanceId": self.service_instance,
            "concurrency": self.concurrency,
            "startMode": if self.start_at.is_some() { "SCHEDULED" } else { "IMMEDIATE" },
            "startAt": self.start_at,
            "timeZone": self.time_zone,
            "callingDays": if days.is_empty() { all_days() } else { days },
            "callingTimes": if self.hours.is_empty() { all_day() } else { self.hours.clone() },
            "redial": self.redial.rule(),
            "ringTimeoutSeconds": self.ring_timeout_seconds,
            "maxTalkSeconds": self.max_talk_seconds,
        });
        without_nulls(body)
    }

    async fn create(self, session: &Session) -> anyhow::Result<ExitCode> {
        let answer = session.command("task.create", &self.once, &self.body()).await?;
        session.show(&answer, |answer| {
            let [name, id, state] = ["name", "taskId", "state"].map(|key| text(answer, key));
            format!("task {name} is created with the id {id}; it is {state}")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl TaskChange {
    async fn send(self, command: &str, session: &Session) -> anyhow::Result<ExitCode> {
        let answer = session.command(command, &self.once, &task_address(&self.task)).await?;
        session.show(&answer, |answer| match text(answer, "reason") {
            "" => format!("task {} is {}", self.task, text(answer, "state")),
            reason => format!("task {} is {}: {reason}", self.task, text(answer, "state")),
        })?;
        // Accepted, and yet not what was asked for.
        let started = text(&answer, "state") != "START_FAILED";
        Ok(if started { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl TaskChange {
    async fn delete(self, session: &Session) -> anyhow::Result<ExitCode> {
        let answer = session.command("task.delete", &self.once, &task_address(&self.task)).await?;
        session.show(&answer, |answer| format!("task {} is deleted", text(answer, "name")))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl TaskList {
    async fn list(self, session: &Session) -> anyhow::Result<ExitCode> {
        let state = self.state.map(|state| state.to_uppercase());
        let listing = Listing {
            query: "task.list",
            question: json!({"state": state, "name": self.name}),
            headings: ["NAME", "STATE", "TASK ID", ">CONCURRENCY", "CREATED"],
            nothing: "no tasks",
        };
        let row = |task: &Value| {
            let [name, state, id, created] = ["name", "state", "taskId", "createdAt"].map(|key| cell_of(task, key));
            [name, state, id, number(task, "concurrency").to_string(), created]
        };
        listing.print(session, row).await
    }
}

async fn show(session: &Session, task: &str) -> anyhow::Result<ExitCode> {
    let answer = session.query("task.get", &task_address(task)).await?;
    let first = [
        "name",
        "taskId",
        "state",
        "reason",
        "counts",
        "results",
        "agentId",
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
        "createdAt",
        "startedAt",
        "completedAt",
    ];
    session.show(&answer, |answer| fields(answer.get("task").unwrap_or(&Value::Null), &first))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::reply::items;
    use super::super::{Cli, Command};
    use super::*;

    fn created(arguments: &[&str]) -> Value {
        let given = ["calltaskd", "task", "create", "--name", "autumn", "--agent", "a", "--service-instance", "s"];
        let arguments = given.iter().chain(&["--concurrency", "5"]).chain(arguments);
        match Cli::try_parse_from(arguments).unwrap().command {
            Command::Task(TaskCommand::Create(task)) => task.body(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_task_calls_at_all_hours_unless_it_says_otherwise() {
        let body = created(&[]);
        assert_eq!(items(&body, "callingDays").len(), 7);
        assert_eq!(body["callingTimes"], json!([{"start": "00:00", "end": "24:00"}]));
        assert!(body.get("taskId").is_none());
        let body = created(&["--days", "monday,FRIDAY", "--hours", "09:00-12:00,13:00-17:00"]);
        assert_eq!(body["callingDays"], json!(["MONDAY", "FRIDAY"]));
        assert_eq!(body["callingTimes"][1], json!({"start": "13:00", "end": "17:00"}));
    }

    #[test]
    fn a_start_and_redials_are_asked_for_only_where_they_are_given() {
        let body = created(&[]);
        let absent = (body["startMode"].as_str(), body.get("startAt"), body.get("redial"));
        assert_eq!(absent, (Some("IMMEDIATE"), None, None));
        let start_at = "2026-11-23T09:00:00+01:00";
        let body = created(&["--start-at", start_at, "--redial", "user_busy,NO_ANSWER", "--redial-times", "2"]);
        assert_eq!((&body["startMode"], &body["startAt"]), (&json!("SCHEDULED"), &json!(start_at)));
        let rule = json!({"reasons": ["USER_BUSY", "NO_ANSWER"], "times": 2, "intervalMinutes": 15});
        assert_eq!(body["redial"], rule);
    }
}
