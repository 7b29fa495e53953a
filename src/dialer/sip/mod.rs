//! Calls over SIP: a user agent and third-party call controller (RFC 3261, RFC 3725). It speaks signalling only; media
//! flow straight between the callee's side of the trunk and the agent.
//!
//! `stack` is the process's one stack, `leg` a dialog with one side, `bridge` a call; a `SipDialer` places the
//! calls of one trunk.

mod breaker;
mod bridge;
mod challenge;
mod dialog;
mod doorway;
mod framing;
mod gate;
mod handshake;
mod header;
mod incoming;
mod inspector;
mod invite;
mod judge;
mod keeper;
mod leg;
mod line;
mod measure;
mod message;
mod pace;
mod path;
mod peer;
mod picking;
mod reach;
mod resolver;
pub mod sdp;
mod seats;
mod secure;
mod server;
mod servers;
mod sink;
mod sockets;
mod stack;
mod strays;
mod visit;
mod voice;

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Admission, CallOrder, Dialer, Fate, Outcome, PlacedCall};
use crate::clock::Clock;
use crate::domain::callee::FailedReason;
use crate::domain::ids::{CallId, ServiceInstanceId, TrunkName};
use crate::settings::{Bind, Settings, Sip, SipTrunk, Trunk};
use crate::store::attempts::LeftCall;
use crate::telemetry::metrics::{CALL_SETUP, Metrics};
use bridge::KeptCall;
use gate::Gate;
use judge::Judge;
pub use keeper::Keeper;
use line::Line;
use servers::Servers;
pub use stack::Stack;

/// How long the last request of a call may go without a response, and a little: 64*T1 and more.
const LAST_WORD: Duration = Duration::from_secs(35);

/// How soon a trunk that no connection is open to is looked at again.
const UNREACHABLE: Duration = Duration::from_millis(200);

/// The dialer of a SIP trunk.
#[derive(Debug)]
pub struct SipDialer(Arc<Line>);

/// A call is up until this is dropped, also after a panic.
struct Up(CallId, Arc<Mutex<HashSet<CallId>>>);

fn lock(up: &Mutex<HashSet<CallId>>) -> MutexGuard<'_, HashSet<CallId>> {
    up.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Up {
    fn drop(&mut self) {
        lock(&self.1).remove(&self.0);
    }
}

impl SipDialer {
    /// Begins to look after the trunk's servers.
    pub fn new(
        (trunk, settings): (TrunkName, SipTrunk),
        (stack, keeper): (&Arc<Stack>, &Keeper),
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Self {
        let servers = Servers::look_after(&settings, stack, &trunk);
        let setup = metrics.histogram(&CALL_SETUP, &[&trunk.0]);
        let gate = Gate::new(trunk.clone(), settings.capacity.max_cps, Instant::now());
        Self(Arc::new(Line {
            trunk,
            stack: stack.clone(),
            keeper: keeper.clone(),
            clock,
            servers,
            judge: Judge::new(settings.overrides.clone()),
            settings,
            up: Arc::default(),
            hang_up: CancellationToken::new(),
            wants_offers: AtomicBool::new(false),
            gate: Arc::new(gate),
            setup,
        }))
    }

    /// Lives a call by polling it once, and then in a task of its own.
    fn live(&self, call_id: CallId, call: impl Future<Output = Outcome> + Send + 'static) -> PlacedCall {
        let (sender, outcome) = oneshot::channel();
        let line = &self.0;
        lock(&line.up).insert(call_id);
        let up = Up(call_id, line.up.clone());
        let call = async move {
            let outcome = call.await;
            drop(up);
            // Whoever waited may be gone at the end of the process.
            drop(sender.send(outcome));
        };
        // A panic ends the call, whoever polls it.
        let mut call = Box::pin(AssertUnwindSafe(call).catch_unwind());
        if (&mut call).now_or_never().is_none() {
            tokio::spawn(call);
        }
        PlacedCall { outcome }
    }
}

/// The trunk of a call that was left up.
pub(super) fn trunk_of(left: &LeftCall) -> Option<TrunkName> {
    Some(TrunkName(left.dialogs.get("trunk")?.as_str()?.to_owned()))
}

/// Whether a server of a trunk is there.
#[derive(Debug)]
pub struct Probe {
    pub trunk: TrunkName,
    pub server: String,
    /// What it said to OPTIONS.
    pub answer: Result<u16, String>,
}

/// Asks every server of every SIP trunk whether it is there, from ports that the system chooses, so that a daemon may run
/// beside.
pub async fn probe(settings: &Settings) -> std::io::Result<Vec<Probe>> {
    let free = |bind: &Bind| Bind { address: (bind.address.ip(), 0).into(), ..*bind };
    let sip = Sip { bind: settings.sip.bind.iter().map(free).collect(), ..settings.sip.clone() };
    let (stack, deaf) = Stack::open(&sip)?;
    deaf.begin();
    let mut probes = Vec::new();
    for (trunk, settings) in &settings.trunks {
        let Trunk::Sip(settings) = settings else { continue };
        for server in Servers::at_once(settings, &stack, trunk).await.in_order() {
            let answer = server.ping(&stack).await.map_err(|error| error.to_string());
            probes.push(Probe { trunk: trunk.clone(), server: server.peer.to_string(), answer });
        }
    }
    Ok(probes)
}

impl Dialer for SipDialer {
    /// The call is polled once before this returns. So the INVITE is with the kernel by then, unless the socket's buffer is
    /// full, or an address has to be looked up again: no call opens a connection.
    fn place(&self, order: CallOrder) -> Result<PlacedCall, FailedReason> {
        let line = self.0.clone();
        line.gate.placed(Instant::now());
        Ok(self.live(order.call_id, async move { line.call(order).await }))
    }

    fn resume(&self, left: LeftCall) -> Option<PlacedCall> {
        let LeftCall { call, dialogs, silence, .. } = left;
        let kept: KeptCall = serde_json::from_value(dialogs)
            .inspect_err(|error| tracing::error!(%call, %error, "the dialogs of a call that is up cannot be read"))
            .ok()?;
        let (line, bridge) = (self.0.clone(), self.0.resume(call, kept));
        Some(self.live(call, async move { line.go_on(bridge, silence).await }))
    }

    fn fate(&self, call: CallId) -> Fate {
        if lock(&self.0.up).contains(&call) { Fate::InTheAir } else { Fate::Unknown }
    }

    fn longest(&self, ring_timeout: Duration, max_talk: Duration) -> Duration {
        ring_timeout + max_talk + LAST_WORD
    }

    fn hang_up_all(&self) {
        self.0.hang_up.cancel();
    }

    fn share(&self, of: &ServiceInstanceId, calls_per_second: u32) {
        self.0.gate.share(of, calls_per_second);
    }

    fn admit(&self) -> Option<Admission> {
        self.0.gate.admit(Instant::now()).filter(|_| self.0.servers.are_reachable())
    }

    fn closed_until(&self) -> Option<Instant> {
        let now = Instant::now();
        let unreachable = (!self.0.servers.are_reachable()).then_some(now + UNREACHABLE);
        self.0.gate.closed_until(now).max(unreachable)
    }

    fn measure(&self, metrics: &Metrics) {
        self.0.measure(metrics);
    }
}

#[cfg(test)]
mod tests;
