//! Exports: a task's callees and what became of them, as a file.
//!
//! Any daemon may write one; the lease on its row sees to it that one does. A run that dies is begun again from the
//! start by whoever finds its lease expired, into an object of its own, so that a finished file is always whole and
//! the SHA-256 that is told is that of the file that is told. Must not read more than a slice of a task at a time.

mod sheet;
mod write;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::bus::wire::v1::events::{About, EventWriter};
use crate::bus::wire::v1::exports::ExportEvent;
use crate::clock::Clock;
use crate::domain::export::ExportFile;
use crate::objects::{Shelf, ShelfError};
use crate::store::exports::ExportRun;
use crate::store::{Store, StoreError};

/// How often somebody looks for an export to write.
const LOOK: Duration = Duration::from_secs(1);
/// How often the lease is renewed; it holds for 15 s.
const RENEW: Duration = Duration::from_secs(4);
/// Runs that may fail or die before the export is given up.
const MOST_TRIES: i32 = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// What this stage works with.
#[derive(Debug)]
pub struct Context {
    pub store: Store,
    pub shelf: Shelf,
    pub clock: Arc<dyn Clock>,
    pub events: EventWriter,
    /// How long a finished export is kept.
    pub keep: TimeDelta,
    pub drain: CancellationToken,
}

/// Why a run ended without a file.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    /// The daemon drains, or another run has taken over.
    #[error("stopped")]
    Stopped,
    /// It cannot be done, however often it is tried.
    #[error("{0}")]
    Impossible(&'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    #[error("the file cannot be written: {0}")]
    Sheet(#[from] sheet::SheetError),
    #[error("the run fell: {0}")]
    Fell(#[from] tokio::task::JoinError),
}

/// Writes exports until the drain.
pub async fn run(context: Arc<Context>) {
    while !context.drain.is_cancelled() {
        match context.store.claim_export().await {
            Ok(Some(run)) => serve(&context, &run).await,
            Ok(None) => look_again(&context).await,
            Err(error) => {
                tracing::warn!(%error, "no export can be claimed; trying again");
                look_again(&context).await;
            }
        }
    }
}

async fn look_again(context: &Context) {
    tokio::select! { () = context.drain.cancelled() => {} () = tokio::time::sleep(LOOK) => {} }
}

/// Writes one export, and says how that went.
async fn serve(context: &Arc<Context>, run: &ExportRun) {
    tracing::info!(export = %run.id, task = %run.task, tries = run.tries, "an export begins");
    let settled = match attempt(context, run).await {
        Ok(file) => finish(context, run, &file).await,
        Err(ExportError::Stopped) => context.store.release_export(run).await,
        Err(ExportError::Impossible(reason)) => fail(context, run, reason).await,
        Err(error) if run.tries >= MOST_TRIES => fail(context, run, &error.to_string()).await,
        Err(error) => {
            tracing::warn!(export = %run.id, %error, "an export failed; trying again");
            context.store.retry_export(run, PAUSE * run.tries.unsigned_abs()).await
        }
    };
    if let Err(error) = settled {
        tracing::warn!(export = %run.id, %error, "an export is left to the next run");
    }
}

/// Keeps the lease while the file is written. A run is spawned and never dropped: it may be inside a statement.
async fn attempt(context: &Arc<Context>, run: &ExportRun) -> Result<ExportFile, ExportError> {
    let stop = context.drain.child_token();
    let mut writing = tokio::spawn(write::export(context.clone(), run.clone(), stop.clone()));
    loop {
        tokio::select! {
            file = &mut writing => return file?,
            () = tokio::time::sleep(RENEW) => {}
        }
        match context.store.renew_export(run).await {
            Ok(true) => {}
            Ok(false) => stop.cancel(),
            // The file cannot be finished without the database either, and another run is fenced off by its epoch.
            Err(error) => tracing::warn!(export = %run.id, %error, "the lease of an export was not renewed"),
        }
    }
}

async fn finish(context: &Context, run: &ExportRun, file: &ExportFile) -> Result<(), StoreError> {
    if end(context, run, Ok(file)).await? {
        tracing::info!(export = %run.id, callees = file.callees, location = file.location, "an export is ready");
        return Ok(());
    }
    // Another run was faster, or this one's commit was not answered: only a file that nobody tells of may go.
    let told = context.store.export(run.id).await?.and_then(|export| export.file);
    if told.is_none_or(|told| told.location != file.location)
        && let Err(error) = context.shelf.remove(&file.location).await
    {
        tracing::warn!(export = %run.id, %error, "a file too many stays until its export expires");
    }
    Ok(())
}

async fn fail(context: &Context, run: &ExportRun, reason: &str) -> Result<(), StoreError> {
    tracing::error!(export = %run.id, reason, "ALARM: an export failed");
    end(context, run, Err(reason)).await.map(drop)
}

/// Makes the export final and tells of it, in one transaction.
async fn end(context: &Context, run: &ExportRun, outcome: Result<&ExportFile, &str>) -> Result<bool, StoreError> {
    let now = context.clock.now();
    let expires_at = now + context.keep;
    let mut transaction = context.store.begin().await?;
    if !transaction.end_export(run, outcome, (now, expires_at)).await? {
        transaction.roll_back().await;
        return Ok(false);
    }
    let about = About::task(run.task, transaction.next_event_sequence().await?, now);
    let event = ExportEvent { id: run.id, task: run.task, name: &run.name, format: run.format, outcome, expires_at };
    transaction.write_events(vec![context.events.export_ended(event, about)]).await?;
    transaction.commit().await?;
    Ok(true)
}
