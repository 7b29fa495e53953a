//! `calltaskd task update`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::Once;
use super::callees::of_task;
use super::reply::text;
use super::session::Session;
use super::task::RedialRule;
use super::times::{days, hours};

/// What `--reset` takes, and the fields of the wire.
const RESETS: [(&str, &str); 4] = [
    ("redial", "redial"),
    ("time-zone", "timeZone"),
    ("ring-timeout-seconds", "ringTimeoutSeconds"),
    ("max-talk-seconds", "maxTalkSeconds"),
];

/// What is left out stays as it is. There is no agent here: it cannot be changed.
#[derive(Debug, Args)]
#[group(id = "changes", required = true, multiple = true, args = ["name", "service_instance", "concurrency", "start_at",
    "immediate", "time_zone", "days", "hours", "redial", "redial_times", "redial_minutes", "no_redial", "ring_timeout_seconds", "max_talk_seconds", "reset"])]
pub struct TaskUpdate {
    /// The task's id, or its name
    task: String,
    /// Another name
    #[arg(long)]
    name: Option<String>,
    /// The id of another service instance
    #[arg(long, value_name = "ID")]
    service_instance: Option<String>,
    /// Calls at a time
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// Start it by itself at this instant, like 2026-11-23T09:00:00+01:00
    #[arg(long, value_name = "INSTANT", conflicts_with = "immediate")]
    start_at: Option<String>,
    /// Start it at the first import
    #[arg(long)]
    immediate: bool,
    /// An IANA time zone, like Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// The days of calling, like MONDAY-FRIDAY or MONDAY,TUESDAY
    #[arg(long, value_delimiter = ',', value_name = "DAY,…")]
    days: Vec<String>,
    /// The hours of calling, like 09:00-12:00,14:00-18:00
    #[arg(long, value_delimiter = ',', value_name = "START-END,…", value_parser = hours)]
    hours: Vec<Value>,
    #[command(flatten)]
    redial: RedialRule,
    /// Call nobody again
    #[arg(long, conflicts_with = "redial")]
    no_redial: bool,
    /// How long a call may ring
    #[arg(long, value_name = "N")]
    ring_timeout_seconds: Option<u32>,
    /// How long a call may last
    #[arg(long, value_name = "N")]
    max_talk_seconds: Option<u32>,
    /// Give these their defaults again
    #[arg(long, value_delimiter = ',', value_name = "OPTION,…", value_parser = RESETS.map(|(option, _)| option))]
    reset: Vec<String>,
    #[command(flatten)]
    once: Once,
}

impl TaskUpdate {
    fn body(&self) -> Value {
        let days = days(self.days.iter().map(String::as_str));
        let mode = if self.immediate { Some("IMMEDIATE") } else { self.start_at.as_ref().map(|_| "SCHEDULED") };
        let mut body = of_task(
            &self.task,
            json!({
                "name": self.name,
                "serviceInstanceId": self.service_instance,
                "concurrency": self.concurrency,
                "startMode": mode,
                "startAt": self.start_at,
                "timeZone": self.time_zone,
                "callingDays": (!days.is_empty()).then_some(days),
                "callingTimes": (!self.hours.is_empty()).then_some(&self.hours),
                "redial": self.redial.rule(),
                "ringTimeoutSeconds": self.ring_timeout_seconds,
                "maxTalkSeconds": self.max_talk_seconds,
            }),
        );
        // A null clears.
        let cleared = RESETS.into_iter().filter(|(option, _)| self.reset.iter().any(|reset| reset == option));
        let started = [("startAt", self.immediate), ("redial", self.no_redial)];
        let started = started.into_iter().filter(|(_, clear)| *clear).map(|(field, _)| field);
        for field in started.chain(cleared.map(|(_, field)| field)) {
            body[field] = Value::Null;
        }
        body
    }

    pub async fn send(self, session: &Session) -> anyhow::Result<ExitCode> {
        let answer = session.command("task.update", &self.once, &self.body()).await?;
        session.show(&answer, |answer| {
            format!("task {} is changed; it is {}", text(answer, "name"), text(answer, "state"))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::task::TaskCommand;
    use super::super::{Cli, Command};
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Value, clap::Error> {
        let cli = Cli::try_parse_from(["calltaskd", "task", "update", "autumn"].iter().chain(arguments))?;
        match cli.command {
            Command::Task(TaskCommand::Update(task)) => Ok(task.body()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_is_given_is_changed() {
        assert_eq!(parsed(&["--concurrency", "3"]).unwrap(), json!({"taskName": "autumn", "concurrency": 3}));
        assert!(parsed(&[]).is_err(), "an update of nothing");
        let rule = json!({"reasons": ["NO_ANSWER"], "times": 1, "intervalMinutes": 15});
        assert_eq!(parsed(&["--redial", "no_answer"]).unwrap()["redial"], rule);
        for alone in ["--redial-times", "--redial-minutes"] {
            let said = parsed(&[alone, "2"]).unwrap_err().to_string();
            assert!(said.contains("not provided:\n  --redial <RESULT,…>\n"), "{said}");
        }
    }

    #[test]
    fn null_clears() {
        let body = parsed(&["--immediate", "--no-redial", "--reset", "time-zone,max-talk-seconds"]).unwrap();
        let expected = json!({"taskName": "autumn", "startMode": "IMMEDIATE", "startAt": null, "redial": null,
            "timeZone": null, "maxTalkSeconds": null});
        assert_eq!(body, expected);
        assert!(parsed(&["--reset", "name"]).is_err());
        assert!(parsed(&["--no-redial", "--redial", "NO_ANSWER"]).is_err());
    }
}
