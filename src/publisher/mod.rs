//! ⑥ Outbox to bus: every event reaches the broker at least once, with the same id each time.
//!
//! Events come through the feed as soon as they are committed; what the feed missed is swept from the table: our
//! own that have waited, and those of daemons that are gone. An event for which no queue is bound is parked and
//! tried again when one is. A row goes when the broker has confirmed it, not before.

mod finish;
mod window;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::Channel;
use metrics::Counter;
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, BusError};
use crate::retry::Delays;
use crate::store::daemons::SILENCE;
use crate::store::{FeedReader, Store, StoreError, StoredEvent};
use crate::telemetry::metrics::{EVENTS_CONFIRMED, EVENTS_PARKED, Metrics};
use finish::Finish;
use window::{Settled, open_channel, publish};

/// Own events that waited for so long were missed by the feed.
const OVERDUE: Duration = Duration::from_secs(30);
/// How often the table is swept.
const SWEEP: Duration = Duration::from_secs(5);
/// The same while the table has events that the feed could not take.
const SWEEP_DROPPED: Duration = Duration::from_secs(1);
/// Rows for one sweep.
const SWEEP_ROWS: i64 = 2_000;

/// What the publisher works with.
#[derive(Debug)]
pub struct Publisher {
    store: Store,
    bus: Arc<Bus>,
    feed: FeedReader,
    keep_parked: Duration,
    finish: Finish,
    /// Taken and not confirmed yet, oldest first; survives a session.
    in_hand: VecDeque<StoredEvent>,
    sweep_due: Instant,
    /// When the broker took something last.
    taken_at: Instant,
    /// Parked since the last sweep, for one line in the log.
    parked: usize,
    confirmed: Counter,
    newly_parked: Counter,
}

#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the broker refused {0} events; they are published again")]
    Refused(usize),
    /// Everything else has ended.
    #[error("the broker took nothing in the last {0:?}")]
    InVain(Duration),
}

impl Publisher {
    /// `finish`: nobody writes events any more; publish what is there and end.
    pub fn new(
        store: Store,
        (bus, feed): (Arc<Bus>, FeedReader),
        (keep_parked, finish): (Duration, CancellationToken),
        metrics: &Metrics,
    ) -> Self {
        let confirmed = metrics.counter(&EVENTS_CONFIRMED, &[]);
        let newly_parked = metrics.counter(&EVENTS_PARKED, &[]);
        let (in_hand, now) = (VecDeque::new(), Instant::now());
        let (sweep_due, taken_at) = (now, now);
        let (finish, parked) = (Finish::when(finish), 0);
        Self { store, bus, feed, keep_parked, finish, in_hand, sweep_due, taken_at, parked, confirmed, newly_parked }
    }

    /// Publishes until told to finish and nothing is left. What the broker does not take then stays in the outbox, and
    /// whoever finds the heartbeat gone publishes it.
    pub async fn run(mut self) {
        let mut delays = Delays::up_to(Duration::from_secs(5));
        loop {
            let began = Instant::now();
            let Err(error) = self.session().await else { return };
            tracing::warn!(%error, in_hand = self.in_hand.len(), "publishing paused");
            if self.finish.makes_vain(&error, self.taken_at) {
                tracing::warn!("what is in the outbox stays there: another daemon, or the next, publishes it");
                return;
            }
            if began.elapsed() > Duration::from_secs(30) {
                delays.reset();
            }
            self.finish.pause(delays.next_delay()).await;
        }
    }

    fn is_done(&mut self) -> bool {
        while let Some(batch) = self.feed.ready() {
            self.in_hand.extend(batch);
        }
        self.finish.has_come() && self.in_hand.is_empty()
    }

    async fn session(&mut self) -> Result<(), SessionError> {
        let channel = self.finish.allows(self.taken_at, open_channel(&self.bus)).await?;
        loop {
            if self.is_done() {
                // Nobody writes any more, so what the table still has of ours was missed by the feed.
                self.in_hand.extend(self.store.waiting_events(Duration::ZERO, SWEEP_ROWS).await?);
                if self.in_hand.is_empty() {
                    return Ok(());
                }
            }
            if self.in_hand.is_empty() {
                self.wait().await;
            }
            if self.sweep_due <= Instant::now() {
                self.sweep(&channel).await?;
            }
            while !self.in_hand.is_empty() {
                self.publish_window(&channel).await?;
                if let Some(batch) = self.feed.ready() {
                    self.in_hand.extend(batch);
                }
            }
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            Some(batch) = self.feed.next() => self.in_hand.extend(batch),
            () = tokio::time::sleep_until(self.sweep_due.into()) => {}
            _ = self.finish.come() => {}
        }
    }

    /// Publishes as many as one window holds and settles them.
    async fn publish_window(&mut self, channel: &Channel) -> Result<(), SessionError> {
        let count = self.in_hand.len().min(self.bus.confirm_window);
        let window = &self.in_hand.make_contiguous()[..count];
        let settled = self.finish.allows(self.taken_at, publish(&self.bus, channel, window)).await?;
        if settled.refused.len() < count {
            self.taken_at = Instant::now();
        }
        self.settle(&settled).await?;
        let rest = self.in_hand.split_off(count);
        let window = std::mem::replace(&mut self.in_hand, rest);
        let refused: Vec<_> = window.into_iter().filter(|event| settled.refused.contains(&event.id)).collect();
        self.feed.settled(count - refused.len());
        if refused.is_empty() {
            return Ok(());
        }
        let error = SessionError::Refused(refused.len());
        refused.into_iter().rev().for_each(|event| self.in_hand.push_front(event));
        Err(error)
    }

    async fn settle(&mut self, settled: &Settled) -> Result<(), StoreError> {
        if !settled.confirmed.is_empty() {
            self.store.delete_events(&settled.confirmed).await?;
            self.confirmed.increment(settled.confirmed.len() as u64);
        }
        if !settled.unroutable.is_empty() {
            self.parked += settled.unroutable.len();
            self.store.park_events(&settled.unroutable).await?;
            self.newly_parked.increment(settled.unroutable.len() as u64);
        }
        Ok(())
    }

    async fn sweep(&mut self, channel: &Channel) -> Result<(), SessionError> {
        if self.parked > 0 {
            tracing::warn!(events = self.parked, "no queue is bound for these events; they are parked");
            self.parked = 0;
        }
        let mut found = self.own_events().await?;
        found.extend(self.store.adopt_events(SILENCE, SWEEP_ROWS).await?);
        found.extend(self.unpark(channel).await?);
        if found.len() >= usize::try_from(SWEEP_ROWS).unwrap_or(0) {
            self.sweep_due = Instant::now();
        }
        let here: HashSet<i64> = self.in_hand.iter().map(|event| event.id).collect();
        found.retain(|event| !here.contains(&event.id));
        self.feed.swept(found.len());
        self.in_hand.extend(found);
        let dropped = self.store.drop_parked_events(self.keep_parked).await?;
        if dropped > 0 {
            tracing::error!(events = dropped, "ALARM: events that no queue was bound for in time are dropped");
        }
        Ok(())
    }

    /// What waits in the table although the feed should have brought it, or could not.
    async fn own_events(&mut self) -> Result<Vec<StoredEvent>, StoreError> {
        if !self.feed.has_dropped() {
            self.sweep_due = Instant::now() + SWEEP;
            return self.store.waiting_events(OVERDUE, SWEEP_ROWS).await;
        }
        self.sweep_due = Instant::now() + SWEEP_DROPPED;
        let found = self.store.waiting_events(SWEEP_DROPPED, SWEEP_ROWS).await?;
        if found.is_empty() {
            // Gone already, or so young that the usual sweep will find it.
            self.feed.forget_dropped();
        }
        Ok(found)
    }

    /// Probes with one parked event of each routing key; where it finds a queue, the others may follow.
    async fn unpark(&self, channel: &Channel) -> Result<Vec<StoredEvent>, SessionError> {
        let samples = self.store.parked_samples().await?;
        if samples.is_empty() {
            return Ok(Vec::new());
        }
        let settled = self.finish.allows(self.taken_at, publish(&self.bus, channel, &samples)).await?;
        self.store.delete_parked_events(&settled.confirmed).await?;
        let routable: Vec<String> = samples
            .into_iter()
            .filter(|event| settled.confirmed.contains(&event.id))
            .map(|event| event.routing_key)
            .collect();
        Ok(self.store.unpark_events(&routable, SWEEP_ROWS).await?)
    }
}
