//! ④ Whom to call now: leases, the concurrency pool, claims, and what follows from how calls end.
//!
//! For each service instance that this daemon leases there is one *owner*: it alone counts slots and calls per
//! second, reads callees ahead, claims them and hands the calls to the dialer. All ends go to one
//! *recorder*. The dispatcher never talks to the bus; it meets the other stages in the store.

mod attempt;
mod bell;
mod completion;
mod lease;
mod owner;
mod recorder;
mod survivors;
mod task_queue;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bus::wire::v1::events::EventWriter;
use crate::clock::Clock;
use crate::dialer::{Survivor, Trunks};
use crate::domain::ids::TrunkName;
use crate::domain::redial::UncountedRule;
use crate::domain::service_instance::{TrunkCapacities, TrunkCapacity};
use crate::store::Store;
use crate::store::daemons::SignOfLife;
use crate::telemetry::metrics::Metrics;
use lease::LeaseKeeper;
use recorder::Recorder;

/// What the dispatcher works with.
#[derive(Debug)]
pub struct Context {
    pub store: Store,
    pub trunks: Trunks,
    pub capacities: TrunkCapacities,
    pub clock: Arc<dyn Clock>,
    pub events: EventWriter,
    pub uncounted: UncountedRule,
    /// Events that may wait for the broker before the claiming stops.
    pub high_water: u64,
    pub node: String,
    /// Cancelled when no call may start any more.
    pub drain: CancellationToken,
    pub metrics: Metrics,
}

impl Context {
    /// What a trunk carries in all.
    fn capacity(&self, trunk: &TrunkName) -> TrunkCapacity {
        self.capacities.get(trunk).copied().unwrap_or_default()
    }

    /// With the trunks that this daemon can be given leases for.
    fn sign_of_life<'d>(&'d self, trunks: &'d [TrunkName]) -> SignOfLife<'d> {
        SignOfLife { node: &self.node, trunks, capacities: &self.capacities }
    }
}

/// A part of the dispatcher fell.
#[derive(Debug, thiserror::Error)]
#[error("a part of the dispatcher fell: {0}")]
pub struct Fallen(#[from] tokio::task::JoinError);

/// Dials until told to drain, and then until every call has ended and is recorded.
pub async fn run(context: Arc<Context>, survivors: Vec<Survivor>) -> Result<(), Fallen> {
    let (ends, inbox) = mpsc::unbounded_channel();
    let recorder = tokio::spawn(Recorder::new(context.clone(), inbox).run());
    let survivors = tokio::spawn(survivors::watch(context.clone(), survivors, ends.clone()));
    // The recorder ends when nobody is left who could send it anything.
    let kept = LeaseKeeper::new(context, ends).run().await;
    survivors.await?;
    recorder.await?;
    kept
}
