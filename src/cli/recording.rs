//! `calltaskd recording`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::callees::of_task;
use super::download::{Download, extension, file_name};
use super::readable::cell_of;
use super::reply::{items, text};
use super::session::Session;
use super::{output, reply};
use crate::domain::recording::{Source, extension_of};
use crate::objects::source::{Copy, Fetched, Web, read_file};
use crate::objects::{Content, Shelf};
use crate::settings::Settings;

/// How often the daemon is asked whether a recording is fetched.
const POLL: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub enum RecordingCommand {
    /// Fetch the recording of a call
    Download(RecordingDownload),
}

/// From where the daemon keeps it, compared with its SHA-256; where it fetches none, from where it was reported to be: a
/// file of this machine, or a URL. One that the daemon could not have is not to be had here either. A file that is there already is replaced when the new one is whole.
#[derive(Debug, Args)]
pub struct RecordingDownload {
    /// The id of the call
    #[arg(required_unless_present = "task", conflicts_with_all = ["task", "out_id"])]
    call: Option<String>,
    /// The task's id, or its name
    #[arg(long, requires = "out_id")]
    task: Option<String>,
    /// Your id of the callee, whose last recorded call is meant
    #[arg(long, value_name = "ID", requires = "task")]
    out_id: Option<String>,
    /// Where to write it [default: the id of the call, in this folder]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Wait until the daemon has fetched it, or given it up
    #[arg(long)]
    wait: bool,
}

impl RecordingCommand {
    pub async fn run(self, session: &Session, settings: &Settings) -> anyhow::Result<ExitCode> {
        let Self::Download(wanted) = self;
        wanted.download(session, settings).await
    }
}

impl RecordingDownload {
    async fn download(self, session: &Session, settings: &Settings) -> anyhow::Result<ExitCode> {
        let attempt = self.recorded(session).await?;
        let recording = attempt.get("recording").unwrap_or(&Value::Null);
        let call = text(&attempt, "callId");
        let stored = Some(text(recording, "location")).filter(|_| text(recording, "state") == "STORED");
        let (content, path) = match stored {
            Some(location) => {
                let name = format!("{call}.{}", extension(location).unwrap_or("bin"));
                let download = Download::to(self.output.unwrap_or_else(|| file_name(&name).into()));
                (kept(recording, (location, &download), settings).await?, download.finish()?)
            }
            None => reported(recording, call, self.output).await?,
        };
        let told = json!({"callId": call, "recording": recording, "file": path, "bytes": content.bytes,
            "sha256": content.sha256});
        let line = || format!("{path}: {} bytes, SHA-256 {}", content.bytes, content.sha256);
        if session.json { output::document(&told) } else { output::line(&line()) }?;
        Ok(ExitCode::SUCCESS)
    }

    /// The attempt whose recording is meant, once the daemon is not about to fetch it any more.
    async fn recorded(&self, session: &Session) -> anyhow::Result<Value> {
        let question = match &self.task {
            Some(task) => of_task(task, json!({ "outId": self.out_id })),
            None => json!({ "callId": self.call }),
        };
        let mut client = session.client().await?;
        loop {
            let answer = client.query("call.get", &question).await?;
            reply::judge(&answer)?;
            let attempt = choose(items(&answer, "attempts"), self.call.as_deref())?;
            match text(attempt.get("recording").unwrap_or(&Value::Null), "state") {
                "PENDING" if self.wait => tokio::time::sleep(POLL).await,
                "PENDING" => bail!("the recording is not fetched yet; give --wait to wait until it is"),
                "FAILED" => bail!(failure(attempt)),
                _ => return Ok(attempt.clone()),
            }
        }
    }
}

/// The attempt with this call; without one the last that has a recording.
fn choose<'a>(attempts: &'a [Value], call: Option<&str>) -> anyhow::Result<&'a Value> {
    let is_meant = |attempt: &&Value| call.is_none_or(|call| text(attempt, "callId").eq_ignore_ascii_case(call));
    let is_recorded = |attempt: &&Value| attempt.get("recording").is_some();
    match attempts.iter().rev().filter(is_meant).find(is_recorded) {
        Some(attempt) => Ok(attempt),
        None if call.is_some() => bail!("no recording of this call was reported"),
        None => bail!("no recording of a call of this callee was reported"),
    }
}

/// Why the daemon does not have it. What it may not fetch is nothing to fetch from the operator's machine instead.
fn failure(attempt: &Value) -> String {
    let reason = attempt.get("recording").map(|recording| cell_of(recording, "reason")).unwrap_or_default();
    format!(
        "the recording could not be fetched: {reason}; once that is mended and it is reported again, it is tried again"
    )
}

/// From the folder or the bucket of the settings.
async fn kept(
    recording: &Value,
    (location, download): (&str, &Download),
    settings: &Settings,
) -> anyhow::Result<Content> {
    let shelf = Shelf::open(&settings.recordings.place)?;
    let fetched = shelf.fetch(location, &download.unfinished).await;
    let content = fetched.inspect_err(|_| download.give_up());
    let content = content.with_context(|| format!("{location} cannot be read from here"))?;
    if content.sha256 != text(recording, "sha256") {
        download.give_up();
        bail!("{location} is not what the recording's SHA-256 says; report it again to have it fetched again");
    }
    Ok(content)
}

/// From where it was reported to be. Here it is the caller who asks for it, from wherever it is and however large.
async fn reported(recording: &Value, call: &str, output: Option<PathBuf>) -> anyhow::Result<(Content, String)> {
    let Some(source) = Source::of(recording) else { bail!("the daemon's reply names neither url nor path") };
    let named = |extension: &str| PathBuf::from(file_name(&format!("{call}.{extension}")));
    let path = output.clone().unwrap_or_else(|| named(&source.extension().unwrap_or_else(|| "bin".to_owned())));
    let mut download = Download::to(path);
    let copied = copy(&source, &download.unfinished).await.inspect_err(|_| download.give_up());
    let fetched = copied.with_context(|| match &source {
        Source::Path(path) => format!("{path} cannot be read from here"),
        Source::Url(_) => "the URL that was reported cannot be read from here".to_owned(),
    })?;
    let told = fetched.media_type.as_deref().and_then(extension_of);
    if let (None, None, Some(told)) = (output, source.extension(), told) {
        download = download.renamed(named(told));
    }
    Ok((fetched.content, download.finish()?))
}

async fn copy(source: &Source, into: &Path) -> anyhow::Result<Fetched> {
    let mut file = tokio::fs::File::create(into).await.with_context(|| into.display().to_string())?;
    let mut copy = Copy::into(&mut file, None);
    let fetched = match source {
        Source::Url(url) => Web::new(None)?.read(url, &mut copy).await?,
        Source::Path(path) => read_file(Path::new(path), None, &mut copy).await?,
    };
    file.sync_all().await?;
    Ok(fetched)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_that_is_named_is_meant_else_the_last_that_is_recorded() {
        let attempts = [
            json!({"callId": "a", "recording": {"url": "1"}}),
            json!({"callId": "b", "recording": {"url": "2"}}),
            json!({"callId": "c"}),
        ];
        assert_eq!(choose(&attempts, Some("A")).unwrap()["callId"], "a");
        assert_eq!(choose(&attempts, None).unwrap()["callId"], "b");
        assert!(choose(&attempts, Some("c")).is_err());
    }

    #[test]
    fn a_recording_that_failed_tells_why() {
        let attempt = json!({"recording": {"state": "FAILED", "reason": "the server answered 404"}});
        assert!(failure(&attempt).starts_with("the recording could not be fetched: the server answered 404; "));
    }
}
