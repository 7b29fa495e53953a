//! `callees.cancel`: only pending callees, and none of them is dialled after the reply.
//!
//! The fence moves first, in a statement of its own; what is read after it is what no claim can change any more. A
//! whole batch goes in slices, each its own transaction that moves the fence, so that neither a claim nor the end of a
//! call waits for long. The last slice is the one with the reply; how far the earlier ones came is kept, because the
//! daemon may die between them and the command come again.

use std::collections::{HashMap, HashSet};

use super::Context;
use super::apply::{Handled, task_not_found};
use super::tasks::lock;
use crate::bus::wire::v1::cancel::{Cancel, CancelReceipt, FailedValue, NotCancelled, Whom};
use crate::bus::wire::v1::events::{About, CalleeFailure};
use crate::bus::wire::v1::replies::accepted;
use crate::domain::callee::FailedReason;
use crate::domain::ids::{CalleeId, CalleeKey};
use crate::domain::task::{Task, TaskRef};
use crate::store::cancellations::{Found, Headway, Stage, Wanted};
use crate::store::{StoreError, Transaction};

/// Callees for one transaction.
const SLICE: i64 = 5_000;

/// Cancels who is pending of those whom the command names; of a batch, what earlier slices left.
pub(super) async fn cancel(
    context: &Context,
    transaction: &mut Transaction,
    command: &str,
    cancel: &Cancel,
) -> Handled {
    let Some(task) = narrowed(transaction, &cancel.task).await? else { return Ok(Err(task_not_found())) };
    let receipt = match &cancel.whom {
        Whom::Batch(batch) => {
            let (headway, _) = slice(context, transaction, (&task, batch), command).await?;
            transaction.forget_headway(command).await?;
            let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
            let counts = (unsigned(headway.cancelled), unsigned(headway.not_pending));
            CancelReceipt::of_batch(task.settings.id.0, batch, counts)
        }
        whom => {
            let found = find(transaction, &task, whom).await?;
            let cancelled = make_final(context, transaction, (&task, &found)).await?;
            CancelReceipt::of_values(task.settings.id.0, cancelled, not_cancelled(&task, whom, &found))
        }
    };
    let about = About::task(task.settings.id, transaction.next_event_sequence().await?, context.clock.now());
    transaction.write_events(vec![context.events.callees_cancelled(&receipt, about)]).await?;
    Ok(Ok(accepted(&receipt)))
}

/// Cancels the next slice of a batch, if it is a whole one; `false` when what is left goes with the reply.
pub(super) async fn whole_slice(
    context: &Context,
    transaction: &mut Transaction,
    command: &str,
    cancel: &Cancel,
) -> Result<bool, StoreError> {
    let Whom::Batch(batch) = &cancel.whom else { return Ok(false) };
    let Some(task) = narrowed(transaction, &cancel.task).await? else { return Ok(false) };
    let (headway, rows) = slice(context, transaction, (&task, batch), command).await?;
    transaction.keep_headway(command, task.no, headway).await?;
    Ok(rows == usize::try_from(SLICE).unwrap_or(usize::MAX))
}

/// The task, with its fence moved and its counter locked; its owner looks again after the commit.
async fn narrowed(transaction: &mut Transaction, task: &TaskRef) -> Result<Option<Task>, StoreError> {
    let Some(found) = transaction.task(task).await? else { return Ok(None) };
    transaction.narrow(&found.settings.service_instance).await?;
    transaction.wake(&found.settings.service_instance).await?;
    lock(transaction, &TaskRef::Id(found.settings.id)).await
}

async fn slice(
    context: &Context,
    transaction: &mut Transaction,
    (task, batch): (&Task, &str),
    command: &str,
) -> Result<(Headway, usize), StoreError> {
    let mut headway = transaction.headway(command).await?;
    let wanted = Wanted::Batch { id: batch, after: headway.after_seq, most: SLICE };
    let found = transaction.find_wanted(task.no, wanted).await?;
    let cancelled = i64::try_from(make_final(context, transaction, (task, &found)).await?).unwrap_or(i64::MAX);
    headway.after_seq = found.last().map_or(headway.after_seq, |last| last.callee.key.seq);
    headway.cancelled += cancelled;
    headway.not_pending += i64::try_from(found.len()).unwrap_or(i64::MAX) - cancelled;
    Ok((headway, found.len()))
}

async fn find(transaction: &mut Transaction, task: &Task, whom: &Whom) -> Result<Vec<Found>, StoreError> {
    match whom {
        Whom::Callees(ids) => {
            let wanted: HashSet<CalleeId> = ids.iter().copied().collect();
            let last = transaction.lock_counter(task.no).await?;
            // The ids are computed from the places, and so are the places found again: a million of them in less than
            // a second, with nothing kept for it.
            let id = task.settings.id;
            let search = move || (1..=last).filter(|seq| wanted.contains(&CalleeId::of(id, *seq))).collect::<Vec<_>>();
            let places = tokio::task::spawn_blocking(search).await.unwrap_or_default();
            transaction.find_wanted(task.no, Wanted::Places(&places)).await
        }
        Whom::OutIds(ids) => {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            transaction.find_wanted(task.no, Wanted::OutIds(&ids)).await
        }
        Whom::Numbers(numbers) => {
            let numbers: Vec<&str> = numbers.iter().map(|number| number.e164()).collect();
            transaction.find_wanted(task.no, Wanted::Numbers(&numbers)).await
        }
        Whom::Batch(_) => Ok(Vec::new()),
    }
}

/// Cancels who is pending, tells of each, and says how many they were.
async fn make_final(
    context: &Context,
    transaction: &mut Transaction,
    (task, found): (&Task, &[Found]),
) -> Result<u64, StoreError> {
    let (at, reason, task_id) = (context.clock.now(), FailedReason::Cancelled, task.settings.id);
    let mut pending: Vec<(CalleeKey, u32)> = Vec::new();
    let mut events = Vec::new();
    for Found { callee, stage } in found {
        if let Stage::Pending { attempts } = *stage {
            pending.push((callee.key, attempts));
            events.push(context.events.callee_failed(CalleeFailure { task: task_id, callee, attempts, reason, at }));
        }
    }
    if !pending.is_empty() {
        transaction.cancel(task.no, &pending, at).await?;
        transaction.write_events(events).await?;
    }
    Ok(pending.len() as u64)
}

/// The values that led to nobody, and those of whom somebody may still be dialled, or nobody was to be cancelled.
fn not_cancelled(task: &Task, whom: &Whom, found: &[Found]) -> Vec<FailedValue> {
    let mut stages: HashMap<String, Vec<Stage>> = HashMap::new();
    for Found { callee, stage } in found {
        let value = match whom {
            Whom::Callees(_) => callee.id(task.settings.id).to_string(),
            Whom::OutIds(_) => callee.out_id.clone().unwrap_or_default(),
            Whom::Numbers(_) | Whom::Batch(_) => callee.called_number.e164().to_owned(),
        };
        stages.entry(value).or_default().push(*stage);
    }
    let failed = |value: String| {
        let Some(stages) = stages.get(&value) else { return Some(FailedValue::new(&value, NotCancelled::NotFound)) };
        // A number may be that of several callees.
        let cancelled = stages.iter().any(|stage| matches!(stage, Stage::Pending { .. }));
        let whole = cancelled && !stages.contains(&Stage::Calling);
        (!whole).then(|| FailedValue::new(&value, NotCancelled::NotPending))
    };
    match whom {
        Whom::Callees(ids) => ids.iter().filter_map(|id| failed(id.to_string())).collect(),
        Whom::OutIds(ids) => ids.iter().filter_map(|id| failed(id.clone())).collect(),
        Whom::Numbers(numbers) => numbers.iter().filter_map(|number| failed(number.e164().to_owned())).collect(),
        Whom::Batch(_) => Vec::new(),
    }
}
