//! `calltaskd export`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use uuid::Uuid;

use super::download::{Download, file_name};
use super::listing::Listing;
use super::readable::fields;
use super::reply::{number, task_address, text};
use super::session::Session;
use super::{Once, output, reply};
use crate::objects::Shelf;
use crate::settings::Settings;

/// How often the daemon is asked whether an export is ready.
const POLL: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// Order a file with the callees of a task and what became of them
    Create(ExportCreate),
    /// List the exports, the newest first
    List(ExportList),
    /// Show an export: its state, and where its file is
    Show(ExportShow),
    /// Fetch the file of an export, and compare it with its SHA-256
    Download(ExportDownload),
}

#[derive(Debug, Args)]
pub struct ExportCreate {
    /// The task's id, or its name
    #[arg(long)]
    task: String,
    /// Its name, also that of the file
    #[arg(long)]
    name: String,
    /// CSV or XLSX
    #[arg(long, default_value = "CSV")]
    format: String,
    /// Which callees: COMPLETED, FAILED or ALL [default: COMPLETED]
    #[arg(long)]
    status: Option<String>,
    /// The id of the export [default: the daemon makes one]
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    #[command(flatten)]
    once: Once,
}

#[derive(Debug, Args)]
pub struct ExportList {
    /// Only exports of this task: its id, or its name
    #[arg(long)]
    task: Option<String>,
}

#[derive(Debug, Args)]
pub struct ExportShow {
    /// The id of the export
    #[arg(value_name = "UUID")]
    id: Uuid,
}

/// The file is read from where the daemon put it: a folder that this machine sees, or the bucket of the settings.
#[derive(Debug, Args)]
pub struct ExportDownload {
    /// The id of the export
    #[arg(value_name = "UUID")]
    id: Uuid,
    /// Where to write it [default: the name of the export, in this folder]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Wait until the export is ready
    #[arg(long)]
    wait: bool,
}

impl ExportCommand {
    pub async fn run(self, session: &Session, settings: &Settings) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(export) => export.create(session).await,
            Self::List(filter) => filter.list(session).await,
            Self::Show(wanted) => wanted.show(session).await,
            Self::Download(wanted) => wanted.download(session, settings).await,
        }
    }
}

impl ExportCreate {
    fn body(&self) -> Value {
        let mut body = task_address(&self.task);
        body["name"] = json!(self.name);
        body["format"] = json!(self.format.to_uppercase());
        if let Some(status) = &self.status {
            body["status"] = json!(status.to_uppercase());
        }
        if let Some(id) = self.id {
            body["exportId"] = json!(id);
        }
        body
    }

    async fn create(self, session: &Session) -> anyhow::Result<ExitCode> {
        let answer = session.command("export.create", &self.once, &self.body()).await?;
        session.show(&answer, |answer| {
            let id = text(answer, "exportId");
            format!(
                "export {} is ordered with the id {id}; fetch it by\ncalltaskd export download --wait {id}",
                self.name
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl ExportList {
    async fn list(self, session: &Session) -> anyhow::Result<ExitCode> {
        let listing = Listing {
            query: "export.list",
            question: self.task.as_deref().map_or_else(|| json!({}), task_address),
            headings: ["NAME", "STATE", "EXPORT ID", "FORMAT", ">ROWS", "CREATED"],
            nothing: "no exports",
        };
        let row = |export: &Value| {
            let [name, state, id] = ["name", "state", "exportId"].map(|key| text(export, key).to_owned());
            let [format, created] = ["format", "createdAt"].map(|key| text(export, key).to_owned());
            [name, state, id, format, number(export, "rows").to_string(), created]
        };
        listing.print(session, row).await
    }
}

impl ExportShow {
    async fn show(self, session: &Session) -> anyhow::Result<ExitCode> {
        let answer = session.query("export.get", &json!({"exportId": self.id})).await?;
        let first = ["name", "exportId", "state", "reason", "format", "status", "taskId", "rows", "bytes", "location"];
        session.show(&answer, |answer| fields(answer.get("export").unwrap_or(&Value::Null), &first))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl ExportDownload {
    async fn download(self, session: &Session, settings: &Settings) -> anyhow::Result<ExitCode> {
        let answer = self.ready(session).await?;
        let export = answer.get("export").unwrap_or(&Value::Null);
        let location = text(export, "location");
        let path = self.output.unwrap_or_else(|| default_path(export));
        let shelf = Shelf::open(&settings.exports.place)?;
        let download = Download::to(path);
        let fetched = shelf.fetch(location, &download.unfinished).await;
        let content = fetched.with_context(|| format!("{location} cannot be read from here"))?;
        if content.sha256 != text(export, "sha256") {
            download.give_up();
            bail!("{location} is not what the export's SHA-256 says; order the export again");
        }
        let file = download.finish()?;
        let told = json!({"export": export, "file": file});
        let line =
            || format!("{file}: {} rows, {} bytes, SHA-256 {}", number(export, "rows"), content.bytes, content.sha256);
        if session.json { output::document(&told) } else { output::line(&line()) }?;
        Ok(ExitCode::SUCCESS)
    }

    /// The answer about an export that has a file.
    async fn ready(&self, session: &Session) -> anyhow::Result<Value> {
        let mut client = session.client().await?;
        loop {
            let answer = client.query("export.get", &json!({"exportId": self.id})).await?;
            reply::judge(&answer)?;
            let export = answer.get("export").unwrap_or(&Value::Null);
            match (text(export, "state"), text(export, "reason")) {
                ("SUCCEEDED", _) => return Ok(answer),
                ("FAILED", reason) => bail!("the export failed: {reason}"),
                (state, _) if !self.wait => bail!("the export is {state}; give --wait to wait until it is ready"),
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }
}

/// The export's name, without what could lead out of the folder.
fn default_path(export: &Value) -> PathBuf {
    PathBuf::from(format!("{}.{}", file_name(text(export, "name")), text(export, "format").to_lowercase()))
}
