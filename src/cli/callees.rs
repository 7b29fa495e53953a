//! `calltaskd callees`, but for `cancel`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::cancel::CalleesCancel;
use super::input::without_nulls;
use super::listing::Listing;
use super::readable::cell_of;
use super::reply::{number, task_address, text};
use super::session::Session;

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
    /// Only the callee with this id of yours
    #[arg(long, value_name = "ID")]
    out_id: Option<String>,
    /// Only callees with this number
    #[arg(long)]
    number: Option<String>,
    /// Only callees whose last call ended so, like ANSWERED
    #[arg(long)]
    result: Option<String>,
    /// Only callees that became final at this instant or later, like 2026-11-23T09:00:00+01:00
    #[arg(long, value_name = "INSTANT")]
    ended_from: Option<String>,
    /// Only callees that became final before this instant
    #[arg(long, value_name = "INSTANT")]
    ended_to: Option<String>,
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
    fn question(&self) -> Value {
        let filters = json!({
            "tab": self.tab.to_uppercase(),
            "batchId": self.batch,
            "outId": self.out_id,
            "calledNumber": self.number,
            "result": self.result.as_ref().map(|result| result.to_uppercase()),
            "endedFrom": self.ended_from,
            "endedTo": self.ended_to,
        });
        of_task(&self.task, filters)
    }

    async fn list(self, session: &Session) -> anyhow::Result<ExitCode> {
        let listing = Listing {
            query: "callees.list",
            question: self.question(),
            headings: ["NUMBER", "OUT ID", "STATE", "RESULT", ">CALLS", "ENDED", "REDIAL", "CALLEE ID"],
            nothing: "no callees",
        };
        let row = |callee: &Value| {
            let outcome = [text(callee, "result"), text(callee, "failedReason")].concat();
            let [called, out_id, state] = ["calledNumber", "outId", "state"].map(|key| cell_of(callee, key));
            let [ended, redial, id] = ["endedAt", "redialAt", "calleeId"].map(|key| cell_of(callee, key));
            [called, out_id, state, outcome, number(callee, "attempts").to_string(), ended, redial, id]
        };
        listing.print(session, row).await
    }
}
