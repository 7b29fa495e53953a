//! One run: the columns, the rows slice by slice into a file, and the file into its place.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Context, ExportError, sheet};
use crate::domain::export::{Columns, ExportFile, ExportRow};
use crate::domain::task::TaskRef;
use crate::store::exports::ExportRun;

/// Places that are looked through for keys at a time.
const KEYS_SLICE: i64 = 10_000;
/// Rows in memory at a time; each can have 50 KiB of variables.
const ROWS_SLICE: i64 = 500;
/// Slices that wait for the writer.
const SLICES: usize = 2;
/// Columns of variables: each callee may have keys of its own, and no file has a million columns.
const MOST_KEYS: usize = 1_000;

/// Writes the file of an export and keeps it.
pub(super) async fn export(
    context: Arc<Context>,
    run: ExportRun,
    stop: CancellationToken,
) -> Result<ExportFile, ExportError> {
    let last = context.store.last_seq(run.task_no).await?;
    let columns = columns(&context, &run, (last, &stop)).await?;
    let (slices, receiver) = mpsc::channel(SLICES);
    let (format, workshop) = (run.format, context.shelf.workshop());
    let writer = tokio::task::spawn_blocking(move || sheet::write(format, &columns, &workshop, receiver));
    let fed = feed(&context, &run, (last, &stop), slices).await;
    // The writer ends when its last slice is in, and has the better reason when it went first.
    let (file, callees) = writer.await??;
    fed?;
    let name = format!("{}-{}.{}", run.epoch, file_name(&run.name), run.format.extension());
    let (location, content) = context.shelf.put(&run.id.to_string(), &name, file).await?;
    Ok(ExportFile { callees, bytes: content.bytes, sha256: content.sha256, location })
}

/// The columns of the agent's variables in its order, then those that callees have besides, then the agent's tags.
async fn columns(
    context: &Context,
    run: &ExportRun,
    (last, stop): (i64, &CancellationToken),
) -> Result<Columns, ExportError> {
    let mut transaction = context.store.begin().await?;
    let task = transaction.task(&TaskRef::Id(run.task)).await?;
    let agent = match &task {
        Some(task) => transaction.agent(&task.settings.agent).await?,
        None => None,
    };
    transaction.commit().await?;
    if task.is_none() {
        return Err(ExportError::Impossible("TASK_DELETED"));
    }
    let mut variables: Vec<String> =
        agent.iter().flat_map(|agent| &agent.variables).map(|variable| variable.key.clone()).collect();
    let mut others = BTreeSet::new();
    for after in (0..last).step_by(usize::try_from(KEYS_SLICE).unwrap_or(1)) {
        go_on(stop)?;
        let keys = context.store.variable_keys(run.task_no, (after, last.min(after + KEYS_SLICE))).await?;
        others.extend(keys.into_iter().filter(|key| !variables.contains(key)));
        if variables.len() + others.len() > MOST_KEYS {
            return Err(ExportError::Impossible("TOO_MANY_VARIABLES"));
        }
    }
    variables.extend(others);
    let tags = agent.into_iter().flat_map(|agent| agent.output_tags).map(|tag| tag.name).collect();
    Ok(Columns { task: run.task, variables, tags })
}

async fn feed(
    context: &Context,
    run: &ExportRun,
    (last, stop): (i64, &CancellationToken),
    slices: mpsc::Sender<Vec<ExportRow>>,
) -> Result<(), ExportError> {
    for after in (0..last).step_by(usize::try_from(ROWS_SLICE).unwrap_or(1)) {
        go_on(stop)?;
        let up_to = last.min(after + ROWS_SLICE);
        let rows = context.store.export_rows(run.task_no, (after, up_to), run.status).await?;
        if slices.send(rows).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn go_on(stop: &CancellationToken) -> Result<(), ExportError> {
    if stop.is_cancelled() { Err(ExportError::Stopped) } else { Ok(()) }
}

/// The export's name as far as every file system and every shell is at ease with it.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    name.chars().take(64).map(plain).collect()
}
