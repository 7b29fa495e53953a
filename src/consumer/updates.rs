//! `task.update` and `task.delete`: what changes a task that does not run.
//!
//! Locks are taken in one order everywhere: leases by the ids of their service instances, counter, task. Both move the
//! fence first: a claim that was sent before a stop may still be under way.

use std::collections::BTreeSet;

use super::Context;
use super::apply::{Handled, task_not_found};
use super::tasks::{lock, reply, wrong_state};
use crate::bus::wire::v1::events::TaskChange;
use crate::bus::wire::v1::tasks::{TaskDraft, TaskUpdate};
use crate::domain::ids::ServiceInstanceId;
use crate::domain::problem::{Code, Problem, Problems};
use crate::domain::task::{Task, TaskRef};
use crate::store::{StoreError, Transaction};

/// Changes the settings, if the task as it would be is one that could be created.
pub(super) async fn update(context: &Context, transaction: &mut Transaction, update: &TaskUpdate) -> Handled {
    let Some(found) = transaction.task(&update.task).await? else { return Ok(Err(task_not_found())) };
    let before = found.settings.service_instance.clone();
    let after = update.merged(&found, &context.rules).service_instance.unwrap_or_else(|| before.clone());
    for id in BTreeSet::from([&before, &after]) {
        transaction.narrow(id).await?;
    }
    let Some(task) = lock(transaction, &TaskRef::Id(found.settings.id)).await? else {
        return Ok(Err(task_not_found()));
    };
    if let Err(wrong) = task.state.may_update() {
        return Ok(Err(wrong_state(&task, wrong)));
    }
    let mut draft = update.merged(&task, &context.rules);
    let more = judge(transaction, &task, &draft).await?;
    draft.problems.append(more);
    let updated = match draft.complete() {
        Ok(settings) => task.updated(settings, update.sets("startAt")),
        Err(problems) => return Ok(Err(problems.into())),
    };
    transaction.update_task(&updated).await?;
    let change = change(transaction, &updated).await?;
    let sequence = transaction.next_event_sequence().await?;
    let event = context.events.task_updated(change, sequence, context.clock.now());
    transaction.write_events(vec![event]).await?;
    Ok(Ok(reply(&updated, updated.state, None)))
}

/// What only the store can tell of the merged task. Its agent is not looked at: an update cannot mend it, and the next
/// start asks again.
async fn judge(transaction: &mut Transaction, task: &Task, draft: &TaskDraft) -> Result<Problems, StoreError> {
    let mut problems = Problems::none();
    let name = draft.name.as_deref().filter(|name| *name != task.settings.name);
    if transaction.taken(None, name).await?.name {
        problems.add(Problem::of("name", Code::NameTaken, "another task has this name; choose another"));
    }
    let Some(id) = draft.service_instance.as_ref().filter(|id| **id != task.settings.service_instance) else {
        return Ok(problems);
    };
    if transaction.service_instance(id).await?.is_none() {
        let message = "put the service instance first (service-instance.put)";
        problems.add(Problem::of("serviceInstanceId", Code::ServiceInstanceUnknown, message));
    }
    if transaction.has_open_attempts(task.no).await? {
        problems.add(in_progress("serviceInstanceId"));
    }
    Ok(problems)
}

fn in_progress(field: &str) -> Problem {
    Problem::of(field, Code::CallsInProgress, "calls of the task are in the air; wait until they have ended")
}

/// Deletes a task: one row says so, whatever the task has; the janitor removes the rest.
pub(super) async fn delete(context: &Context, transaction: &mut Transaction, task: &TaskRef) -> Handled {
    let Some(found) = transaction.task(task).await? else { return Ok(Err(task_not_found())) };
    let id: &ServiceInstanceId = &found.settings.service_instance;
    transaction.narrow(id).await?;
    let Some(task) = lock(transaction, &TaskRef::Id(found.settings.id)).await? else {
        return Ok(Err(task_not_found()));
    };
    if let Err(wrong) = task.state.may_delete() {
        return Ok(Err(wrong_state(&task, wrong)));
    }
    if transaction.has_open_attempts(task.no).await? {
        return Ok(Err(in_progress("").into()));
    }
    let now = context.clock.now();
    let change = change(transaction, &task).await?;
    transaction.delete_task(task.no, now).await?;
    let sequence = transaction.next_event_sequence().await?;
    transaction.write_events(vec![context.events.task_deleted(change, sequence, now)]).await?;
    Ok(Ok(reply(&task, task.state, None)))
}

/// A task that stays in its state.
async fn change<'t>(transaction: &mut Transaction, task: &'t Task) -> Result<TaskChange<'t>, StoreError> {
    Ok(TaskChange {
        task: task.settings.id,
        name: &task.settings.name,
        state: task.state,
        previous: Some(task.state),
        reason: None,
        counts: transaction.settled_counts(task.no).await?,
    })
}
