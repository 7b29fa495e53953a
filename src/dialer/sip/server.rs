//! One server of a trunk: the way to it, and whether it still answers.
//!
//! A connection to a server over TCP or TLS is kept open by a task of its own, never opened by a call, so that an INVITE
//! leaves when its call is placed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rsipstack::sip::{Method, Request};
use tokio_util::sync::CancellationToken;

use super::peer::{Peer, Transport};
use super::stack::{Path, Stack, Unreachable};
use crate::retry::Delays;

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
    /// The domain that it was found by, which it is spoken to as and which its certificate names.
    domain: Option<String>,
    up: AtomicBool,
    known: Mutex<Option<(Path, Instant)>>,
    /// The trunk has it no more.
    gone: CancellationToken,
}

impl Server {
    pub fn new(peer: Peer, domain: Option<String>) -> Self {
        Self { peer, domain, up: AtomicBool::new(true), known: Mutex::default(), gone: CancellationToken::new() }
    }

    /// What it is called by: never an address where a domain was given (RFC 3263, section 4).
    pub fn host(&self) -> &str {
        self.domain.as_deref().unwrap_or(&self.peer.host)
    }

    /// The URI of somebody whom it can reach.
    pub fn uri_of_user(&self, user: &str) -> String {
        match &self.domain {
            Some(domain) => self.peer.uri_at(user, domain),
            None => self.peer.uri_of_user(user),
        }
    }

    /// Whether it answered when it was last asked.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
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
    pub fn is_reachable(&self) -> bool {
        self.peer.transport == Transport::Udp || self.open_path().is_some()
    }

    /// Begins to look after it, until the trunk has it no more or the stack ends: keeps a connection to it where it needs
    /// one, and asks it again and again whether it is there.
    pub fn look_after(self: &Arc<Self>, stack: &Weak<Stack>, trunk: &str, every: Option<Duration>) {
        if self.peer.transport != Transport::Udp {
            let (server, stack, trunk) = (self.clone(), stack.clone(), trunk.to_owned());
            tokio::spawn(async move { server.gone.run_until_cancelled(server.keep_connected(stack, &trunk)).await });
        }
        if let Some(every) = every {
            let (server, stack, trunk) = (self.clone(), stack.clone(), trunk.to_owned());
            tokio::spawn(
                async move { server.gone.run_until_cancelled(server.keep_asking(stack, &trunk, every)).await },
            );
        }
    }

    /// Looks after it no more. A connection stays open for the calls that it carries, until the server closes it.
    pub fn leave(&self) {
        self.gone.cancel();
    }

    async fn keep_asking(&self, stack: Weak<Stack>, trunk: &str, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(stack) = stack.upgrade() else { return };
            self.note(trunk, &self.ping(&stack).await);
        }
    }

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
                    path.closed().await;
                    // At the end all of them are closed, by us.
                    if stack.strong_count() == 0 {
                        return;
                    }
                    if since.elapsed() > GOOD {
                        delays.reset();
                        failed = false;
                    } else if !std::mem::replace(&mut failed, true) {
                        tracing::warn!(trunk, server = %self.peer, "ALARM: a server of the trunk closed its connection early");
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
