//! Offers that either side makes while they talk, and offers that crossed.

use std::time::Duration;

use tokio::time::Instant;

use super::{Bridge, Cause, Phase, Side};
use crate::dialer::sip::incoming::PeerOffer;
use crate::dialer::sip::message::Reply;
use crate::dialer::sip::sdp::Description;
use crate::dialer::sip::voice::heard;

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
        let (said, known) = (leg.dialog.local_sdp.clone(), heard(leg.dialog.remote_sdp.as_deref()));
        let contact = leg.dialog.contact.clone();
        let (Some(said), Some(known)) = (said, known) else { return offer.refuse() };
        let asked = offer.sdp.is_none();
        match heard(offer.sdp.as_deref()) {
            // Nothing new: what was said holds.
            None if asked => offer.accept(&contact, &said),
            Some(new) if new.is_same_version(&known) => offer.accept(&contact, &said),
            Some(new) => self.relay(from, offer, &new).await,
            None => offer.refuse(),
        }
    }

    async fn relay(&mut self, from: Side, offer: PeerOffer, new: &Description) {
        self.relayed = Some((from, offer));
        match (from, &mut self.agent) {
            (Side::Callee, Some(agent)) => agent.reoffer(&self.agent_voice.pass(new)).await,
            (Side::Agent, Some(_)) => self.callee.reoffer(&self.callee_voice.pass(new)).await,
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
        let answer = heard(reply.sdp.as_deref()).filter(|_| reply.is_success());
        match answer.zip(heard(offer.sdp.as_deref())) {
            Some((answer, asked)) => {
                let answer = voice.answer(&answer, &asked);
                leg.dialog.remote_sdp.clone_from(&offer.sdp);
                offer.accept(&leg.dialog.contact, &answer);
                leg.dialog.local_sdp = Some(answer);
                self.keep();
            }
            None => offer.refuse(),
        }
    }

    /// Offers crossed: ours is made again a little later.
    pub(super) fn try_again_soon(&mut self, side: Side) -> Option<Cause> {
        let (least, most) = AFTER_GLARE;
        let chance = u64::from(self.call.0.as_u128() as u16) % (most - least);
        self.again = Some((Instant::now() + Duration::from_millis(least + chance), side));
        None
    }

    pub(super) async fn offer_again(&mut self, side: Side) {
        let (leg, voice) = match (side, &mut self.agent) {
            (Side::Callee, _) => (&mut self.callee, &self.callee_voice),
            (Side::Agent, Some(agent)) => (agent, &self.agent_voice),
            (Side::Agent, None) => return,
        };
        leg.reoffer(&voice.said().to_string()).await;
    }
}
