//! Scheduled starts: a `task.start` that was given in advance.
//!
//! What is to start when stands in the store, and each daemon looks: whichever is first locks the task's counter and
//! uses the start up in the transaction that starts the task, so that it fires once, whoever dies meanwhile. The
//! time is the clock's, like that of windows and redials. A task that cannot start says why, as with `task.start`.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Context, tasks};
use crate::domain::ids::TaskId;
use crate::retry::Delays;
use crate::store::StoreError;

/// How often the store is asked for starts that were not known before.
const POLL: Duration = Duration::from_secs(1);
/// Starts for one look.
const MOST: i64 = 100;

/// Starts what is due until the drain.
pub(super) async fn run(context: Arc<Context>) {
    let mut delays = Delays::up_to(Duration::from_secs(5));
    while !context.drain.is_cancelled() {
        let (next, pause) = match round(&context).await {
            Ok(next) => {
                delays.reset();
                (next, POLL)
            }
            Err(error) => {
                tracing::warn!(%error, "scheduled starts wait for the store");
                (None, delays.next_delay())
            }
        };
        tokio::select! {
            () = context.drain.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            () = reached(&context, next) => {}
        }
    }
}

async fn reached(context: &Context, at: Option<DateTime<Utc>>) {
    match at {
        Some(at) => context.clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Starts what is due and tells when the next start is.
async fn round(context: &Context) -> Result<Option<DateTime<Utc>>, StoreError> {
    loop {
        let starts = context.store.scheduled_starts(MOST).await?;
        let now = context.clock.now();
        let due = starts.iter().filter(|(_, at)| *at <= now).count();
        for (task, _) in &starts[..due] {
            start(context, *task).await?;
        }
        if due < starts.len() || due == 0 {
            return Ok(starts.get(due).map(|(_, at)| *at));
        }
    }
}

async fn start(context: &Context, task: TaskId) -> Result<(), StoreError> {
    let mut transaction = context.store.begin().await?;
    match tasks::start_as_scheduled(context, &mut transaction, task).await {
        Ok(started) => {
            transaction.commit().await?;
            if let Some(state) = started {
                tracing::info!(%task, %state, "a scheduled start");
            }
            Ok(())
        }
        Err(error) => {
            transaction.roll_back().await;
            Err(error)
        }
    }
}
