//! Whether the daemon can do its work: commands are consumed, the store answers, and nobody asked it to stop.
//!
//! Must not be a way to load the store: whoever asks more often than once a second gets the last answer.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokio::sync::Mutex;

use super::Context;
use crate::store::Store;

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(1);
/// A store that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// When the store was asked last, and whether it answered.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Option<(Instant, bool)>>);

impl Health {
    /// The answer to `/health/ready`.
    pub async fn of(&self, context: &Context) -> (StatusCode, &'static str) {
        let subscribed = context.subscriptions.borrow().all();
        let reason = match subscribed {
            _ if context.drain.is_cancelled() => "draining\n",
            false => "commands or queries are not subscribed to\n",
            true if self.store_answers(&context.store).await => return (StatusCode::OK, "ready\n"),
            true => "the store does not answer\n",
        };
        (StatusCode::SERVICE_UNAVAILABLE, reason)
    }

    async fn store_answers(&self, store: &Store) -> bool {
        // Whoever asks meanwhile waits here, and gets the same answer.
        let mut last = self.0.lock().await;
        if let Some((at, answered)) = *last
            && at.elapsed() < FRESH
        {
            return answered;
        }
        // Spawned, because a statement must not be dropped half-way.
        let store = store.clone();
        let ping = tokio::spawn(async move { store.ping().await.is_ok() });
        let answered = tokio::time::timeout(PATIENCE, ping).await.is_ok_and(|ping| ping.unwrap_or(false));
        *last = Some((Instant::now(), answered));
        answered
    }
}
