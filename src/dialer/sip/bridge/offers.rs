//! Offers that either side makes while they talk, and offers that crossed.

use std::time::Duration;

use tokio::time::Instant;

use super::{Bridge, Cause, Phase, Side};
use crate::dialer::sip::incoming::PeerOffer;
use crate::dialer::sip::media;
use crate::dialer::sip::message::Reply;

/// How long the one who made the Call-ID waits after offers crossed, at least and at most (RFC 3261, section 14.1).
const AFTER_GLARE: (u64, u64) = (2_100, 4_000);

impl Bridge {
    /// A side wants to change the session, or only to hear that it is still there.
    pub(super) async fn on_offer(&mut self, from: Side, offer: PeerOffer) {
        let leg = match from {
            Side::Callee => Some(&self.callee),
            Side::Agent => self.agent.as_ref(),
        };
        let Some(leg) = leg.filter(|_| self.phase == Phase::Talking && self.relayed.is_none()) else {
            return offer.refuse();
        };
        let (said, heard) = (leg.dialog.local_sdp.clone(), leg.dialog.remote_sdp.clone());
        let contact = leg.dialog.contact.clone();
        let (Some(said), Some(heard)) = (said, heard) else { return offer.refuse() };
        match offer.sdp.clone() {
            // Nothing new: the answer is what it was.
            None => offer.accept(&contact, &said),
            Some(new) if media::same_origin(&new, &heard) => offer.accept(&contact, &said),
            Some(new) => self.relay(from, offer, &new).await,
        }
    }

    async fn relay(&mut self, from: Side, offer: PeerOffer, new: &str) {
        self.relayed = Some((from, offer));
        match (from, &mut self.agent) {
            (Side::Callee, Some(agent)) => {
                self.callee.dialog.remote_sdp = Some(new.to_owned());
                let offer = self.agent_voice.pass(new);
                agent.reoffer(&offer).await;
            }
            (Side::Agent, Some(agent)) => {
                agent.dialog.remote_sdp = Some(new.to_owned());
                let offer = self.callee_voice.pass(new);
                self.callee.reoffer(&offer).await;
            }
            (_, None) => drop(self.relayed.take()),
        }
    }

    /// Gives whoever made an offer the other side's answer.
    pub(super) fn pass_back(&mut self, to: Side, offer: PeerOffer, reply: &Reply) {
        let (voice, leg) = match (to, &mut self.agent) {
            (Side::Callee, _) => (&mut self.callee_voice, &mut self.callee),
            (Side::Agent, Some(agent)) => (&mut self.agent_voice, agent),
            (Side::Agent, None) => return,
        };
        match reply.sdp.as_deref().filter(|_| reply.is_success()) {
            Some(answer) => {
                let answer = voice.pass(answer);
                offer.accept(&leg.dialog.contact, &answer);
                leg.dialog.local_sdp = Some(answer);
            }
            None => offer.refuse(),
        }
    }

    /// Offers crossed: ours is made again a little later.
    pub(super) fn try_again_soon(&mut self, side: Side) -> Option<Cause> {
        let (least, most) = AFTER_GLARE;
        let chance = u64::from(self.order.call_id.0.as_u128() as u16) % (most - least);
        self.again = Some((Instant::now() + Duration::from_millis(least + chance), side));
        None
    }

    pub(super) async fn offer_again(&mut self, side: Side) {
        let (leg, voice) = match (side, &mut self.agent) {
            (Side::Callee, _) => (&mut self.callee, &self.callee_voice),
            (Side::Agent, Some(agent)) => (agent, &self.agent_voice),
            (Side::Agent, None) => return,
        };
        leg.reoffer(voice.said()).await;
    }
}
