//! The short way from a commit to the publisher: through memory, without reading the outbox again.
//!
//! Losing what is in it is no loss, because the table has it; that is why a full feed drops and never blocks
//! whoever records. What was dropped is counted, so that the publisher knows that there is something to sweep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::StoredEvent;

/// Batches that wait in memory for the publisher; more stay in the table.
const FEED_BATCHES: usize = 64;

#[derive(Debug, Default)]
struct Backlog {
    /// Events in memory, on their way to the broker's confirm.
    fed: AtomicU64,
    /// Events that found the feed full.
    dropped: AtomicU64,
}

impl Backlog {
    fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Never below zero: a sweep may find rows that nobody counted.
    fn subtract(counter: &AtomicU64, count: usize) {
        let less = |value: u64| Some(value.saturating_sub(count as u64));
        let _before = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn total(&self) -> u64 {
        self.fed.load(Ordering::Relaxed) + self.dropped.load(Ordering::Relaxed)
    }
}

/// The writers' end.
#[derive(Debug, Clone)]
pub struct Feed {
    batches: mpsc::Sender<Vec<StoredEvent>>,
    backlog: Arc<Backlog>,
}

/// The publisher's end.
#[derive(Debug)]
pub struct FeedReader {
    batches: mpsc::Receiver<Vec<StoredEvent>>,
    backlog: Arc<Backlog>,
}

pub(super) fn new() -> (Feed, FeedReader) {
    let (sender, receiver) = mpsc::channel(FEED_BATCHES);
    let backlog = Arc::<Backlog>::default();
    (Feed { batches: sender, backlog: backlog.clone() }, FeedReader { batches: receiver, backlog })
}

impl Feed {
    /// Hands over what was committed.
    pub(super) fn offer(&self, events: Vec<StoredEvent>) {
        let count = events.len();
        if count > 0 {
            Backlog::add(&self.backlog.fed, count);
            if self.batches.try_send(events).is_err() {
                Backlog::subtract(&self.backlog.fed, count);
                Backlog::add(&self.backlog.dropped, count);
            }
        }
    }

    /// A commit whose answer was lost may have written `count` events: the publisher is to look into the table.
    pub(super) fn missed(&self, count: usize) {
        Backlog::add(&self.backlog.dropped, count);
    }

    /// How many events of this daemon the broker has not confirmed; parked ones are not counted.
    pub fn unpublished(&self) -> u64 {
        self.backlog.total()
    }
}

impl FeedReader {
    /// The next batch.
    pub async fn next(&mut self) -> Option<Vec<StoredEvent>> {
        self.batches.recv().await
    }

    /// The next batch, if one is waiting.
    pub fn ready(&mut self) -> Option<Vec<StoredEvent>> {
        self.batches.try_recv().ok()
    }

    /// `count` events that came through the feed were confirmed or parked.
    pub fn settled(&self, count: usize) {
        Backlog::subtract(&self.backlog.fed, count);
    }

    /// `count` events were found in the table instead: from now on they count as fed.
    pub fn swept(&self, count: usize) {
        Backlog::subtract(&self.backlog.dropped, count);
        Backlog::add(&self.backlog.fed, count);
    }

    /// None of the events that found the feed full is left in the table.
    pub fn forget_dropped(&self) {
        self.backlog.dropped.store(0, Ordering::Relaxed);
    }

    /// Whether the table has events that the feed could not take.
    pub fn has_dropped(&self) -> bool {
        self.backlog.dropped.load(Ordering::Relaxed) > 0
    }
}
