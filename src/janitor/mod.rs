//! What nobody waits for: partitions ahead of need, and forgetting what is old enough to be forgotten.
//!
//! Works in small slices and never holds a lock that a call or a command could have to wait for.

mod deserted;
mod exports;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::objects::Shelf;
use crate::store::{Store, StoreError};

const ROUND: Duration = Duration::from_secs(60);
/// The shortest pause between slices of rows that go.
const BETWEEN_SLICES: Duration = Duration::from_millis(50);
/// A pause lasts so many times as long as the slice took: a busy database gets a longer one.
const PAUSES_FOR_A_SLICE: u32 = 3;
/// Daemons that were silent for so long are not even worth a look at three in the morning.
const FORGET_DAEMONS: Duration = Duration::from_secs(24 * 3_600);

/// What the janitor works with.
#[derive(Debug)]
pub struct Context {
    pub store: Store,
    pub shelf: Shelf,
    pub clock: Arc<dyn Clock>,
    /// How long commands are remembered.
    pub keep_days: u32,
    pub drain: CancellationToken,
}

/// Does its rounds until the drain.
pub async fn run(context: Context) {
    tokio::join!(rounds(&context), deserted::watch(&context.store, &context.drain));
}

async fn rounds(context: &Context) {
    let drain = &context.drain;
    while !drain.is_cancelled() {
        if let Err(error) = round(context).await {
            tracing::warn!(%error, "the janitor's round was cut short; the next one goes on");
        }
        tokio::select! { () = drain.cancelled() => {} () = tokio::time::sleep(ROUND) => {} }
    }
}

async fn round(context: &Context) -> Result<(), StoreError> {
    let Context { store, keep_days, .. } = context;
    store.ensure_partitions().await?;
    let mut commands = 0;
    loop {
        let forgotten = store.forget_commands(*keep_days).await?;
        commands += forgotten;
        if forgotten == 0 {
            break;
        }
    }
    let daemons = store.forget_daemons(FORGET_DAEMONS).await?;
    let exports = exports::forget_expired(context).await?;
    if commands + daemons + exports > 0 {
        tracing::debug!(commands, daemons, exports, "forgotten");
    }
    purge(store, &context.drain).await
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
        let (mut after, mut began) = (0, Instant::now());
        while let Some(next) = store.purge_slice(task, after).await? {
            after = next;
            let pause = BETWEEN_SLICES.max(began.elapsed() * PAUSES_FOR_A_SLICE);
            tokio::select! { () = drain.cancelled() => return Ok(()), () = tokio::time::sleep(pause) => {} }
            began = Instant::now();
        }
        tracing::debug!(task_no = task.0, "the rows of a deleted task are gone");
    }
    Ok(())
}
