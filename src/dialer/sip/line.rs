//! The calls of one trunk: which server carries each, and what its end means.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use metrics::Histogram;
use tokio_util::sync::CancellationToken;

use super::bridge::{Bridge, Cause, Finish, KeptCall, Over, Surroundings};
use super::gate::{Failure, Gate};
use super::header::Header;
use super::judge::Judge;
use super::keeper::Keeper;
use super::leg::Invitation;
use super::server::Server;
use super::servers::Servers;
use super::stack::Stack;
use crate::clock::Clock;
use crate::dialer::{CallOrder, Outcome};
use crate::domain::call::{CallEnd, Scope};
use crate::domain::classification::{Classification, TrunkState};
use crate::domain::ids::{CallId, TrunkName};
use crate::settings::{Identity, OfferStrategy as Strategy, SipTrunk};

/// A connection that takes longer to come up carries no INVITE any more: the call would begin long after the last check.
const MOST_DELAY: Duration = Duration::from_secs(2);

/// One trunk.
#[derive(Debug)]
pub(super) struct Line {
    pub trunk: TrunkName,
    pub stack: Arc<Stack>,
    pub keeper: Keeper,
    pub clock: Arc<dyn Clock>,
    pub servers: Servers,
    pub settings: SipTrunk,
    pub judge: Judge,
    pub up: Arc<Mutex<HashSet<CallId>>>,
    pub hang_up: CancellationToken,
    /// The trunk refused an INVITE without an offer: it gets no other such.
    pub wants_offers: AtomicBool,
    pub gate: Arc<Gate>,
    /// How long the callees take to answer.
    pub setup: Histogram,
}

impl Line {
    /// Lives one call to its end.
    pub async fn call(&self, order: CallOrder) -> Outcome {
        let (placed_at, started_at) = (Instant::now(), self.clock.now());
        let call = order.call_id;
        let finish = self.dial(order, started_at).await;
        self.outcome(finish, call, (placed_at, started_at))
    }

    /// Begins to look after a call that another run of the daemon left up.
    pub fn resume(&self, call: CallId, kept: KeptCall) -> Bridge {
        Bridge::resume(self.surroundings(kept.started_at), call, kept, self.settings.credentials.clone())
    }

    /// Lives it to its end.
    pub async fn go_on(&self, bridge: Bridge, silence: Option<Duration>) -> Outcome {
        let (call, started_at) = (bridge.call_id(), bridge.started_at());
        let resumed_at = Instant::now();
        let finish = Box::pin(bridge.run_on(silence)).await;
        self.outcome(finish, call, (resumed_at, started_at))
    }

    fn outcome(&self, finish: Finish, call: CallId, (placed_at, started_at): (Instant, DateTime<Utc>)) -> Outcome {
        let over = match finish {
            Finish::Over(over) => *over,
            Finish::HandedOver => return Outcome::HandedOver,
        };
        if over.wants_offers && !self.wants_offers.swap(true, Ordering::Relaxed) {
            let trunk = &self.trunk;
            tracing::warn!(%trunk, "the trunk refuses an INVITE without an offer: it gets a placeholder from now on");
        }
        let reached = over.ringing_at.is_some() || over.answered_at.is_some();
        let (end, said) = self.judge.end(over, started_at);
        self.note((placed_at, reached), &end, &said);
        let (trunk, result) = (&self.trunk, end.result);
        let status = end.sip.as_ref().map(|sip| sip.status);
        tracing::debug!(%trunk, %call, %result, ?status, "a call ended");
        Outcome::Ended(end)
    }

    /// Takes in what the end of a call says about the trunk.
    fn note(&self, (placed_at, reached): (Instant, bool), end: &CallEnd, said: &Classification) {
        match (said.trunk, end.scope) {
            (TrunkState::Overloaded | TrunkState::Broken, _) => {
                let (overload, asked) = (said.trunk == TrunkState::Overloaded, said.retry_after);
                self.gate.failed(Instant::now(), Failure { placed_at, overload, asked, rule: &said.rule });
            }
            // Our own doing says nothing about the trunk, unless it reached somebody.
            (TrunkState::Fine, Scope::Local) if !reached => self.gate.no_news(),
            (TrunkState::Fine, _) => self.gate.well(),
        }
    }

    /// Tries one server after the other, as long as nobody can have heard of the call.
    async fn dial(&self, order: CallOrder, started_at: DateTime<Utc>) -> Finish {
        let (began, ring_timeout) = (Instant::now(), order.ring_timeout);
        let mut finish = self.nothing();
        for server in self.servers.in_order() {
            let left = ring_timeout.saturating_sub(began.elapsed());
            if left.is_zero() || self.hang_up.is_cancelled() {
                return finish;
            }
            let order = CallOrder { ring_timeout: left, ..order.clone() };
            if let Some(next) = self.try_server(&server, order, (began, started_at)).await {
                let another = matches!(&next, Finish::Over(over) if over.wants_another_server());
                finish = next;
                if !another {
                    return finish;
                }
            }
        }
        finish
    }

    /// `None`: nothing was sent.
    async fn try_server(
        &self,
        server: &Server,
        order: CallOrder,
        (began, started_at): (Instant, DateTime<Utc>),
    ) -> Option<Finish> {
        let path = match server.path_now(&self.stack).await {
            Ok(path) => path,
            Err(error) => {
                tracing::warn!(trunk = %self.trunk, %error, "a server of the trunk cannot be called");
                return None;
            }
        };
        if began.elapsed() > MOST_DELAY {
            return None;
        }
        let invitation = self.invitation(server, &order);
        let bridge = Bridge::call(self.surroundings(started_at), order, path, invitation).await?;
        Some(Box::pin(bridge.run()).await)
    }

    fn invitation(&self, server: &Server, order: &CallOrder) -> Invitation {
        let numbers = &self.settings.numbers;
        let caller = numbers.caller(&order.caller);
        let domain = self.settings.from_domain.as_deref();
        Invitation {
            call_id: order.call_id.to_string(),
            uri: server.uri_of_user(&numbers.called(&order.called)),
            headers: identity(self.settings.identity, &caller, domain.unwrap_or(server.host())),
            from: caller,
            from_domain: self.settings.from_domain.clone(),
            offer: None,
            credentials: self.settings.credentials.clone(),
        }
    }

    fn surroundings(&self, started_at: DateTime<Utc>) -> Surroundings {
        let strategy = match self.settings.offer {
            Strategy::Late if self.wants_offers.load(Ordering::Relaxed) => Strategy::Placeholder,
            strategy => strategy,
        };
        Surroundings {
            trunk: self.trunk.clone(),
            started_at,
            keeper: self.keeper.clone(),
            stack: self.stack.clone(),
            clock: self.clock.clone(),
            sink: self.stack.sink(),
            strategy,
            agent_timeout: self.settings.agent_timeout,
            codecs: self.settings.codecs.clone(),
            hang_up: self.hang_up.clone(),
            gate: self.gate.clone(),
            setup: self.setup.clone(),
        }
    }

    fn nothing(&self) -> Finish {
        let cause = if self.hang_up.is_cancelled() { Cause::Stopped(None) } else { Cause::Unsent };
        let ended_at = self.clock.now();
        let (heard, ringing_at, answered_at, wants_offers) = (false, None, None, false);
        Finish::Over(Box::new(Over { cause, heard, ringing_at, answered_at, ended_at, wants_offers }))
    }
}

/// The header that tells the caller number besides From (RFC 3325).
fn identity(identity: Identity, caller: &str, domain: &str) -> Vec<Header> {
    let (name, parameters) = match identity {
        Identity::From => return Vec::new(),
        Identity::PAssertedIdentity => ("P-Asserted-Identity", ""),
        Identity::PPreferredIdentity => ("P-Preferred-Identity", ""),
        Identity::RemotePartyId => ("Remote-Party-ID", ";party=calling"),
    };
    Header::new(name, &format!("<sip:{caller}@{domain}>{parameters}")).into_iter().collect()
}
