//! Looks through a file before anything of it is sent.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use super::batch::MOST_BYTES;
use super::file::{CalleeFile, RefusedRow};
use super::report::Report;
use crate::bus::Client;
use crate::bus::wire::v1::import::read_row;
use crate::cli::reply::{self, items, task_address, text};
use crate::domain::callee::NewCallee;
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
    while file.next_row().with_context(|| path.display().to_string())?.is_some() {
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

/// What rows are judged by.
pub struct Rules<'a> {
    pub region: Option<Region>,
    pub required: &'a [String],
    pub allow_duplicate_numbers: bool,
}

/// The rows that were good so far, to know them again; sixteen bytes or so for each, and not the rows themselves.
#[derive(Default)]
struct Seen(HashSet<u64>);

impl Seen {
    /// As the daemon does: an id is what a row is known by, else its number.
    fn is_new(&mut self, callee: &NewCallee, rules: &Rules<'_>) -> bool {
        let mark = |kind: &str, text: &str| {
            let mut hasher = DefaultHasher::new();
            (kind, text).hash(&mut hasher);
            hasher.finish()
        };
        let number = mark("number", callee.called_number.e164());
        let is_new = match &callee.out_id {
            Some(id) => self.0.insert(mark("id", id)),
            None => rules.allow_duplicate_numbers || !self.0.contains(&number),
        };
        if is_new {
            self.0.insert(number);
        }
        is_new
    }
}

/// Judges every row as the daemon would, and reports the bad ones.
pub fn check(file: &mut CalleeFile, report: &mut Report, rules: &Rules<'_>) -> anyhow::Result<()> {
    let (mut refused, mut bytes) = (Vec::<RefusedRow>::new(), 0);
    let (mut seen, mut good, mut duplicates) = (Seen::default(), 0_u64, 0_u64);
    while let Some(row) = file.next_row()? {
        let line = row.line;
        let judged =
            row.callee.and_then(|callee| judge(&callee, rules).map_err(|problem| refusal(line, problem, callee)));
        match judged {
            Ok(callee) if seen.is_new(&callee, rules) => good += 1,
            Ok(_) => duplicates += 1,
            Err(row) => {
                bytes += row.callee.to_string().len();
                refused.push(row);
            }
        }
        if refused.len() >= PART || bytes > MOST_BYTES {
            bytes = 0;
            let counts = json!({"accepted": std::mem::take(&mut good), "duplicates": std::mem::take(&mut duplicates)});
            report.batch(std::mem::take(&mut refused), 0, &counts)?;
        }
    }
    report.batch(refused, 0, &json!({"accepted": good, "duplicates": duplicates}))
}

fn judge(callee: &Value, rules: &Rules<'_>) -> Result<NewCallee, Problem> {
    let read = read_row(callee, rules.region)?;
    match rules.required.iter().find(|key| !read.variables.contains_key(*key)) {
        Some(missing) => Err(Problem::new(Code::VariableMissing, format!("give the variable {missing}"))),
        None => Ok(read),
    }
}

fn refusal(line: u64, problem: Problem, callee: Value) -> RefusedRow {
    let called_number = text(&callee, "calledNumber").to_owned();
    RefusedRow { line, called_number, code: problem.code.as_str().to_owned(), message: problem.message, callee }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_known_by_its_id_else_by_its_number() {
        let new = |allow_duplicate_numbers| {
            let rules = Rules { region: None, required: &[], allow_duplicate_numbers };
            let mut seen = Seen::default();
            [("1", Some("a")), ("2", Some("a")), ("1", Some("b")), ("1", None), ("2", None), ("2", None)].map(
                |(number, id)| {
                    let row = json!({"calledNumber": format!("+49302312500{number}"), "outId": id});
                    let callee = judge(&row, &rules).unwrap();
                    seen.is_new(&callee, &rules)
                },
            )
        };
        assert_eq!(new(false), [true, false, true, false, true, false]);
        assert_eq!(new(true), [true, false, true, true, true, true]);
    }
}
