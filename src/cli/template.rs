//! `calltaskd template`: a workbook to fill in with callees, for `calltaskd import`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use rust_xlsxwriter::{Format, Workbook, XlsxError};
use serde_json::{Value, json};

use super::agent::key;
use super::output;
use super::reply::{self, items, text};
use super::session::Session;

const HOW_TO: [&str; 8] = [
    "How to fill in the sheet \"Callees\"",
    "",
    "One row for each person to be called. Leave the first row as it is.",
    "calledNumber: the phone number, as + and 8 to 15 digits without spaces, like +4915123450001.",
    "outId: your own id of the person, at most 128 characters. It may be left empty; each may stand in one row only.",
    "Every other column is a variable that the agent is told. Those marked as required must be filled in:",
    "",
    "Save the file as it is (XLSX), check it with calltaskd import FILE --task TASK --dry-run, and leave out --dry-run then.",
];

/// Make a workbook to fill in with callees
#[derive(Debug, Args)]
pub struct TemplateArgs {
    /// The file to write, which must not exist
    #[arg(value_name = "FILE.xlsx")]
    file: PathBuf,
    /// The agent whose variables become columns: its id
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// One more column for a variable
    #[arg(long = "variable", value_name = "KEY[:required]", value_parser = key)]
    variables: Vec<(String, bool)>,
}

/// A column for a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    key: String,
    required: bool,
}

pub async fn run(session: &Session, arguments: &TemplateArgs) -> anyhow::Result<ExitCode> {
    if arguments.file.exists() {
        bail!("{} exists already; name another file", arguments.file.display());
    }
    let mut variables = match &arguments.agent {
        Some(agent) => of_agent(session, agent).await?,
        None => Vec::new(),
    };
    for (key, required) in &arguments.variables {
        if variables.iter().all(|variable| variable.key != *key) {
            variables.push(Variable { key: key.clone(), required: *required });
        }
    }
    let mut workbook = workbook(&variables)?;
    workbook.save(&arguments.file).with_context(|| arguments.file.display().to_string())?;
    let keys: Vec<_> = variables.iter().map(|variable| variable.key.as_str()).collect();
    let told = json!({"file": arguments.file.display().to_string(), "variables": keys});
    let columns = ["calledNumber", "outId"].into_iter().chain(keys.iter().copied()).collect::<Vec<_>>().join(", ");
    let line = || format!("{} is there to be filled in; its columns are {columns}", arguments.file.display());
    if session.json { output::document(&told) } else { output::line(&line()) }?;
    Ok(ExitCode::SUCCESS)
}

/// The variables by the agent's record.
async fn of_agent(session: &Session, agent: &str) -> anyhow::Result<Vec<Variable>> {
    let answer = session.query("agent.get", &json!({ "agentId": agent })).await?;
    reply::judge(&answer).with_context(|| format!("agent {agent}"))?;
    let variables = answer.get("agent").map(|agent| items(agent, "variables")).unwrap_or_default();
    let variable =
        |variable: &Value| Variable { key: text(variable, "key").to_owned(), required: variable["required"] == true };
    Ok(variables.iter().map(variable).collect())
}

/// All columns are texts, so that a spreadsheet neither cuts a plus sign nor writes 1.39E+10.
fn workbook(variables: &[Variable]) -> Result<Workbook, XlsxError> {
    let (bold, as_text) = (Format::new().set_bold().set_num_format("@"), Format::new().set_num_format("@"));
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet().set_name("Callees")?;
    sheet.set_freeze_panes(1, 0)?;
    let names = ["calledNumber", "outId"].into_iter().chain(variables.iter().map(|variable| variable.key.as_str()));
    for (column, name) in (0..).zip(names) {
        sheet.set_column_format(column, &as_text)?.set_column_width(column, 20)?;
        sheet.write_string_with_format(0, column, name, &bold)?;
    }
    let sheet = workbook.add_worksheet().set_name("How to")?;
    sheet.set_column_width(0, 110)?;
    let marked = variables.iter().map(|variable| match variable.required {
        true => format!("    {} (required)", variable.key),
        false => format!("    {}", variable.key),
    });
    let (before, after) = HOW_TO.split_at(6);
    let lines = before.iter().map(ToString::to_string).chain(marked).chain(after.iter().map(ToString::to_string));
    for (line, text) in (0..).zip(lines) {
        sheet.write_string(line, 0, text)?;
    }
    Ok(workbook)
}
