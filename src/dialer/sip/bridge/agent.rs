//! What happens on the agent's leg.

use super::{Bridge, Cause, Phase, Side, Strategy};
use crate::dialer::CallOrder;
use crate::dialer::sip::header::Header;
use crate::dialer::sip::leg::{Event, Invitation, Leg};
use crate::dialer::sip::message::Reply;
use crate::dialer::sip::peer::{Peer, Transport};
use crate::dialer::sip::sdp::{Clash, Description};
use crate::dialer::sip::voice::heard;
use crate::domain::call::HangupBy;
use crate::domain::ids::CallId;

/// How often the agent is told again where the callee's media are, until we give up.
const MOST_CORRECTIONS: u32 = 2;

/// What a datagram over IPv4 can carry (RFC 768 within RFC 791).
const LARGEST_DATAGRAM: usize = 65_507;

impl Bridge {
    /// Calls the agent.
    pub(super) async fn invite_agent(&mut self, offer: String) -> Option<Cause> {
        let Some(order) = &self.order else { return self.without_agent(Reply::unreachable()) };
        self.agent_invitations += 1;
        let invitation = Invitation {
            call_id: call_id(self.agent_invitations, order.call_id),
            uri: order.agent.sip_uri.clone(),
            // The agent sees whom it talks to.
            from: order.called.e164().to_owned(),
            from_domain: None,
            offer: Some(offer),
            headers: headers(order),
            credentials: None,
        };
        let agent = &order.agent.id;
        let Some(peer) = Peer::of_uri(&invitation.uri, Transport::Udp) else {
            tracing::warn!(%agent, "the agent's SIP URI cannot be called");
            return self.without_agent(Reply::unreachable());
        };
        let path = match self.around.stack.path(&peer).await {
            Ok(path) => path,
            Err(error) => {
                tracing::warn!(%agent, %error, "the agent cannot be called");
                return self.without_agent(Reply::unreachable());
            }
        };
        let length = invitation.length(&self.around.stack, &path);
        let path = self.around.stack.wide_enough(path, length).await;
        if path.peer.transport == Transport::Udp && length > LARGEST_DATAGRAM {
            tracing::error!(%agent, length, "ALARM: what the agent is told fits into no datagram, and TCP cannot be used");
            return self.without_agent(Reply::unreachable());
        }
        self.agent = Leg::invite(&self.around.stack, path, invitation).await;
        if self.agent.is_none() { self.without_agent(Reply::unreachable()) } else { None }
    }

    /// The agent is not there. Before the callee's answer that is no end: it is called again then.
    fn without_agent(&mut self, reply: Reply) -> Option<Cause> {
        self.agent = None;
        let (call, response) = (&self.call, &reply.response);
        let agent = self.order.as_ref().map(|order| order.agent.id.0.as_str());
        if reply.local {
            tracing::warn!(%call, agent, "nothing was heard of the agent");
        } else {
            let (status, reason) = (response.status, &response.reason);
            tracing::warn!(%call, agent, status, %reason, "the agent does not take the call");
        }
        (self.phase != Phase::Calling).then_some(Cause::AgentFailed(reply))
    }

    pub(super) async fn on_agent(&mut self, event: Event) -> Option<Cause> {
        match event {
            Event::Progress(_) => None,
            Event::Answered(reply) => self.on_agent_answered(reply).await,
            Event::Failed(reply) => self.without_agent(reply),
            Event::Reoffered(reply) => self.on_agent_reoffered(reply).await,
            Event::HungUp(_) if self.phase == Phase::Calling => {
                tracing::info!(call = %self.call, "the agent left before the callee answered");
                self.without_agent(Reply::nothing())
            }
            Event::HungUp(reasons) => Some(Cause::Talked(HangupBy::Agent, reasons)),
            Event::Offer(offer) => {
                self.on_offer(Side::Agent, offer).await;
                None
            }
        }
    }

    async fn on_agent_answered(&mut self, reply: Reply) -> Option<Cause> {
        let answer = heard(reply.sdp.as_deref()).ok_or(Clash::NoAudio);
        let answer = answer.and_then(|answer| answer.answers(self.agent_voice.said()).map(|()| answer));
        let answer = match answer {
            Ok(answer) => answer,
            Err(clash) => {
                self.ack_agent().await;
                tracing::warn!(call = %self.call, %clash, "the agent's media cannot be connected");
                return Some(Cause::MediaMismatch);
            }
        };
        match (self.strategy, self.phase) {
            (Strategy::Late, _) => {
                let Some(offer) = heard(self.callee.dialog.remote_sdp.as_deref()) else {
                    return Some(Cause::MediaMismatch);
                };
                let answer = self.callee_voice.answer(&answer, &offer);
                self.callee.ack(Some(&answer)).await;
                self.ack_agent().await;
                self.enter(Phase::Talking);
            }
            (Strategy::Placeholder, _) => {
                self.ack_agent().await;
                let offer = self.callee_voice.join(&answer);
                self.enter(Phase::Bridging);
                self.callee.reoffer(&offer).await;
            }
            // It waits for the callee, or is told at once what the callee answered meanwhile.
            (Strategy::AgentFirst, phase) => {
                self.ack_agent().await;
                if phase == Phase::Inviting {
                    self.join().await;
                }
            }
        }
        None
    }

    async fn ack_agent(&mut self) {
        if let Some(agent) = &mut self.agent {
            agent.ack(None).await;
        }
    }

    /// Gives an agent that is up the callee's offer.
    pub(super) async fn join(&mut self) {
        self.enter(Phase::Joining);
        if let (Some(agent), Some(said)) = (&mut self.agent, heard(self.callee.dialog.remote_sdp.as_deref())) {
            let offer = self.agent_voice.join(&said);
            agent.reoffer(&offer).await;
        }
    }

    async fn on_agent_reoffered(&mut self, reply: Reply) -> Option<Cause> {
        if reply.is_success() {
            self.ack_agent().await;
        }
        if let Some((Side::Callee, offer)) = self.relayed.take_if(|(side, _)| *side == Side::Callee) {
            self.pass_back(Side::Callee, offer, &reply);
            return None;
        }
        match (self.phase, reply.status, heard(reply.sdp.as_deref())) {
            (Phase::Joining, 200..300, Some(answer)) if answer.is_usable() => {
                let offer = self.callee_voice.join(&answer);
                self.enter(Phase::Bridging);
                self.callee.reoffer(&offer).await;
                None
            }
            (Phase::Settling, 200..300, answer) => {
                // Should its answer differ now, the callee has to hear of that in turn.
                let (told, agreed) = (self.callee_voice.said(), heard(self.callee.dialog.remote_sdp.as_deref()));
                let moved = |answer: &Description| agreed.is_some_and(|agreed| answer.moved(told, &agreed).is_some());
                match answer.filter(moved) {
                    Some(answer) if self.corrections < MOST_CORRECTIONS => {
                        let offer = self.callee_voice.join(&answer);
                        self.enter(Phase::Bridging);
                        self.callee.reoffer(&offer).await;
                    }
                    _ => self.enter(Phase::Talking),
                }
                None
            }
            (Phase::Joining | Phase::Settling, 491, _) => self.try_again_soon(Side::Agent),
            (Phase::Joining | Phase::Settling, ..) => Some(Cause::AgentFailed(reply)),
            _ => None,
        }
    }

    /// The callee was joined; with `changed`, its media are elsewhere than the agent was told.
    pub(super) async fn settle(&mut self, changed: Option<Description>) -> Option<Cause> {
        match (changed, &mut self.agent) {
            (Some(said), Some(agent)) if self.corrections < MOST_CORRECTIONS => {
                self.corrections += 1;
                let offer = self.agent_voice.join(&said);
                agent.reoffer(&offer).await;
                self.enter(Phase::Settling);
            }
            _ => self.enter(Phase::Talking),
        }
        None
    }
}

/// The Call-ID of the agent's leg.
pub fn call_id(invitation: u32, call: CallId) -> String {
    format!("agent-{invitation}-{call}")
}

/// What the agent is told of the call.
fn headers(order: &CallOrder) -> Vec<Header> {
    let own = [
        ("X-Calltaskd-Call-Id".to_owned(), order.call_id.to_string()),
        ("X-Calltaskd-Task-Id".to_owned(), order.task_id.to_string()),
        ("X-Calltaskd-Callee-Id".to_owned(), order.callee_id.to_string()),
    ];
    let out_id = order.out_id.iter().map(|id| ("X-Calltaskd-Out-Id".to_owned(), id.clone()));
    let variables = order.variables.iter().map(|(key, value)| (format!("X-Calltaskd-Var-{key}"), value.clone()));
    let record = order.agent.sip_headers.iter().map(|(name, value)| (name.clone(), value.clone()));
    let all = own.into_iter().chain(out_id).chain(variables).chain(record);
    all.filter_map(|(name, value)| Header::new(&name, &value)).collect()
}
