//! What nobody waits for: partitions ahead of need, and forgetting what is old enough to be forgotten.
//!
//! Works in small slices and never holds a lock that a call or a command could have to wait for.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::{Store, StoreError};

const ROUND: Duration = Duration::from_secs(60);
const BETWEEN_SLICES: Duration = Duration::from_millis(50);
/// Daemons that were silent for so long are not even worth a look at three in the morning.
const FORGET_DAEMONS: Duration = Duration::from_secs(24 * 3_600);

/// When nobody has dialled for a service instance for so long, nobody will by itself.
const DESERTED: Duration = Duration::from_secs(60);

/// Does its rounds until the drain.
pub async fn run(store: Store, keep_days: u32, drain: CancellationToken) {
    while !drain.is_cancelled() {
        if let Err(error) = round(&store, keep_days, &drain).await {
            tracing::warn!(%error, "the janitor's round was cut short; the next one goes on");
        }
        tokio::select! { () = drain.cancelled() => {} () = tokio::time::sleep(ROUND) => {} }
    }
}

async fn round(store: &Store, keep_days: u32, drain: &CancellationToken) -> Result<(), StoreError> {
    store.ensure_partitions().await?;
    let deserted = store.deserted(DESERTED).await?;
    if !deserted.is_empty() {
        let service_instances: Vec<&str> = deserted.iter().map(|id| id.0.as_str()).collect();
        tracing::error!(?service_instances, "ALARM: nobody dials for these: no live daemon has their trunk");
    }
    let mut commands = 0;
    loop {
        let forgotten = store.forget_commands(keep_days).await?;
        commands += forgotten;
        if forgotten == 0 {
            break;
        }
    }
    let daemons = store.forget_daemons(FORGET_DAEMONS).await?;
    if commands + daemons > 0 {
        tracing::debug!(commands, daemons, "forgotten");
    }
    purge(store, drain).await
}

/// Removes what deleted tasks left: whole partitions where nothing else is in them, else rows in slices, with a pause
/// between them that leaves the disk to whoever dials.
async fn purge(store: &Store, drain: &CancellationToken) -> Result<(), StoreError> {
    for from in store.deleted_partitions().await? {
        if store.drop_partition(from).await? {
            tracing::info!(from, "the partition of deleted tasks is dropped");
        }
    }
    for task in store.tasks_to_purge().await? {
        let mut after = 0;
        while let Some(next) = store.purge_slice(task, after).await? {
            after = next;
            tokio::select! { () = drain.cancelled() => return Ok(()), () = tokio::time::sleep(BETWEEN_SLICES) => {} }
        }
        tracing::debug!(task_no = task.0, "the rows of a deleted task are gone");
    }
    Ok(())
}
