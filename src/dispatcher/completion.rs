//! When a task is done: proved by counting under the counter's lock, then said once.

use super::Context;
use crate::bus::wire::v1::events::TaskChange;
use crate::domain::ids::TaskId;
use crate::domain::task::{TaskRef, TaskState};
use crate::store::StoreError;
use crate::store::progress::Census;

/// How an attempt to complete a task went.
#[derive(Debug)]
pub enum Completion {
    Done,
    /// The task is not running any more.
    NotRunning,
    /// Something is left; the count says what.
    NotYet(Census),
}

/// Completes the task if every callee of it is final. Each callee has at most one result, and places are given
/// without gaps, so as many results as places are the proof.
pub async fn try_complete(context: &Context, task: TaskId) -> Result<Completion, StoreError> {
    let mut transaction = context.store.begin().await?;
    let Some(task) = transaction.task(&TaskRef::Id(task)).await? else {
        transaction.roll_back().await;
        return Ok(Completion::NotRunning);
    };
    transaction.lock_counter(task.no).await?;
    // Again, now that nobody can change it.
    let state = transaction.task(&TaskRef::Id(task.settings.id)).await?.map(|task| task.state);
    if state != Some(TaskState::Running) {
        transaction.roll_back().await;
        return Ok(Completion::NotRunning);
    }
    let census = transaction.census(task.no).await?;
    if !census.counts().all_final() {
        transaction.roll_back().await;
        return Ok(Completion::NotYet(census));
    }
    let now = context.clock.now();
    transaction.set_task_state(task.no, (TaskState::Completed, None), now).await?;
    let change = TaskChange {
        task: task.settings.id,
        name: &task.settings.name,
        state: TaskState::Completed,
        previous: Some(TaskState::Running),
        reason: None,
        counts: census.counts(),
    };
    let sequence = transaction.next_event_sequence().await?;
    transaction.write_events(vec![context.events.task_changed(change, sequence, now)]).await?;
    transaction.commit().await?;
    // For whoever looks right after an import opens the task again; the owner's next save would come later.
    if let Err(error) = context.store.save_progress(&[(task.no, census.progress.clone())]).await {
        tracing::debug!(%error, "the final progress was not saved; the next save has it");
    }
    tracing::info!(task = %task.settings.id, callees = census.imported, "task completed");
    Ok(Completion::Done)
}
