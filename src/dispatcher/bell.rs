//! News from the store, gathered until the keeper of the leases looks.
//!
//! A lost message costs a second: every owner also looks by itself, and so does the keeper.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::retry::Delays;
use crate::store::Store;
use crate::store::listener::News;

/// Rung by the listener, heard by the keeper.
#[derive(Debug, Clone, Default)]
pub struct Bell {
    rung: Arc<Notify>,
    news: Arc<Mutex<Vec<News>>>,
}

impl Bell {
    /// Waits until there is something to take.
    pub async fn heard(&self) {
        self.rung.notified().await;
    }

    /// What came since the last time, each once.
    pub fn take(&self) -> Vec<News> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ring(&self, message: News) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if !news.contains(&message) {
            news.push(message);
        }
        self.rung.notify_one();
    }

    /// Rings for each message of the store, for ever.
    pub async fn listen(self, store: Store) {
        let mut delays = Delays::up_to(Duration::from_secs(5));
        loop {
            let began = Instant::now();
            if let Err(error) = store.listen(|message| self.ring(message)).await {
                tracing::debug!(%error, "not listening to the store");
            }
            if began.elapsed() > Duration::from_secs(60) {
                delays.reset();
            }
            tokio::time::sleep(delays.next_delay()).await;
        }
    }
}
