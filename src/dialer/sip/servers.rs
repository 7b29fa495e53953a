//! The servers of one trunk: which is tried first, and which there are.
//!
//! A call goes on to the next server only where the one before refused a connection or gave a last response: the caller
//! sees to that. What is known of a server's health only orders them; a server that seems down is still the last resort.
//! Those of a domain are looked up ahead, by a task of its own: a call takes what is known.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::peer::{Peer, Transport};
use super::picking::{self, Rank};
use super::resolver::{Found, Unresolved};
use super::secure::Trust;
use super::server::Server;
use super::stack::Stack;
use crate::domain::ids::TrunkName;
use crate::retry::Delays;
use crate::settings::{SipTrunk, TrunkPlace};

/// A look-up that failed is tried again within this time.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The servers of one trunk.
#[derive(Debug, Clone, Default)]
pub struct Servers(Arc<Mutex<Vec<Ranked>>>);

type Ranked = (Rank, Arc<Server>);

impl Servers {
    /// Those of a trunk, which are looked after as long as the stack lives. Those of a domain come a little later.
    pub fn look_after(settings: &SipTrunk, stack: &Arc<Stack>, trunk: &TrunkName) -> Self {
        let servers = Self::default();
        let keeper = Keeper {
            servers: servers.clone(),
            settings: settings.clone(),
            stack: Arc::downgrade(stack),
            trunk: trunk.clone(),
        };
        match &settings.place {
            TrunkPlace::Servers(_) => keeper.take(stack, listed(settings, trunk)),
            TrunkPlace::Domain(domain) => {
                let domain = domain.clone();
                tokio::spawn(async move { keeper.keep_resolved(&domain).await });
            }
        }
        servers
    }

    /// Those of a trunk at this moment, which nobody looks after.
    pub async fn at_once(settings: &SipTrunk, stack: &Stack, trunk: &TrunkName) -> Self {
        let servers = match &settings.place {
            TrunkPlace::Servers(_) => listed(settings, trunk),
            TrunkPlace::Domain(domain) => match look_up(settings, stack, domain).await {
                Ok(found) => named((settings, trunk), domain, &found),
                // Whoever asks it is told that it cannot be reached.
                Err(_) => {
                    let peer = Peer::new(settings.transport.into(), domain, None).of_trunk(trunk);
                    vec![(Rank::in_list(0), Server::new(peer, None))]
                }
            },
        };
        trust(settings, stack, &servers);
        let servers = servers.into_iter().map(|(rank, server)| (rank, Arc::new(server)));
        Self(Arc::new(Mutex::new(servers.collect())))
    }

    /// Those that answer first; among them by priority, and by chance where their weights say so.
    pub fn in_order(&self) -> Vec<Arc<Server>> {
        let (up, down): (Vec<_>, Vec<_>) = self.now().into_iter().partition(|(_, server)| server.is_up());
        [up, down].into_iter().flat_map(|servers| picking::in_order(servers, draw)).collect()
    }

    /// Whether a call could be sent to any of them at this moment.
    pub fn are_reachable(&self) -> bool {
        self.now().iter().any(|(_, server)| server.is_reachable())
    }

    /// How many could be called now and answered when they were last asked, and how many there are.
    pub fn count(&self) -> (usize, usize) {
        let servers = self.now();
        let up = servers.iter().filter(|(_, server)| server.is_up() && server.is_reachable()).count();
        (up, servers.len())
    }

    fn now(&self) -> Vec<Ranked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Who keeps the servers of a trunk.
struct Keeper {
    servers: Servers,
    settings: SipTrunk,
    stack: Weak<Stack>,
    trunk: TrunkName,
}

impl Keeper {
    /// Looks the domain's servers up again and again. When that fails, the last ones stay; where there are none, those stand in
    /// that the system knows.
    async fn keep_resolved(&self, domain: &str) {
        let (mut delays, mut failed, trunk) = (Delays::up_to(LONGEST_WAIT), false, &self.trunk);
        let mut known = false;
        loop {
            let Some(stack) = self.stack.upgrade() else { return };
            let wait = match look_up(&self.settings, &stack, domain).await {
                Ok(found) => {
                    (known, failed, delays) = (true, false, Delays::up_to(LONGEST_WAIT));
                    self.take(&stack, named((&self.settings, trunk), domain, &found));
                    found.fresh
                }
                Err(error) => {
                    if !std::mem::replace(&mut failed, true) {
                        tracing::warn!(%trunk, domain, %error, "ALARM: the servers of the trunk cannot be looked up");
                    }
                    if !known && matches!(error, Unresolved::Failed(_)) {
                        self.stand_in(&stack, domain).await;
                    }
                    delays.next_delay()
                }
            };
            drop(stack);
            tokio::time::sleep(wait).await;
        }
    }

    /// Nobody can say whether the domain has records: its addresses are better than no server at all.
    async fn stand_in(&self, stack: &Stack, domain: &str) {
        let (trunk, transport) = (&self.trunk, self.settings.transport.into());
        let found = stack.resolver().find_by_system(domain, transport, |ip| stack.can_use(ip)).await;
        match found {
            Ok(found) => self.take(stack, named((&self.settings, trunk), domain, &found)),
            Err(error) => tracing::debug!(%trunk, domain, %error, "the trunk has no servers"),
        }
    }

    /// Makes these the servers of the trunk. One that it had already stays as it is, with what is known of it.
    fn take(&self, stack: &Stack, servers: Vec<(Rank, Server)>) {
        trust(&self.settings, stack, &servers);
        let mut known = self.servers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *known);
        for (rank, server) in servers {
            let same = before.iter().find(|(_, known)| known.peer == server.peer).map(|(_, known)| known.clone());
            let server = same.unwrap_or_else(|| {
                tracing::info!(trunk = %self.trunk, server = %server.peer, "a server of the trunk");
                let server = Arc::new(server);
                server.look_after(&self.stack, &self.trunk.0, self.settings.options);
                server
            });
            known.push((rank, server));
        }
        for (_, server) in before {
            if !known.iter().any(|(_, stays)| Arc::ptr_eq(stays, &server)) {
                tracing::info!(trunk = %self.trunk, server = %server.peer, "a server of the trunk no more");
                server.leave();
            }
        }
    }
}

/// The servers that the settings name.
fn listed(settings: &SipTrunk, trunk: &TrunkName) -> Vec<(Rank, Server)> {
    let TrunkPlace::Servers(servers) = &settings.place else { return Vec::new() };
    let peer = |(index, server): (usize, &crate::settings::HostPort)| {
        let peer = Peer::new(settings.transport.into(), &server.host, server.port).of_trunk(trunk);
        (Rank::in_list(index), Server::new(peer, None))
    };
    servers.iter().enumerate().map(peer).collect()
}

async fn look_up(settings: &SipTrunk, stack: &Stack, domain: &str) -> Result<Found, Unresolved> {
    stack.resolver().find(domain, settings.transport.into(), |ip| stack.can_use(ip)).await
}

/// The servers that were found by a domain.
fn named((settings, trunk): (&SipTrunk, &TrunkName), domain: &str, found: &Found) -> Vec<(Rank, Server)> {
    let server = |(rank, address): &(Rank, SocketAddr)| {
        let peer =
            Peer::new(settings.transport.into(), &address.ip().to_string(), Some(address.port())).of_trunk(trunk);
        (*rank, Server::new(peer, Some(domain.to_owned())))
    };
    found.servers.iter().map(server).collect()
}

/// Makes known to the stack what the trunk trusts.
fn trust(settings: &SipTrunk, stack: &Stack, servers: &[(Rank, Server)]) {
    for (_, server) in servers.iter().filter(|(_, server)| server.peer.transport == Transport::Tls) {
        let trust = Trust {
            authorities: settings.ca.clone(),
            certificate: settings.certificate.clone(),
            name: Some(server.host().to_owned()),
        };
        stack.trust(server.peer.clone(), trust);
    }
}

/// A number from 0 to this one.
fn draw(most: u64) -> u64 {
    let (_, chance) = uuid::Uuid::new_v4().as_u64_pair();
    // The highest two bits are the same in all of them.
    (chance & (u64::MAX >> 2)) % (most + 1)
}
