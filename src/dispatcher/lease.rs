//! Holds the leases: takes those that are free, renews its own, tells each owner how long it may trust its, and hands
//! on what it has too much of.
//!
//! An owner trusts its lease until *this daemon's clock before the request* + length − margin: whatever happens
//! after that, another daemon can only have taken it later. Time asleep counts (CLOCK_BOOTTIME). An owner is told
//! that a lease is gone *before* the store is told, so that it places nothing that its successor cannot see.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use super::bell::Bell;
use super::owner::Owner;
use super::recorder::Ending;
use super::{Context, Fallen};
use crate::clock::BootInstant;
use crate::domain::balance::{Held, surplus};
use crate::domain::ids::{ServiceInstanceId, TrunkName};
use crate::store::StoreError;
use crate::store::leases::HeldLease;
use crate::store::listener::News;

const LENGTH: Duration = Duration::from_secs(12);
const RENEWAL: Duration = Duration::from_secs(3);
/// How often to look for leases that are free.
const LOOK: Duration = Duration::from_secs(1);
/// What clocks may differ in their speed, and a little more.
const MARGIN: Duration = Duration::from_secs(2);
/// How long a new holder starts nothing: calls of its predecessor's last second are in no open row, and count. A little
/// more than that, for a thread of the predecessor that stood still between its last check and the placing.
const PAUSE: Duration = Duration::from_millis(1_200);
/// Who gave a sign of life within this time is handed leases, and has as long to renew them.
const LATELY: Duration = Duration::from_millis(4_500);
/// Beyond this difference between this machine's clock and the database's, nothing is started.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(5);

/// How an owner stands with its lease.
#[derive(Debug, Clone, Copy)]
pub struct Tenure {
    /// `None`: not ours.
    pub epoch: Option<i64>,
    /// No call starts after this.
    pub trusted_until: BootInstant,
    /// No call starts before this: those of the predecessor's last second are in no open row.
    pub not_before: Instant,
}

impl Tenure {
    fn none() -> Self {
        Self { epoch: None, trusted_until: BootInstant::PAST, not_before: Instant::now() }
    }

    /// Whether a call may start now, under this lease.
    pub fn holds(&self, epoch: i64) -> bool {
        self.epoch == Some(epoch) && BootInstant::now() < self.trusted_until && Instant::now() >= self.not_before
    }
}

struct Seat {
    tenure: watch::Sender<Tenure>,
    wake: Arc<Notify>,
}

impl Seat {
    /// The owner starts nothing any more.
    fn vacate(&self) {
        self.tenure.send_if_modified(|tenure| tenure.epoch.take().is_some());
    }
}

/// Keeps the leases of one daemon and its owners.
pub struct LeaseKeeper {
    context: Arc<Context>,
    ends: mpsc::UnboundedSender<Ending>,
    seats: HashMap<ServiceInstanceId, Seat>,
    owners: JoinSet<()>,
    fallen: Option<tokio::task::JoinError>,
    renewal_due: Instant,
    /// Those that this daemon dials on: all of the settings, or none while its clock is wrong.
    trunks: Vec<TrunkName>,
}

impl LeaseKeeper {
    pub fn new(context: Arc<Context>, ends: mpsc::UnboundedSender<Ending>) -> Self {
        let (renewal_due, trunks) = (Instant::now(), context.trunks.names());
        Self { context, ends, seats: HashMap::new(), owners: JoinSet::new(), fallen: None, renewal_due, trunks }
    }

    /// Runs until the drain, hands the leases over, and waits for the owners to see their calls end.
    pub async fn run(mut self) -> Result<(), Fallen> {
        let bell = Bell::default();
        let listener = tokio::spawn(bell.clone().listen(self.context.store.clone()));
        while !self.context.drain.is_cancelled() {
            if let Err(error) = self.tend().await {
                tracing::warn!(%error, "leases were not renewed; their owners stop by themselves when they expire");
            }
            self.wait(&bell).await;
        }
        listener.abort();
        self.seats.values().for_each(Seat::vacate);
        drop(self.ends);
        loop {
            if let Err(error) = hand_over(&self.context).await {
                tracing::warn!(%error, "no heartbeat and no hand-over; a successor may take our calls for lost");
            }
            if self.owners.is_empty() {
                break;
            }
            let joined = tokio::time::timeout(RENEWAL, self.owners.join_next()).await;
            self.fallen = joined.ok().flatten().and_then(Result::err).or(self.fallen.take());
        }
        self.fallen.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Waits until it is time to look again, or for news.
    async fn wait(&mut self, bell: &Bell) {
        let next = tokio::time::Instant::now() + LOOK;
        loop {
            tokio::select! {
                () = self.context.drain.cancelled() => return,
                () = tokio::time::sleep_until(next) => return,
                () = bell.heard() => {}
                Some(Err(error)) = self.owners.join_next() => {
                    // The others see their calls end first.
                    tracing::error!(%error, "ALARM: the owner of a service instance fell; draining");
                    self.fallen = Some(error);
                    self.context.drain.cancel();
                    return;
                }
            }
            let mut leases = false;
            for message in bell.take() {
                match message {
                    News::Work(id) => drop(self.seats.get(&id).map(|seat| seat.wake.notify_one())),
                    News::Leases => leases = true,
                }
            }
            if leases {
                self.renewal_due = Instant::now();
                return;
            }
        }
    }

    async fn tend(&mut self) -> Result<(), StoreError> {
        let store = self.context.store.clone();
        if self.renewal_due <= Instant::now() {
            let before = self.context.clock.machine_time();
            let database_time = store.beat(self.context.sign_of_life(&self.trunks)).await?;
            self.compare_clocks(before, database_time);
            let asked = BootInstant::now();
            let held = store.renew_leases(&self.trunks, LENGTH).await?;
            self.renewal_due = Instant::now() + RENEWAL;
            self.renewed(&held, asked).await?;
        }
        let asked = BootInstant::now();
        for lease in store.acquire_leases(&self.trunks, LENGTH).await? {
            tracing::info!(service_instance = %lease.service_instance(), epoch = lease.epoch, "lease taken");
            self.seat(&lease, asked);
        }
        Ok(())
    }

    /// A daemon whose clock is wrong would call at night: it dials on no trunk, and others can. The database's time was
    /// read after `before` and before now.
    fn compare_clocks(&mut self, before: DateTime<Utc>, database_time: DateTime<Utc>) {
        let behind = database_time - self.context.clock.machine_time();
        let ahead = before - database_time;
        if behind.max(ahead) <= CLOCK_TOLERANCE {
            self.trunks = self.context.trunks.names();
            return;
        }
        let seconds = if behind > ahead { -behind.num_seconds() } else { ahead.num_seconds() };
        tracing::error!(
            seconds,
            "ALARM: this machine's clock is ahead of the database's by so much; no call is started"
        );
        self.trunks.clear();
    }

    /// `held` is all that is ours. What is ours no longer, or is too much, is let go.
    async fn renewed(&mut self, held: &[HeldLease], asked: BootInstant) -> Result<(), StoreError> {
        let ids: Vec<ServiceInstanceId> = held.iter().map(HeldLease::service_instance).collect();
        self.seats.iter().filter(|(id, _)| !ids.contains(id)).for_each(|(_, seat)| seat.vacate());
        held.iter().for_each(|lease| self.seat(lease, asked));
        let store = &self.context.store;
        store.release_leases(&self.trunks).await?;
        let ours: Vec<Held> = held
            .iter()
            .map(|lease| Held { service_instance: lease.service_instance(), trunk: lease.trunk() })
            .collect();
        for (id, heir) in surplus(&ours, store.siblings(LATELY).await?) {
            self.seats.get(&id).into_iter().for_each(Seat::vacate);
            store.hand_lease_on(&id, heir, LATELY).await?;
            tracing::info!(service_instance = %id, %heir, "lease handed on to a daemon that has fewer");
        }
        Ok(())
    }

    /// Lets the owner of a lease know that it has it, and until when.
    fn seat(&mut self, lease: &HeldLease, asked: BootInstant) {
        let id = lease.service_instance();
        let seat = self.seats.entry(id.clone()).or_insert_with(|| {
            let (sender, receiver) = watch::channel(Tenure::none());
            let wake = Arc::new(Notify::new());
            let owner = Owner::new(self.context.clone(), id, (receiver, wake.clone()), self.ends.clone());
            self.owners.spawn(owner.run());
            Seat { tenure: sender, wake }
        });
        seat.tenure.send_modify(|tenure| {
            if tenure.epoch != Some(lease.epoch) {
                let pause = if lease.inherited { PAUSE } else { Duration::ZERO };
                tenure.not_before = Instant::now() + pause;
                tenure.epoch = Some(lease.epoch);
            }
            tenure.trusted_until = asked + (LENGTH - MARGIN);
        });
    }
}

/// Gives every lease away, also those that came meanwhile. Our calls may go on: whoever has the leases now must see that
/// we live, and hand us none.
async fn hand_over(context: &Context) -> Result<(), StoreError> {
    context.store.beat(context.sign_of_life(&[])).await?;
    let count = context.store.release_leases(&[]).await?;
    if count > 0 {
        tracing::info!(count, "leases handed over");
    }
    Ok(())
}
