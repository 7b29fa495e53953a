//! A call: the callee's leg and the agent's leg, joined so that media flows straight between them (RFC 3725).
//!
//! It speaks signalling only. How the offers go is the trunk's strategy:
//! * *placeholder*: the callee is offered our sink, the agent gets the callee's answer as its offer, and the callee the
//!   agent's answer as a new one. Nothing without an offer is ever sent.
//! * *late* (Flow I): the callee makes the offer, the agent answers it, the callee's ACK brings that answer.
//! * *agent first*: as placeholder, but the agent is called while the callee's phone rings.
//!
//! One task owns all of a call. An answered callee is never kept waiting: whatever goes wrong with the agent, it is
//! hung up at once. A further INVITE to the callee is sent only after a last response to the one before.

mod agent;
mod callee;
mod kept;
mod offers;
mod over;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use metrics::Histogram;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use super::header::Header;
use super::incoming::PeerOffer;
use super::keeper::{Keeper, Keeping};
use super::leg::{Event, Invitation, LastWord, Leg};
use super::message::Reply;
use super::stack::{Path, Stack};
use super::voice::Voice;
use crate::clock::Clock;
use crate::dialer::CallOrder;
use crate::domain::call::HangupBy;
use crate::domain::classification::FinalResponse;
use crate::domain::ids::{CallId, TrunkName};
use crate::settings::{Codec, OfferStrategy as Strategy};
pub(super) use agent::call_id as agent_call_id;
pub use kept::KeptCall;
pub use over::{Cause, Finish, Over};

/// Whoever notices a deadline so much later had stood still, as a suspended process does.
const STOOD_STILL: Duration = Duration::from_secs(1);
/// Then what was said before the deadline may still be unread: how long it is listened for.
const CATCHING_UP: Duration = Duration::from_secs(1);

/// What a bridge needs of its trunk and of the daemon.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub trunk: TrunkName,
    /// When this call was given to the trunk.
    pub started_at: DateTime<Utc>,
    pub keeper: Keeper,
    pub stack: Arc<Stack>,
    pub clock: Arc<dyn Clock>,
    /// Where the callee's phone may send before there is an agent.
    pub sink: SocketAddr,
    pub strategy: Strategy,
    /// What an agent has to answer within, and then once more until it is joined to the callee: an answered callee hears
    /// nothing meanwhile.
    pub agent_timeout: Duration,
    /// What the placeholder offers.
    pub codecs: Vec<Codec>,
    /// Told as soon as the trunk has done its work.
    pub gate: Arc<Gate>,
    /// How long callees take to answer.
    pub setup: Histogram,
    /// Cancelled when every call is to end.
    pub hang_up: CancellationToken,
}

impl Surroundings {
    fn voice(&self) -> Voice {
        Voice::new(self.sink, &self.codecs)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The callee's phone is called.
    Calling,
    /// The callee answered; the agent is called.
    Inviting,
    /// The agent, who was there first, gets the callee's offer.
    Joining,
    /// The callee gets the agent's answer.
    Bridging,
    /// The callee's last answer differs from what the agent was told: the agent is told again.
    Settling,
    Talking,
}

/// Which leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Callee,
    Agent,
}

/// One call.
#[derive(Debug)]
pub struct Bridge {
    around: Surroundings,
    call: CallId,
    /// `None` for a call that was taken up again: nobody is called any more.
    order: Option<CallOrder>,
    keeping: Keeping,
    callee: Leg,
    agent: Option<Leg>,
    /// What we say about media to each side: one origin, a version for each change.
    callee_voice: Voice,
    agent_voice: Voice,
    phase: Phase,
    /// When the callee's INVITE was sent.
    began: Instant,
    strategy: Strategy,
    /// When the phase has to be over.
    deadline: Instant,
    /// When the talk has to be over.
    talk_ends: Instant,
    /// When an offer that crossed another one is made again, and to whom.
    again: Option<(Instant, Side)>,
    /// Offers of one side that wait for the other side's answer.
    relayed: Option<(Side, PeerOffer)>,
    heard: bool,
    ringing_at: Option<DateTime<Utc>>,
    answered_at: Option<DateTime<Utc>>,
    wants_offers: bool,
    /// How often the agent was called.
    agent_invitations: u32,
    /// How often the agent was told again what the callee's media are.
    corrections: u32,
    callee_headers: Vec<Header>,
}

impl Bridge {
    /// Sends the callee's INVITE over `path`. `None`: nothing was sent.
    pub async fn call(around: Surroundings, order: CallOrder, path: Path, mut callee: Invitation) -> Option<Self> {
        let strategy = around.strategy;
        let (callee_voice, agent_voice) = (around.voice(), around.voice());
        let offer = callee_voice.said().to_string();
        callee.offer = (strategy != Strategy::Late).then_some(offer);
        let now = Instant::now();
        let callee_headers = callee.headers.clone();
        let leg = Leg::invite(&around.stack, path, callee).await?;
        Some(Self {
            began: now,
            deadline: now + order.ring_timeout,
            talk_ends: now + order.ring_timeout + order.max_talk,
            around,
            call: order.call_id,
            order: Some(order),
            keeping: Keeping::default(),
            callee: leg,
            agent: None,
            callee_voice,
            agent_voice,
            phase: Phase::Calling,
            strategy,
            again: None,
            relayed: None,
            heard: false,
            ringing_at: None,
            answered_at: None,
            wants_offers: false,
            agent_invitations: 0,
            corrections: 0,
            callee_headers,
        })
    }

    /// Lives the call to its end, which is the carrier's last word, or until it is handed over.
    pub async fn run(mut self) -> Finish {
        let Some(cause) = self.live().await else {
            self.hand_over();
            return Finish::HandedOver;
        };
        self.finish(cause).await
    }

    async fn finish(mut self, cause: Cause) -> Finish {
        let hung_up_at = self.answered_at.is_some().then(|| self.around.clock.now());
        let cause = self.tear_down(cause).await;
        // A call that was not answered ended with that word.
        let ended_at = hung_up_at.unwrap_or_else(|| self.around.clock.now());
        Finish::Over(Box::new(Over {
            cause,
            heard: self.heard,
            ringing_at: self.ringing_at,
            answered_at: self.answered_at,
            ended_at,
            wants_offers: self.wants_offers,
        }))
    }

    /// `None`: it is to be handed over.
    async fn live(&mut self) -> Option<Cause> {
        loop {
            let again = self.again.map_or(self.deadline, |(at, _)| at.min(self.deadline));
            let cause = tokio::select! {
                // What was said before the stop counts, so it is listened to first.
                biased;
                event = self.callee.next() => self.on_callee(event).await,
                event = next_of(&mut self.agent) => self.on_agent(event).await,
                () = self.around.hang_up.cancelled() => return self.stopped(),
                () = tokio::time::sleep_until(again) => self.on_time().await,
            };
            if cause.is_some() {
                return cause;
            }
        }
    }

    fn stopped(&self) -> Option<Cause> {
        match self.phase {
            Phase::Calling => Some(Cause::Stopped(None)),
            Phase::Talking if self.keeping.is_up_to_date() => None,
            _ => Some(Cause::Talked(HangupBy::System, FinalResponse::new(200, "OK"))),
        }
    }

    async fn on_time(&mut self) -> Option<Cause> {
        if let Some((_, side)) = self.again.take_if(|(at, _)| *at <= Instant::now()) {
            self.offer_again(side).await;
        }
        let now = Instant::now();
        if self.deadline > now {
            return None;
        }
        if now > self.deadline + STOOD_STILL {
            self.deadline = now + CATCHING_UP;
            return None;
        }
        Some(match self.phase {
            Phase::Calling => Cause::RangOut(None),
            Phase::Talking => Cause::Talked(HangupBy::System, FinalResponse::new(200, "OK")),
            _ => Cause::AgentFailed(Reply::nothing()),
        })
    }

    /// Ends both legs at once, and waits for the callee's: the agent's end is not the carrier's business.
    async fn tear_down(&mut self, cause: Cause) -> Cause {
        drop(self.relayed.take());
        if let Some(mut agent) = self.agent.take() {
            tokio::spawn(async move { agent.release().await });
        }
        let LastWord { to_invite: last, taken_back, to_bye } = self.callee.release().await;
        match cause {
            // It had hung up, and nobody was there to hear it.
            Cause::Talked(HangupBy::System, reasons) if to_bye.as_ref().is_some_and(|reply| reply.status == 481) => {
                Cause::Talked(HangupBy::Callee, reasons)
            }
            Cause::RangOut(None) => Cause::RangOut(last),
            Cause::Stopped(None) => match last {
                // The answer crossed our CANCEL: the callee had been reached.
                Some(answer) if answer.is_success() => {
                    self.answered_at = Some(self.around.clock.now());
                    Cause::Talked(HangupBy::System, answer.response)
                }
                // It was said without a word of ours. A challenge is none: we might have answered it.
                Some(refusal) if !taken_back && !refusal.local && !matches!(refusal.status, 401 | 407) => {
                    Cause::Refused(refusal)
                }
                // Not a refusal by the callee: carriers refuse with many a status what was cancelled.
                last => Cause::Stopped(last),
            },
            cause => cause,
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.deadline = match phase {
            Phase::Talking => self.talk_ends,
            _ => (Instant::now() + self.around.agent_timeout).min(self.talk_ends),
        };
        self.keep();
    }
}

/// The agent's next event; never, while there is no agent.
async fn next_of(agent: &mut Option<Leg>) -> Event {
    match agent {
        Some(agent) => agent.next().await,
        None => std::future::pending().await,
    }
}
