//! `calltaskd callees cancel`: any number of callees, in as many commands as that takes.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::callees::of_task;
use super::reply::{self, items, number, text};
use super::session::{Session, again};
use super::{Once, input, output};

/// Values of one command.
const MOST: usize = 5_000;

const ON_MANY: &str = "\
More than 5,000 ids or numbers are sent in several commands. Those that were not cancelled are printed, with NOT_FOUND or \
NOT_PENDING (being called, or final); the exit code is 1 then. With --json, the reply to each command is one line.";

#[derive(Debug, Args)]
#[command(after_help = ON_MANY)]
#[group(id = "whom", required = true, multiple = false,
    args = ["callee_ids", "out_ids", "numbers", "batch", "callee_ids_from", "out_ids_from", "numbers_from"])]
pub struct CalleesCancel {
    /// The task's id, or its name
    task: String,
    /// The id of a callee; may be given many times
    #[arg(long = "callee-id", value_name = "UUID")]
    callee_ids: Vec<String>,
    /// Your id of a callee; may be given many times
    #[arg(long = "out-id", value_name = "ID")]
    out_ids: Vec<String>,
    /// A called number; may be given many times
    #[arg(long = "number", value_name = "NUMBER")]
    numbers: Vec<String>,
    /// All callees of this batch
    #[arg(long, value_name = "ID")]
    batch: Option<String>,
    /// A file with the id of a callee in each line (- for stdin)
    #[arg(long, value_name = "FILE")]
    callee_ids_from: Option<PathBuf>,
    /// A file with one of your ids in each line (- for stdin)
    #[arg(long, value_name = "FILE")]
    out_ids_from: Option<PathBuf>,
    /// A file with a called number in each line (- for stdin)
    #[arg(long, value_name = "FILE")]
    numbers_from: Option<PathBuf>,
    #[command(flatten)]
    once: Once,
}

impl CalleesCancel {
    /// The bodies of the commands.
    fn bodies(&self) -> anyhow::Result<Vec<Value>> {
        if let Some(batch) = &self.batch {
            return Ok(vec![of_task(&self.task, json!({ "batchId": batch }))]);
        }
        let ways = [
            ("calleeIds", &self.callee_ids, &self.callee_ids_from),
            ("outIds", &self.out_ids, &self.out_ids_from),
            ("calledNumbers", &self.numbers, &self.numbers_from),
        ];
        for (field, given, file) in ways {
            let values = match file {
                Some(file) => read(file)?,
                None => given.clone(),
            };
            if !values.is_empty() {
                let values = distinct(values);
                return Ok(values.chunks(MOST).map(|values| of_task(&self.task, json!({ field: values }))).collect());
            }
        }
        bail!("there is nobody to cancel")
    }

    pub async fn send(self, session: &Session) -> anyhow::Result<ExitCode> {
        let bodies = self.bodies()?;
        let key = self.once.message_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        let mut client = session.client().await?;
        let mut sums = Sums { commands: bodies.len(), ..Sums::default() };
        for (place, body) in (1..).zip(&bodies) {
            let message_id = if bodies.len() == 1 { key.clone() } else { format!("{key}-{place}") };
            let answer = client.command("callees.cancel", &message_id, body).await;
            let answer = answer.map_err(|error| error.with_hint(&again(&key)));
            let answer = answer.with_context(|| sums.before())?;
            if session.json {
                output::document(&answer)?;
            }
            reply::judge(&answer).with_context(|| sums.before())?;
            sums.add(&answer, session.json)?;
        }
        sums.end(session.json)?;
        Ok(if sums.not_cancelled == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<String>> {
    let text = input::text(file)?;
    let values: Vec<_> = input::lines(&text).map(|(_, line)| line.to_owned()).collect();
    if values.is_empty() {
        bail!("{} is empty: there is nobody to cancel", file.display());
    }
    Ok(values)
}

/// In their order: a value that stands twice would be NOT_PENDING the second time, when that is in another command.
fn distinct(values: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    values.into_iter().filter(|value| seen.insert(value.clone())).collect()
}

/// What came of the commands so far.
#[derive(Debug, Default)]
struct Sums {
    commands: usize,
    replies: usize,
    cancelled: u64,
    not_cancelled: u64,
}

impl Sums {
    fn add(&mut self, answer: &Value, json: bool) -> anyhow::Result<()> {
        let failed = items(answer, "failed");
        self.replies += 1;
        self.cancelled += number(answer, "cancelled");
        self.not_cancelled += failed.len() as u64 + number(answer, "notPending");
        if json {
            return Ok(());
        }
        failed.iter().try_for_each(|one| output::line(&format!("{}: {}", text(one, "value"), text(one, "code"))))?;
        if self.commands > 1 {
            // On a terminal the line is written over; in a log each has its own.
            let end = if std::io::stderr().is_terminal() && self.replies < self.commands { '\r' } else { '\n' };
            let so_far = format!("command {} of {}: {} cancelled so far", self.replies, self.commands, self.cancelled);
            output::aside_until(&so_far, end);
        }
        Ok(())
    }

    /// What stands before a failure.
    fn before(&self) -> String {
        let Self { commands, replies, cancelled, .. } = self;
        format!("after {replies} of {commands} commands, with {cancelled} callees cancelled")
    }

    fn end(&self, json: bool) -> anyhow::Result<()> {
        let Self { cancelled, not_cancelled, .. } = self;
        let result = match (cancelled, not_cancelled) {
            (_, 0) => "ALL_SUCCEEDED",
            (0, _) => "ALL_FAILED",
            _ => "PART_FAILED",
        };
        if !json {
            output::line(&format!("{result}: {cancelled} cancelled, {not_cancelled} not"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::callees::CalleesCommand;
    use super::super::{Cli, Command};
    use super::*;

    fn bodies(arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
        let cli = Cli::try_parse_from(["calltaskd", "callees", "cancel", "autumn"].iter().chain(arguments));
        match cli.unwrap().command {
            Command::Callees(CalleesCommand::Cancel(cancel)) => cancel.bodies(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn many_values_go_in_several_commands_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ids");
        let lines: Vec<_> = (0..7_000).map(|id| format!("{}\r\n", id % 6_000)).collect();
        std::fs::write(&file, lines.concat()).unwrap();
        let sent = bodies(&["--out-ids-from", file.to_str().unwrap()]).unwrap();
        let sizes: Vec<_> = sent.iter().map(|body| items(body, "outIds").len()).collect();
        assert_eq!(sizes, [5_000, 1_000]);
        std::fs::write(&file, "\n \n").unwrap();
        assert!(bodies(&["--numbers-from", file.to_str().unwrap()]).is_err());
    }

    #[test]
    fn a_batch_is_one_command() {
        assert_eq!(bodies(&["--batch", "b"]).unwrap(), [json!({"taskName": "autumn", "batchId": "b"})]);
        assert_eq!(bodies(&["--number", "1", "--number", "2"]).unwrap()[0]["calledNumbers"], json!(["1", "2"]));
    }
}
