//! `calltaskd callees`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::reply::{items, number, task_address, text};
use super::session::Session;
use super::table::Table;
use super::task::without_nulls;
use super::{Once, output, reply};

#[derive(Debug, Subcommand)]
pub enum CalleesCommand {
    /// List callees in the order of their import
    List(CalleesList),
    /// Cancel callees that are pending; none of them is called after the reply
    Cancel(CalleesCancel),
}

#[derive(Debug, Args)]
pub struct CalleesList {
    /// The task's id, or its name
    task: String,
    /// PENDING (also those that are being called), COMPLETED or FAILED
    #[arg(long, default_value = "PENDING")]
    tab: String,
    /// Only callees of this batch
    #[arg(long, value_name = "ID")]
    batch: Option<String>,
    /// Only callees whose last call ended so, like ANSWERED
    #[arg(long)]
    result: Option<String>,
}

#[derive(Debug, Args)]
#[group(id = "whom", required = true, multiple = false, args = ["callee_ids", "out_ids", "numbers", "batch"])]
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
    #[command(flatten)]
    once: Once,
}

impl CalleesCommand {
    pub async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.list(session).await,
            Self::Cancel(cancel) => cancel.send(session).await,
        }
    }
}

/// The task's address with further fields, those without a value left out.
pub(super) fn of_task(task: &str, more: Value) -> Value {
    let mut body = without_nulls(more);
    if let (Some(body), Some(address)) = (body.as_object_mut(), task_address(task).as_object()) {
        body.extend(address.clone());
    }
    body
}

impl CalleesList {
    async fn list(self, session: &Session) -> anyhow::Result<ExitCode> {
        let mut client = session.client().await?;
        let mut table = Table::new(["NUMBER", "OUT ID", "STATE", "RESULT", ">CALLS", "ENDED", "CALLEE ID"]);
        let mut after = Value::Null;
        loop {
            let more = json!({"tab": self.tab.to_uppercase(), "batchId": self.batch, "result": self.result,
                "after": after, "limit": 1_000});
            let page = client.query("callees.list", &of_task(&self.task, more)).await?;
            if session.json {
                output::line(&page.to_string())?;
            }
            reply::judge(&page)?;
            for callee in items(&page, "items") {
                let outcome = [text(callee, "result"), text(callee, "failedReason")].concat();
                let [called, out_id, state, ended, id] =
                    ["calledNumber", "outId", "state", "endedAt", "calleeId"].map(|key| text(callee, key).to_owned());
                table.row([called, out_id, state, outcome, number(callee, "attempts").to_string(), ended, id]);
            }
            after = page.get("next").cloned().unwrap_or_default();
            if after.is_null() {
                break;
            }
        }
        if !session.json {
            output::line(&if table.is_empty() { "no callees".to_owned() } else { table.to_string() })?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl CalleesCancel {
    async fn send(self, session: &Session) -> anyhow::Result<ExitCode> {
        let some = |values: &Vec<String>| (!values.is_empty()).then(|| values.clone());
        let whom = json!({"calleeIds": some(&self.callee_ids), "outIds": some(&self.out_ids),
            "calledNumbers": some(&self.numbers), "batchId": self.batch});
        let answer = session.command("callees.cancel", &self.once, &of_task(&self.task, whom)).await?;
        session.show(&answer, |answer| {
            let mut lines = vec![format!("{}: {} cancelled", text(answer, "result"), number(answer, "cancelled"))];
            let failed = items(answer, "failed").iter();
            lines.extend(failed.map(|one| format!("{}: {}", text(one, "value"), text(one, "code"))));
            lines.join("\n")
        })?;
        // Accepted, and yet not what was asked for.
        let all = text(&answer, "result") == "ALL_SUCCEEDED";
        Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
