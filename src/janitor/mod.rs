//! What nobody waits for: partitions ahead of need, and forgetting what is old enough to be forgotten.
//!
//! Works in small slices and never holds a lock that a call or a command could have to wait for.

mod exports;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::objects::Shelf;
use crate::store::{Store, StoreError};

const ROUND: Duration = Duration::from_secs(60);
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
    let drain = &context.drain;
    while !drain.is_cancelled() {
        if let Err(error) = round(&context).await {
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
    Ok(())
}
