//! Holds the leases: takes those that are free, renews its own, and tells each owner how long it may trust its.
//!
//! An owner trusts its lease until *this daemon's clock before the request* + length − margin: whatever happens
//! after that, another daemon can only have taken it later. Time asleep counts (CLOCK_BOOTTIME).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use super::owner::Owner;
use super::recorder::Ending;
use super::{Context, Fallen};
use crate::clock::BootInstant;
use crate::domain::ids::ServiceInstanceId;
use crate::retry::Delays;
use crate::store::StoreError;
use crate::store::leases::HeldLease;

const LENGTH: Duration = Duration::from_secs(12);
const RENEWAL: Duration = Duration::from_secs(3);
/// What clocks may differ in their speed, and a little more.
const MARGIN: Duration = Duration::from_secs(2);
/// Beyond this difference between our clock and the database's, nothing is started.
const CLOCK_TOLERANCE: chrono::TimeDelta = chrono::TimeDelta::seconds(5);

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

/// Keeps the leases of one daemon and its owners.
pub struct LeaseKeeper {
    context: Arc<Context>,
    ends: mpsc::UnboundedSender<Ending>,
    seats: HashMap<ServiceInstanceId, Seat>,
    owners: JoinSet<()>,
    fallen: Option<tokio::task::JoinError>,
}

impl LeaseKeeper {
    pub fn new(context: Arc<Context>, ends: mpsc::UnboundedSender<Ending>) -> Self {
        Self { context, ends, seats: HashMap::new(), owners: JoinSet::new(), fallen: None }
    }

    /// Runs until the drain, hands the leases over, and waits for the owners to see their calls end.
    pub async fn run(mut self) -> Result<(), Fallen> {
        let bell = Bell::default();
        let listener = tokio::spawn(listen(self.context.clone(), bell.clone()));
        while !self.context.drain.is_cancelled() {
            if let Err(error) = self.tend().await {
                tracing::warn!(%error, "leases were not renewed; their owners stop by themselves when they expire");
            }
            self.wait(&bell).await;
        }
        listener.abort();
        for seat in self.seats.values() {
            seat.tenure.send_modify(|tenure| *tenure = Tenure::none());
        }
        self.hand_over().await;
        drop(self.ends);
        while !self.owners.is_empty() {
            // Our calls go on: whoever has the leases now must see that we live.
            if let Err(error) = self.context.store.beat(&self.context.node).await {
                tracing::warn!(%error, "no heartbeat; a successor may take our calls for lost");
            }
            let joined = tokio::time::timeout(RENEWAL, self.owners.join_next()).await;
            self.fallen = joined.ok().flatten().and_then(Result::err).or(self.fallen.take());
        }
        self.fallen.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Waits for the next renewal, or for news about service instances.
    async fn wait(&mut self, bell: &Bell) {
        let next = tokio::time::Instant::now() + RENEWAL;
        loop {
            tokio::select! {
                () = self.context.drain.cancelled() => return,
                () = tokio::time::sleep_until(next) => return,
                () = bell.rung.notified() => {}
                Some(Err(error)) = self.owners.join_next() => {
                    // The others see their calls end first.
                    tracing::error!(%error, "ALARM: the owner of a service instance fell; draining");
                    self.fallen = Some(error);
                    self.context.drain.cancel();
                    return;
                }
            }
            let mut unknown = false;
            for id in bell.take() {
                match self.seats.get(&id) {
                    Some(seat) => seat.wake.notify_one(),
                    None => unknown = true,
                }
            }
            if unknown {
                return;
            }
        }
    }

    async fn tend(&mut self) -> Result<(), StoreError> {
        let store = &self.context.store;
        store.beat(&self.context.node).await?;
        let asked = BootInstant::now();
        let mut held = store.renew_leases(LENGTH).await?;
        let taken = store.acquire_leases(&self.context.trunks.names(), LENGTH).await?;
        for lease in &taken {
            tracing::info!(service_instance = %lease.service_instance(), epoch = lease.epoch, "lease taken");
        }
        held.extend(taken);
        self.tell(&held, asked);
        Ok(())
    }

    fn tell(&mut self, held: &[HeldLease], asked: BootInstant) {
        for (id, seat) in &self.seats {
            if !held.iter().any(|lease| lease.service_instance() == *id) {
                seat.tenure.send_if_modified(|tenure| tenure.epoch.take().is_some());
            }
        }
        for lease in held {
            let difference = lease.database_time - self.context.clock.machine_time();
            let agrees = difference.abs() <= CLOCK_TOLERANCE;
            if !agrees {
                let seconds = difference.num_seconds();
                tracing::error!(seconds, "ALARM: this machine's clock and the database's differ; no call is started");
            }
            let trusted_until = if agrees { asked + (LENGTH - MARGIN) } else { BootInstant::PAST };
            let seat = self.seat(lease.service_instance());
            seat.tenure.send_modify(|tenure| {
                if tenure.epoch != Some(lease.epoch) {
                    let pause = if lease.inherited { Duration::from_secs(1) } else { Duration::ZERO };
                    tenure.not_before = Instant::now() + pause;
                }
                tenure.epoch = Some(lease.epoch);
                tenure.trusted_until = trusted_until;
            });
        }
    }

    fn seat(&mut self, id: ServiceInstanceId) -> &Seat {
        self.seats.entry(id.clone()).or_insert_with(|| {
            let (sender, receiver) = watch::channel(Tenure::none());
            let wake = Arc::new(Notify::new());
            let owner = Owner::new(self.context.clone(), id, (receiver, wake.clone()), self.ends.clone());
            self.owners.spawn(owner.run());
            Seat { tenure: sender, wake }
        })
    }

    async fn hand_over(&self) {
        match self.context.store.release_leases().await {
            Ok(count) => tracing::info!(count, "leases handed over"),
            Err(error) => tracing::warn!(%error, "leases were not handed over; they expire by themselves"),
        }
    }
}

/// Which service instances there is news about.
#[derive(Debug, Clone, Default)]
struct Bell {
    rung: Arc<Notify>,
    news: Arc<Mutex<Vec<ServiceInstanceId>>>,
}

impl Bell {
    fn ring(&self, id: ServiceInstanceId) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if !news.contains(&id) {
            news.push(id);
        }
        self.rung.notify_one();
    }

    fn take(&self) -> Vec<ServiceInstanceId> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Rings for each message of the store. A lost message costs a second: every owner also looks by itself.
async fn listen(context: Arc<Context>, bell: Bell) {
    let mut delays = Delays::up_to(Duration::from_secs(5));
    loop {
        let began = Instant::now();
        if let Err(error) = context.store.listen(|id| bell.ring(id)).await {
            tracing::debug!(%error, "not listening to the store");
        }
        if began.elapsed() > Duration::from_secs(60) {
            delays.reset();
        }
        tokio::time::sleep(delays.next_delay()).await;
    }
}
