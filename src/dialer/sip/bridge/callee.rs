//! What happens on the callee's leg.

use super::{Bridge, Cause, Phase, Side, Strategy};
use crate::dialer::sip::leg::Event;
use crate::dialer::sip::message::Reply;
use crate::dialer::sip::voice::heard;
use crate::domain::call::HangupBy;
use crate::domain::classification::FinalResponse;

/// What trunks say to an INVITE without an offer, when they do not want one.
const WANTS_AN_OFFER: [u16; 5] = [400, 415, 488, 500, 606];

impl Bridge {
    pub(super) async fn on_callee(&mut self, event: Event) -> Option<Cause> {
        match event {
            Event::Progress(reply) => {
                self.on_progress(&reply).await;
                None
            }
            Event::Answered(reply) => self.on_callee_answered(reply).await,
            Event::Failed(reply) => self.on_callee_failed(reply).await,
            Event::Reoffered(reply) => self.on_callee_reoffered(reply).await,
            Event::HungUp(reasons) => {
                // Who hangs up has answered, also where the answer is not dealt with yet.
                let now = self.around.clock.now();
                self.answered_at.get_or_insert(now);
                Some(Cause::Talked(HangupBy::Callee, reasons))
            }
            Event::Offer(offer) => {
                self.on_offer(Side::Callee, offer).await;
                None
            }
        }
    }

    async fn on_progress(&mut self, reply: &Reply) {
        self.heard = true;
        if !(180..190).contains(&reply.status) {
            return;
        }
        let now = self.around.clock.now();
        self.ringing_at.get_or_insert(now);
        self.around.gate.well();
        if self.strategy == Strategy::AgentFirst && self.agent.is_none() && self.agent_invitations == 0 {
            let offer = self.agent_voice.said().to_string();
            self.invite_agent(offer).await;
        }
    }

    async fn on_callee_answered(&mut self, reply: Reply) -> Option<Cause> {
        self.answered_at = Some(self.around.clock.now());
        self.around.setup.record(self.began.elapsed());
        self.around.gate.well();
        if let Some(order) = &self.order {
            self.talk_ends = tokio::time::Instant::now() + order.max_talk;
        }
        self.enter(Phase::Inviting);
        let late = self.strategy == Strategy::Late;
        if !late {
            self.callee.ack(None).await;
        }
        // Nothing that could be passed on: the agent is not even rung.
        let Some(said) = heard(reply.sdp.as_deref()) else { return Some(Cause::MediaMismatch) };
        let fits = if late { said.joins(&said) } else { said.answers(self.callee_voice.said()) };
        if let Err(clash) = fits {
            tracing::warn!(call = %self.call, %clash, "the callee's media cannot be connected");
            return Some(Cause::MediaMismatch);
        }
        match &self.agent {
            Some(agent) if agent.is_up() => self.join().await,
            // It is on its way, with a placeholder: it gets the callee's offer when it has answered.
            Some(_) => {}
            None => {
                if self.strategy == Strategy::AgentFirst {
                    self.strategy = Strategy::Placeholder;
                }
                let offer = self.agent_voice.join(&said);
                return self.invite_agent(offer).await;
            }
        }
        None
    }

    async fn on_callee_failed(&mut self, reply: Reply) -> Option<Cause> {
        let refused_without_offer =
            self.strategy == Strategy::Late && !reply.local && WANTS_AN_OFFER.contains(&reply.status);
        if !refused_without_offer {
            return Some(Cause::Refused(reply));
        }
        // A last response was given, so another INVITE may follow.
        self.wants_offers = true;
        self.strategy = Strategy::Placeholder;
        let offer = self.callee_voice.said().to_string();
        let sent = self.callee.invite_again(&offer, &self.callee_headers).await;
        (!sent).then_some(Cause::Refused(reply))
    }

    async fn on_callee_reoffered(&mut self, reply: Reply) -> Option<Cause> {
        if reply.is_success() {
            self.callee.ack(None).await;
        }
        if let Some((Side::Agent, offer)) = self.relayed.take_if(|(side, _)| *side == Side::Agent) {
            self.pass_back(Side::Agent, offer, &reply);
            return None;
        }
        if self.phase != Phase::Bridging {
            return None;
        }
        match (reply.status, reply.sdp.clone()) {
            (200..300, answer) => {
                let agreed = self.agent.as_ref().and_then(|agent| heard(agent.dialog.remote_sdp.as_deref()));
                let (told, now) = (self.agent_voice.said(), heard(answer.as_deref()));
                let moved = now.filter(|now| agreed.is_some_and(|agreed| now.moved(told, &agreed).is_some()));
                self.settle(moved).await
            }
            (491, _) => self.try_again_soon(Side::Callee),
            // It has hung up, and this word of it overtook its BYE (RFC 3261, section 12.2.1.2).
            (481, _) => Some(Cause::Talked(HangupBy::Callee, FinalResponse::new(200, "OK"))),
            _ => Some(Cause::AgentFailed(reply)),
        }
    }
}
