//! ⑤ The call: places it with a carrier and tells how it ended.
//!
//! A dialer knows calls, not tasks: whom to call, whether it may be, and what an end means for the callee is
//! decided elsewhere. Each trunk of the settings has one.

pub mod simulated;
pub mod sip;
mod survivors;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::domain::agent::Agent;
use crate::domain::call::CallEnd;
use crate::domain::callee::FailedReason;
use crate::domain::ids::{CallId, CalleeId, ServiceInstanceId, TaskId, TrunkName};
use crate::domain::phone_number::PhoneNumber;
use crate::settings::{Sip, Trunk};
use crate::store::Store;
use crate::store::attempts::LeftCall;
use crate::telemetry::metrics::Metrics;
use simulated::SimulatedDialer;
use sip::{Keeper, SipDialer, Stack};

/// A call to be placed.
#[derive(Debug, Clone)]
pub struct CallOrder {
    pub call_id: CallId,
    pub task_id: TaskId,
    pub callee_id: CalleeId,
    /// The upstream system's own id of the callee.
    pub out_id: Option<String>,
    /// The callee's variables that the agent knows.
    pub variables: BTreeMap<String, String>,
    pub called: PhoneNumber,
    pub caller: PhoneNumber,
    /// Which try to reach the callee this is, from 1.
    pub attempt: u32,
    /// Who talks when the callee answers.
    pub agent: Arc<Agent>,
    pub ring_timeout: Duration,
    pub max_talk: Duration,
}

/// A call that was handed to the carrier.
#[derive(Debug)]
pub struct PlacedCall {
    outcome: oneshot::Receiver<Outcome>,
}

/// How a call leaves this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The carrier said its last word.
    Ended(CallEnd),
    /// It is up, and the store knows all that another run of the daemon needs to go on with it.
    HandedOver,
}

impl PlacedCall {
    /// Waits for its outcome. `None` when the dialer lost the call, which only a panic does.
    pub async fn outcome(self) -> Option<Outcome> {
        self.outcome.await.ok()
    }
}

/// A call that another run of the daemon left up and this one goes on with.
#[derive(Debug)]
pub struct Survivor {
    pub call_id: CallId,
    pub call: PlacedCall,
}

/// What a dialer knows of an attempt that another run of the daemon opened, or that this one lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The call is up.
    InTheAir,
    /// It has ended with its process, and nobody can say how.
    Gone,
    /// Nobody can say whether it is up.
    Unknown,
}

/// Places calls with one carrier.
pub trait Dialer: Debug + Send + Sync {
    /// Hands the call to the carrier, without waiting for anything, so that nothing can change between the
    /// caller's last check and the sending. `Err`: the number cannot be dialled on this trunk, ever.
    fn place(&self, order: CallOrder) -> Result<PlacedCall, FailedReason>;

    /// What became of a call that nobody waits for. Never places anything.
    fn fate(&self, call: CallId) -> Fate;

    /// How long after its placing a call can be up that nobody can say anything about, given the limits of its order: as
    /// long as its slot is held.
    fn longest(&self, ring_timeout: Duration, max_talk: Duration) -> Duration;

    /// Lets go of every call: what is written down for another run of the daemon stays up, ringing calls are cancelled,
    /// other answered ones hung up.
    fn hang_up_all(&self);

    /// Goes on with a call that another run of the daemon left up. `None`: it cannot be.
    fn resume(&self, _call: LeftCall) -> Option<PlacedCall> {
        None
    }

    /// Sets the gauges of what is there now.
    fn measure(&self, _metrics: &Metrics) {}

    /// Says how many calls per second a service instance places on it; 0 when that is over.
    fn share(&self, _of: &ServiceInstanceId, _calls_per_second: u32) {}

    /// Lets one call in, unless the trunk cannot take any at this moment, for reasons of its own; what is counted
    /// elsewhere is not its business. Asked before the claim: a claimed call never waits.
    fn admit(&self) -> Option<Admission> {
        Some(Admission::default())
    }

    /// While it lets no call in: when to ask again.
    fn closed_until(&self) -> Option<Instant> {
        None
    }
}

/// A call that was let in: it counts with its trunk until this is dropped, which is when it was placed or given up.
#[derive(Debug, Default)]
pub struct Admission {
    _counted: Option<Arc<()>>,
}

impl Admission {
    /// One more copy of what the trunk counts by.
    fn of(counted: &Arc<()>) -> Self {
        Self { _counted: Some(counted.clone()) }
    }
}

/// The dialers by trunk.
#[derive(Debug, Clone, Default)]
pub struct Trunks {
    dialers: BTreeMap<TrunkName, Arc<dyn Dialer>>,
    stack: Option<Arc<Stack>>,
}

impl Trunks {
    /// Makes a dialer for each trunk, and goes on with the calls that an earlier run left up at this address; gives those.
    /// SIP is spoken only where a trunk needs it. Waits for the store.
    pub async fn open(
        (trunks, sip): (&BTreeMap<TrunkName, Trunk>, &Sip),
        clock: &Arc<dyn Clock>,
        store: &Store,
        metrics: &Metrics,
    ) -> std::io::Result<(Self, Vec<Survivor>)> {
        let needs_sip = trunks.values().any(|trunk| matches!(trunk, Trunk::Sip(_)));
        if !needs_sip {
            return Ok((Self::make(trunks, None, clock, metrics)?, Vec::new()));
        }
        let (stack, deaf) = Stack::open(sip)?;
        let sip = (&stack, &Keeper::start(store.clone()));
        let opened = Self::make(trunks, Some(sip), clock, metrics)?;
        let survivors = survivors::take_up(&opened, &stack, store).await;
        deaf.begin();
        Ok((opened, survivors))
    }

    fn make(
        trunks: &BTreeMap<TrunkName, Trunk>,
        sip: Option<(&Arc<Stack>, &Keeper)>,
        clock: &Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> std::io::Result<Self> {
        let mut dialers: BTreeMap<TrunkName, Arc<dyn Dialer>> = BTreeMap::new();
        for (name, trunk) in trunks {
            match trunk {
                Trunk::Simulated(settings) => {
                    let dialer = SimulatedDialer::new(settings.clone(), clock.clone())?;
                    dialers.insert(name.clone(), Arc::new(dialer));
                }
                Trunk::Sip(settings) => {
                    let Some(sip) = sip else { continue };
                    let dialer = SipDialer::new((name.clone(), settings.clone()), sip, clock.clone(), metrics);
                    dialers.insert(name.clone(), Arc::new(dialer));
                }
            }
        }
        Ok(Self { dialers, stack: sip.map(|(stack, _)| stack.clone()) })
    }

    pub fn get(&self, name: &TrunkName) -> Option<Arc<dyn Dialer>> {
        self.dialers.get(name).cloned()
    }

    pub fn names(&self) -> Vec<TrunkName> {
        self.dialers.keys().cloned().collect()
    }

    /// Lets go of every call on every trunk.
    pub fn hang_up_all(&self) {
        self.dialers.values().for_each(|dialer| dialer.hang_up_all());
    }

    /// Sets the gauges of what is there now, on every trunk and in the SIP stack.
    pub fn measure(&self, metrics: &Metrics) {
        self.dialers.values().for_each(|dialer| dialer.measure(metrics));
        if let Some(stack) = &self.stack {
            stack.measure(metrics);
        }
    }
}
