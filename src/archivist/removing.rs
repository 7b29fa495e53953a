//! What nobody may have any more: recordings that another replaced, that expired, or whose task is deleted.
//!
//! They are marked first; the objects go next and the rows last, so that a crash in between leaves nothing unknown.

use std::sync::Arc;
use std::time::Duration;

use super::Context;
use crate::store::StoreError;
use crate::store::recordings::Unwanted;

const ROUND: Duration = Duration::from_secs(5);
/// Removals of one round: the object store has others to serve.
const MOST: usize = 200;
/// Where daemons do not share a folder, another one may have the object; it has so long to come by.
const OTHERS_TIME: Duration = Duration::from_secs(24 * 3_600);
const LATER: Duration = Duration::from_secs(300);

/// Does its rounds until the drain.
pub(super) async fn run(context: Arc<Context>) {
    while !context.drain.is_cancelled() {
        if let Err(error) = round(&context).await {
            tracing::warn!(%error, "a round of removing recordings was cut short; the next one goes on");
        }
        tokio::select! { () = context.drain.cancelled() => {} () = tokio::time::sleep(ROUND) => {} }
    }
}

async fn round(context: &Context) -> Result<(), StoreError> {
    let now = context.clock.now();
    if let Some(keep) = context.keep {
        context.store.expire_recordings(now - keep).await?;
    }
    context.store.discard_recordings_of_deleted(now).await?;
    for _ in 0..MOST {
        if context.drain.is_cancelled() {
            break;
        }
        match context.store.unwanted_recording().await? {
            Some(unwanted) => remove(context, &unwanted).await?,
            None => break,
        }
    }
    Ok(())
}

async fn remove(context: &Context, unwanted: &Unwanted) -> Result<(), StoreError> {
    match context.shelf.remove_group(&unwanted.group).await {
        Ok(false) if unwanted.is_stored && unwanted.since < OTHERS_TIME => {
            context.store.remove_recording_later(unwanted, LATER).await
        }
        Ok(_) => context.store.recording_removed(unwanted).await,
        Err(error) => {
            tracing::warn!(group = unwanted.group, %error, "a recording cannot be removed; trying again later");
            context.store.remove_recording_later(unwanted, LATER).await
        }
    }
}
