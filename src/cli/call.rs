//! `calltaskd call`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::callees::of_task;
use super::reply::items;
use super::session::Session;
use super::task::fields;

#[derive(Debug, Subcommand)]
pub enum CallCommand {
    /// Show a callee with all its calls, by one of them or by the task and your id of the callee
    Show(CallShow),
}

#[derive(Debug, Args)]
pub struct CallShow {
    /// The id of a call
    #[arg(required_unless_present = "task", conflicts_with_all = ["task", "out_id"])]
    call: Option<String>,
    /// The task's id, or its name
    #[arg(long, requires = "out_id")]
    task: Option<String>,
    /// Your id of the callee
    #[arg(long, value_name = "ID", requires = "task")]
    out_id: Option<String>,
}

impl CallCommand {
    pub async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let Self::Show(CallShow { call, task, out_id }) = self;
        let body = match task {
            Some(task) => of_task(&task, json!({ "outId": out_id })),
            None => json!({ "callId": call }),
        };
        let answer = session.client().await?.query("call.get", &body).await?;
        session.show(&answer, |answer| {
            let callee = fields(answer.get("callee").unwrap_or(&Value::Null));
            let calls = items(answer, "attempts").iter().map(fields);
            std::iter::once(callee).chain(calls).collect::<Vec<_>>().join("\n\n")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
