//! Looks through a file before anything of it is sent.

use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use super::file::{CalleeFile, RefusedRow};
use super::report::Report;
use crate::bus::Client;
use crate::bus::wire::v1::import::row_problem;
use crate::cli::reply::{self, items, task_address, text};
use crate::domain::phone_number::Region;
use crate::domain::problem::{Code, Problem};

/// Rows that are told of together.
const PART: usize = 1_000;

/// Reads a file to its end; gives the number of its rows. `None` for a pipe, which can be read but once.
pub fn count(path: &Path) -> anyhow::Result<Option<u64>> {
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Ok(None);
    }
    let (mut file, mut rows) = (CalleeFile::open(path)?, 0);
    while file.next_row()?.is_some() {
        rows += 1;
    }
    Ok(Some(rows))
}

/// The task's id, and the variables that its agent requires.
///
/// The id, because a message id that is made from the name would be the same for the next task of this name.
pub async fn task(client: &mut Client<'_>, task: &str) -> anyhow::Result<(Uuid, Vec<String>)> {
    let answer = client.query("task.get", &task_address(task)).await?;
    reply::judge(&answer).with_context(|| format!("task {task}"))?;
    let of_task = |key| answer.get("task").map_or("", |task| text(task, key));
    let id = Uuid::parse_str(of_task("taskId")).context("the daemon's reply has no taskId")?;
    let agent = of_task("agentId");
    let answer = client.query("agent.get", &json!({ "agentId": agent })).await?;
    reply::judge(&answer).with_context(|| format!("agent {agent}"))?;
    let variables = answer.get("agent").map(|agent| items(agent, "variables")).unwrap_or_default();
    let required = variables.iter().filter(|variable| variable["required"] == true);
    Ok((id, required.map(|variable| text(variable, "key").to_owned()).collect()))
}

/// Refuses a file without a column for each required variable: not one of its rows would be taken.
pub fn columns(file: &CalleeFile, required: &[String]) -> anyhow::Result<()> {
    let is_there = |key: &String| file.columns().iter().any(|column| column.name() == key);
    let missing: Vec<_> = required.iter().filter(|key| !is_there(key)).map(String::as_str).collect();
    if !missing.is_empty() {
        bail!(
            "the agent requires {}, and the file has no such column; nothing was sent. `calltaskd template` makes a \
             file with all columns",
            missing.join(", ")
        );
    }
    Ok(())
}

/// Judges every row as the daemon would, and reports the bad ones.
pub fn check(
    file: &mut CalleeFile,
    report: &mut Report,
    (region, required): (Option<Region>, &[String]),
) -> anyhow::Result<()> {
    let (mut refused, mut good) = (Vec::new(), 0_u64);
    while let Some(row) = file.next_row()? {
        let line = row.line;
        let callee = row.callee.and_then(|callee| match problem(&callee, (region, required)) {
            Some(problem) => Err(refusal(line, problem, callee)),
            None => Ok(()),
        });
        match callee {
            Ok(()) => good += 1,
            Err(row) => refused.push(row),
        }
        if refused.len() >= PART {
            report.batch(std::mem::take(&mut refused), 0, &json!({"accepted": std::mem::take(&mut good)}))?;
        }
    }
    report.batch(refused, 0, &json!({"accepted": good}))
}

fn problem(callee: &Value, (region, required): (Option<Region>, &[String])) -> Option<Problem> {
    row_problem(callee, region).or_else(|| {
        let missing = required.iter().find(|key| callee["variables"].get(key.as_str()).is_none())?;
        Some(Problem::new(Code::VariableMissing, format!("give the variable {missing}")))
    })
}

fn refusal(line: u64, problem: Problem, callee: Value) -> RefusedRow {
    let called_number = text(&callee, "calledNumber").to_owned();
    RefusedRow { line, called_number, code: problem.code.as_str().to_owned(), message: problem.message, callee }
}
