//! ⑦ Recordings: fetched from where the agent platform reported them, kept, and removed when nobody may have them any more.
//!
//! Any daemon may fetch one; the lease on its row sees to it that one does. Each run puts an object of its own, so that a
//! run that slept through a takeover spoils nothing, and what is told of is whole. Nobody waits for this stage, and
//! whatever a source does costs it one of a few places for as long as the settings say, and a few parts of a file in memory.

mod fetching;
mod removing;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::objects::Shelf;
use crate::objects::source::Web;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

/// How often somebody looks for a recording to fetch.
const LOOK: Duration = Duration::from_secs(1);
/// Recordings that a daemon fetches at a time.
const AT_ONCE: usize = 4;
/// How long nothing more is fetched after something could not be kept: the next one could not be either.
const REST: Duration = Duration::from_secs(15);

/// What this stage works with.
#[derive(Debug)]
pub struct Context {
    pub store: Store,
    pub shelf: Shelf,
    pub clock: Arc<dyn Clock>,
    /// `None`: recordings stay references; what was fetched before is still removed in its time.
    pub sources: Option<Sources>,
    /// How long recordings are kept.
    pub keep: Option<TimeDelta>,
    pub drain: CancellationToken,
    pub metrics: Metrics,
}

/// Where recordings may come from, and what one may cost.
#[derive(Debug)]
pub struct Sources {
    pub web: Web,
    /// Below it lie those that are named by path.
    pub root: Option<PathBuf>,
    pub most_bytes: u64,
    /// For one try.
    pub timeout: Duration,
}

/// Fetches and removes until the drain.
pub async fn run(context: Arc<Context>) {
    let removing = tokio::spawn(removing::run(context.clone()));
    if context.sources.is_some() {
        fetch(&context).await;
    }
    if let Err(error) = removing.await {
        tracing::error!(%error, "ALARM: the removal of recordings fell");
    }
}

async fn fetch(context: &Arc<Context>) {
    let mut at_work = JoinSet::new();
    while !context.drain.is_cancelled() {
        if at_work.len() < AT_ONCE {
            match context.store.claim_recording().await {
                Ok(Some(run)) => {
                    at_work.spawn(fetching::serve(context.clone(), run));
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "no recording can be claimed; trying again"),
            }
        }
        tokio::select! {
            () = context.drain.cancelled() => {}
            Some(ended) = at_work.join_next() => if !was_kept(ended) { rest(context).await },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    while let Some(ended) = at_work.join_next().await {
        was_kept(ended);
    }
}

async fn rest(context: &Context) {
    tokio::select! { () = context.drain.cancelled() => {} () = tokio::time::sleep(REST) => {} }
}

/// False when there was no place to keep it.
fn was_kept(ended: Result<bool, tokio::task::JoinError>) -> bool {
    ended.unwrap_or_else(|error| {
        tracing::error!(%error, "ALARM: the fetching of a recording fell; another run takes it up");
        true
    })
}
