//! The servers of one trunk: which is tried first, and whether each still answers.
//!
//! A call goes on to the next server only where the one before refused a connection or gave a last response: the caller
//! sees to that. A connection to each server of a trunk over TCP or TLS is kept open by a task of its own, never opened by
//! a call, so that an INVITE leaves when its call is placed. What is known here of a server's health only orders them; a server that seems down is still the last
//! resort.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rsipstack::sip::{Method, Request};

use super::peer::{Peer, Transport};
use super::secure::Trust;
use super::stack::{Path, Stack, Unreachable};
use crate::retry::Delays;
use crate::settings::{SipTrunk, TrunkPlace};

/// How long a name's address is used before it is looked up again.
const FRESH: Duration = Duration::from_secs(60);

/// A connection that was lost is tried again within this time.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// One that held so long was a good one.
const GOOD: Duration = Duration::from_secs(10);

/// How long a server may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(5);

/// One server.
#[derive(Debug)]
pub struct Server {
    pub peer: Peer,
    up: AtomicBool,
    known: Mutex<Option<(Path, Instant)>>,
}

impl Server {
    fn new(peer: Peer) -> Self {
        Self { peer, up: AtomicBool::new(true), known: Mutex::default() }
    }

    /// Where a trunk's servers are. A domain is asked for its addresses only, not for its services.
    fn peers(settings: &SipTrunk) -> Vec<Peer> {
        let transport = Transport::from(settings.transport);
        match &settings.place {
            TrunkPlace::Domain(domain) => vec![Peer::new(transport, domain, None)],
            TrunkPlace::Servers(servers) => {
                servers.iter().map(|server| Peer::new(transport, &server.host, server.port)).collect()
            }
        }
    }

    /// The way to it: at once, when it was gone lately.
    pub async fn path(&self, stack: &Stack) -> Result<Path, Unreachable> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((path, _)) = known.filter(|(path, at)| path.is_open() && at.elapsed() < FRESH) {
            return Ok(path);
        }
        let path = stack.path(&self.peer).await?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((path.clone(), Instant::now()));
        Ok(path)
    }

    /// The way to it that an INVITE can take without waiting: for datagrams any, else a connection that is open.
    pub async fn path_now(&self, stack: &Stack) -> Result<Path, Unreachable> {
        match self.peer.transport {
            Transport::Udp => self.path(stack).await,
            _ => self.open_path().ok_or_else(|| Unreachable::unconnected(&self.peer)),
        }
    }

    fn open_path(&self) -> Option<Path> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.map(|(path, _)| path).filter(Path::is_open)
    }

    /// Whether a call could be sent to it at this moment.
    fn is_reachable(&self) -> bool {
        self.peer.transport == Transport::Udp || self.open_path().is_some()
    }

    /// Keeps a connection to it, as long as the stack lives.
    async fn keep_connected(&self, stack: Weak<Stack>, trunk: &str) {
        let (mut delays, mut failed) = (Delays::up_to(LONGEST_WAIT), false);
        loop {
            let Some(held) = stack.upgrade() else { return };
            let reached = self.path(&held).await;
            drop(held);
            match reached {
                Ok(path) => {
                    let since = Instant::now();
                    tracing::info!(trunk, server = %self.peer, "connected to the trunk's server");
                    failed = false;
                    path.closed().await;
                    if since.elapsed() > GOOD {
                        delays.reset();
                    }
                }
                Err(error) if !std::mem::replace(&mut failed, true) => {
                    tracing::warn!(trunk, %error, "ALARM: no connection to a server of the trunk");
                }
                Err(_) => {}
            }
            tokio::time::sleep(delays.next_delay()).await;
        }
    }

    /// Asks whether it is there. Any response says so (RFC 3261, section 11).
    pub async fn ping(&self, stack: &Stack) -> Result<u16, Unreachable> {
        let path = self.path(stack).await?;
        let host = if self.peer.host.contains(':') { format!("[{}]", self.peer.host) } else { self.peer.host.clone() };
        let uri = format!("sip:{host}:{}", self.peer.port);
        let call_id = format!("options-{}", uuid::Uuid::new_v4().simple());
        let mut dialog = stack.dialog(&path, &call_id, ("calltaskd", &uri));
        let options: Request = dialog.question(Method::Options);
        match tokio::time::timeout(PATIENCE, stack.ask(options, &path, None)).await {
            Ok(reply) if !reply.local => Ok(reply.status),
            _ => Err(Unreachable::silent(&self.peer)),
        }
    }

    fn note(&self, trunk: &str, answered: &Result<u16, Unreachable>) {
        let up = answered.is_ok();
        if self.up.swap(up, Ordering::Relaxed) == up {
            return;
        }
        match answered {
            Ok(status) => tracing::info!(trunk, server = %self.peer, status, "the trunk's server answers again"),
            Err(error) => tracing::warn!(trunk, %error, "ALARM: a server of the trunk does not answer"),
        }
    }
}

/// The servers of one trunk, in the order of the settings.
#[derive(Debug, Clone)]
pub struct Servers(Vec<Arc<Server>>);

impl Servers {
    /// Those of a trunk; what it trusts is made known to the stack.
    pub fn new(settings: &SipTrunk, stack: &Stack) -> Self {
        let peers = Server::peers(settings);
        for peer in peers.iter().filter(|peer| peer.transport == Transport::Tls) {
            let trust = Trust { authorities: settings.ca.clone(), certificate: settings.certificate.clone() };
            stack.trust(peer.clone(), trust);
        }
        Self(peers.into_iter().map(|peer| Arc::new(Server::new(peer))).collect())
    }

    /// Those that answer first, in the order of the settings.
    pub fn in_order(&self) -> Vec<Arc<Server>> {
        let (up, down): (Vec<_>, Vec<_>) = self.0.iter().cloned().partition(|server| server.up.load(Ordering::Relaxed));
        up.into_iter().chain(down).collect()
    }

    /// Keeps a connection to each of them that needs one, as long as the stack lives.
    pub fn keep_connected(&self, stack: &Arc<Stack>, trunk: &str) {
        for server in self.0.iter().filter(|server| server.peer.transport != Transport::Udp) {
            let (server, stack, trunk) = (server.clone(), Arc::downgrade(stack), trunk.to_owned());
            tokio::spawn(async move { server.keep_connected(stack, &trunk).await });
        }
    }

    /// Whether a call could be sent to any of them at this moment.
    pub fn are_reachable(&self) -> bool {
        self.0.iter().any(|server| server.is_reachable())
    }

    /// Asks each of them again and again, as long as the stack lives.
    pub fn keep_asking(&self, stack: &Arc<Stack>, trunk: &str, every: Duration) {
        for server in &self.0 {
            let (server, stack, trunk) = (server.clone(), Arc::downgrade(stack), trunk.to_owned());
            tokio::spawn(async move {
                let mut ticks = tokio::time::interval(every);
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    let Some(stack) = stack.upgrade() else { return };
                    server.note(&trunk, &server.ping(&stack).await);
                }
            });
        }
    }
}
