//! `task.create`, `task.start` (also a scheduled one), `task.stop`, and how a change of state is written and told.
//!
//! Locks are taken in one order everywhere: lease, counter, task.

use super::Context;
use super::apply::{Handled, Refusal, task_not_found};
use crate::bus::wire::v1::events::TaskChange;
use crate::bus::wire::v1::replies::{ErrorData, TaskReply, accepted};
use crate::bus::wire::v1::tasks::TaskDraft;
use crate::domain::ids::TaskId;
use crate::domain::problem::{Code, Problem, Problems};
use crate::domain::task::{Counts, StartObstacle, Task, TaskRef, TaskState, WrongState};
use crate::store::{StoreError, Transaction};

/// Creates a task, if nothing is wrong with it; else names everything that is.
pub(super) async fn create(context: &Context, transaction: &mut Transaction, mut draft: TaskDraft) -> Handled {
    let more = judge(transaction, &draft).await?;
    draft.problems.append(more);
    let task = match draft.complete() {
        Ok(task) => task,
        Err(problems) => return Ok(Err(problems.into())),
    };
    let now = context.clock.now();
    transaction.create_task(&task, now).await?;
    let change = TaskChange {
        task: task.id,
        name: &task.name,
        state: TaskState::Initializing,
        previous: None,
        reason: None,
        counts: Counts::default(),
    };
    let sequence = transaction.next_event_sequence().await?;
    transaction.write_events(vec![context.events.task_changed(change, sequence, now)]).await?;
    let state = TaskState::Initializing.as_str();
    Ok(Ok(accepted(TaskReply { task_id: task.id.0, name: &task.name, state, reason: None })))
}

async fn judge(transaction: &mut Transaction, draft: &TaskDraft) -> Result<Problems, StoreError> {
    let mut problems = Problems::none();
    let taken = transaction.taken(draft.id, draft.name.as_deref()).await?;
    if taken.id {
        problems.add(Problem::of("taskId", Code::TaskIdTaken, "was used before; mint a new one"));
    }
    if taken.name {
        problems.add(Problem::of("name", Code::NameTaken, "another task has this name; choose another"));
    }
    if let Some(id) = &draft.agent {
        match transaction.agent(id).await? {
            None => problems.add(Problem::of("agentId", Code::AgentUnknown, "put the agent first (agent.put)")),
            Some(agent) if !agent.published => {
                problems.add(Problem::of("agentId", Code::AgentNotPublished, "publish the agent first (agent.put)"));
            }
            Some(_) => {}
        }
    }
    if let Some(id) = &draft.service_instance
        && transaction.service_instance(id).await?.is_none()
    {
        let message = "put the service instance first (service-instance.put)";
        problems.add(Problem::of("serviceInstanceId", Code::ServiceInstanceUnknown, message));
    }
    Ok(problems)
}

/// Makes partitions ahead of the tasks to come. What fails here is tried again by the janitor.
pub(super) async fn make_room(context: &Context) {
    if let Err(error) = context.store.ensure_partitions().await {
        tracing::warn!(%error, "partitions were not made; trying again later");
    }
}

/// Starts a task; one that cannot be is accepted too, and says why.
pub(super) async fn start(context: &Context, transaction: &mut Transaction, task: &TaskRef) -> Handled {
    let Some(task) = lock(transaction, task).await? else { return Ok(Err(task_not_found())) };
    if let Err(wrong) = task.state.after_start(None) {
        return Ok(Err(wrong_state(&task, wrong)));
    }
    let (state, obstacle) = begin(context, transaction, &task).await?;
    Ok(Ok(reply(&task, state, obstacle)))
}

/// Starts a task as it was scheduled, unless something has used that up meanwhile; tells where that led.
pub(super) async fn start_as_scheduled(
    context: &Context,
    transaction: &mut Transaction,
    task: TaskId,
) -> Result<Option<TaskState>, StoreError> {
    match lock(transaction, &TaskRef::Id(task)).await?.filter(|task| task.is_to_start(context.clock.now())) {
        Some(task) => Ok(Some(begin(context, transaction, &task).await?.0)),
        None => Ok(None),
    }
}

/// Sets a locked task going that may be started, if nothing stands in the way; one with nobody left to call is
/// complete at once.
async fn begin(
    context: &Context,
    transaction: &mut Transaction,
    task: &Task,
) -> Result<(TaskState, Option<StartObstacle>), StoreError> {
    let obstacle = transaction.start_obstacle(&task.settings, context.clock.now()).await?;
    let mut state = TaskState::begin(obstacle);
    let nothing_left = transaction.census(task.no).await?.counts().all_final();
    transaction.disarm_start(task.no).await?;
    change(context, transaction, task, (state, obstacle)).await?;
    if state == TaskState::Running && nothing_left {
        let running = Task { state, ..task.clone() };
        state = TaskState::Completed;
        change(context, transaction, &running, (state, None)).await?;
    }
    transaction.wake(&task.settings.service_instance).await?;
    Ok((state, obstacle))
}

/// Stops a task: no claim slips in after the reply; calls in the air end by themselves.
pub(super) async fn stop(context: &Context, transaction: &mut Transaction, task: &TaskRef) -> Handled {
    let Some(found) = transaction.task(task).await? else { return Ok(Err(task_not_found())) };
    transaction.narrow(&found.settings.service_instance).await?;
    let Some(task) = lock(transaction, &TaskRef::Id(found.settings.id)).await? else {
        return Ok(Err(task_not_found()));
    };
    let state = match task.state.after_stop() {
        Ok(state) => state,
        Err(wrong) => return Ok(Err(wrong_state(&task, wrong))),
    };
    transaction.disarm_start(task.no).await?;
    change(context, transaction, &task, (state, None)).await?;
    transaction.wake(&task.settings.service_instance).await?;
    Ok(Ok(reply(&task, state, None)))
}

/// Finds a task and locks its counter, so that its state cannot change before the commit.
pub(super) async fn lock(transaction: &mut Transaction, task: &TaskRef) -> Result<Option<Task>, StoreError> {
    let Some(found) = transaction.task(task).await? else { return Ok(None) };
    transaction.lock_counter(found.no).await?;
    transaction.task(&TaskRef::Id(found.settings.id)).await
}

/// Writes a change of state and its event.
pub(super) async fn change(
    context: &Context,
    transaction: &mut Transaction,
    task: &Task,
    (state, obstacle): (TaskState, Option<StartObstacle>),
) -> Result<(), StoreError> {
    let now = context.clock.now();
    transaction.set_task_state(task.no, (state, obstacle), now).await?;
    let changed = Task { state, ..task.clone() };
    let change = TaskChange {
        task: task.settings.id,
        name: &task.settings.name,
        state,
        previous: Some(task.state),
        reason: obstacle.map(StartObstacle::as_str),
        counts: transaction.counts(&changed).await?,
    };
    let sequence = transaction.next_event_sequence().await?;
    transaction.write_events(vec![context.events.task_changed(change, sequence, now)]).await
}

pub(super) fn reply(task: &Task, state: TaskState, obstacle: Option<StartObstacle>) -> String {
    let reason = obstacle.map(StartObstacle::as_str);
    accepted(TaskReply { task_id: task.settings.id.0, name: &task.settings.name, state: state.as_str(), reason })
}

pub(super) fn wrong_state(task: &Task, wrong: WrongState) -> Refusal {
    Refusal { errors: vec![ErrorData::from(wrong)], task: Some(task.settings.id) }
}
