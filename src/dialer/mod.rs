//! ⑤ The call: places it with a carrier and tells how it ended.
//!
//! A dialer knows calls, not tasks: whom to call, whether it may be, and what an end means for the callee is
//! decided elsewhere. Each trunk of the settings has one.

pub mod simulated;
pub mod sip;

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
use simulated::SimulatedDialer;
use sip::{SipDialer, Stack};

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
    end: oneshot::Receiver<CallEnd>,
}

impl PlacedCall {
    /// Waits for the carrier's last word. `None` when the dialer lost the call, which only a panic does.
    pub async fn ended(self) -> Option<CallEnd> {
        self.end.await.ok()
    }
}

/// What a dialer knows of an attempt that another run of the daemon opened, or that this one lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The call is up.
    InTheAir,
    /// Nobody can say.
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

    /// Ends every call: ringing ones are cancelled, answered ones hung up.
    fn hang_up_all(&self);

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

    /// What the trunk is given in any second, while that is less than it may have.
    fn pace(&self) -> Option<u32> {
        None
    }

    /// Whether the trunk is left alone, because it failed too many calls.
    fn is_paused(&self) -> bool {
        false
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
pub struct Trunks(BTreeMap<TrunkName, Arc<dyn Dialer>>);

impl Trunks {
    /// Makes a dialer for each trunk. SIP is spoken only where a trunk needs it.
    pub fn open(trunks: &BTreeMap<TrunkName, Trunk>, sip: &Sip, clock: &Arc<dyn Clock>) -> std::io::Result<Self> {
        let needs_sip = trunks.values().any(|trunk| matches!(trunk, Trunk::Sip(_)));
        let stack = needs_sip.then(|| Stack::open(sip)).transpose()?;
        let mut dialers: BTreeMap<TrunkName, Arc<dyn Dialer>> = BTreeMap::new();
        for (name, trunk) in trunks {
            match trunk {
                Trunk::Simulated(settings) => {
                    let dialer = SimulatedDialer::new(settings.clone(), clock.clone())?;
                    dialers.insert(name.clone(), Arc::new(dialer));
                }
                Trunk::Sip(settings) => {
                    let Some(stack) = &stack else { continue };
                    let dialer = SipDialer::new(name.clone(), settings.clone(), stack, clock.clone());
                    dialers.insert(name.clone(), Arc::new(dialer));
                }
            }
        }
        Ok(Self(dialers))
    }

    pub fn get(&self, name: &TrunkName) -> Option<Arc<dyn Dialer>> {
        self.0.get(name).cloned()
    }

    pub fn names(&self) -> Vec<TrunkName> {
        self.0.keys().cloned().collect()
    }

    /// Ends every call on every trunk.
    pub fn hang_up_all(&self) {
        self.0.values().for_each(|dialer| dialer.hang_up_all());
    }
}
