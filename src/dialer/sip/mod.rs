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
mod header;
mod incoming;
mod inspector;
mod invite;
mod judge;
mod leg;
mod line;
mod message;
mod peer;
pub mod sdp;
mod secure;
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

use super::{CallOrder, Dialer, Fate, PlacedCall};
use crate::clock::Clock;
use crate::domain::callee::FailedReason;
use crate::domain::ids::{CallId, TrunkName};
use crate::settings::{Bind, Settings, Sip, SipTrunk, Trunk};
use judge::Judge;
use line::Line;
use servers::Servers;
pub use stack::Stack;

/// How long the last request of a call may go without a response, and a little: 64*T1 and more.
const LAST_WORD: Duration = Duration::from_secs(35);

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
    pub fn new(trunk: TrunkName, settings: SipTrunk, stack: &Arc<Stack>, clock: Arc<dyn Clock>) -> Self {
        let servers = Servers::new(&settings, stack);
        if let Some(every) = settings.options {
            servers.keep_asking(stack, &trunk.0, every);
        }
        Self(Arc::new(Line {
            trunk,
            stack: stack.clone(),
            clock,
            servers,
            judge: Judge::new(settings.overrides.clone()),
            settings,
            up: Arc::default(),
            hang_up: CancellationToken::new(),
            wants_offers: AtomicBool::new(false),
            breaker: Arc::default(),
        }))
    }
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
    let stack = Stack::open(&sip)?;
    let mut probes = Vec::new();
    for (trunk, settings) in &settings.trunks {
        let Trunk::Sip(settings) = settings else { continue };
        for server in Servers::new(settings, &stack).in_order() {
            let answer = server.ping(&stack).await.map_err(|error| error.to_string());
            probes.push(Probe { trunk: trunk.clone(), server: server.peer.to_string(), answer });
        }
    }
    Ok(probes)
}

impl Dialer for SipDialer {
    /// The call is polled once before this returns. So the INVITE is with the kernel by then, where it goes as a datagram
    /// or over a connection that is open, unless the socket's buffer is full. Where a connection has to be opened first,
    /// the INVITE follows within two seconds or not at all.
    fn place(&self, order: CallOrder) -> Result<PlacedCall, FailedReason> {
        let (sender, end) = oneshot::channel();
        let line = self.0.clone();
        lock(&line.up).insert(order.call_id);
        line.breaker.placed();
        let up = Up(order.call_id, line.up.clone());
        let call = async move {
            let end = line.call(order).await;
            drop(up);
            // Whoever waited may be gone at the end of the process.
            drop(sender.send(end));
        };
        // A panic ends the call, whoever polls it.
        let mut call = Box::pin(AssertUnwindSafe(call).catch_unwind());
        if (&mut call).now_or_never().is_none() {
            tokio::spawn(call);
        }
        Ok(PlacedCall { end })
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

    fn room(&self) -> usize {
        self.0.breaker.room(Instant::now())
    }
}

#[cfg(test)]
mod tests;
