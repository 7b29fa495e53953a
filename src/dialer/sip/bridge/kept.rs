//! A call as it is written down while it is up, and how it goes on from there in another run of the daemon.
//!
//! A call that was answered and whose sides had not been joined is joined now; one without an agent is hung up, because
//! its callee has heard nothing since.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Bridge, Cause, Finish, Phase, Strategy, Surroundings};
use crate::dialer::sip::keeper::Keeping;
use crate::dialer::sip::leg::{KeptLeg, Leg};
use crate::dialer::sip::message::Reply;
use crate::dialer::sip::voice::Voice;
use crate::domain::ids::{CallId, TrunkName};
use crate::settings::Credentials;

/// As long as a hang-up is repeated (64*T1): after a longer silence of ours a side may have gone without our hearing it.
const REPEATED: Duration = Duration::from_secs(30);

/// An answered call: both dialogs, and what its end will need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptCall {
    pub trunk: TrunkName,
    pub started_at: DateTime<Utc>,
    ringing_at: Option<DateTime<Utc>>,
    answered_at: DateTime<Utc>,
    /// When the talk has to be over.
    talk_ends_at: DateTime<Utc>,
    callee: KeptLeg,
    agent: Option<KeptLeg>,
    /// Both sides know where the other's media are.
    joined: bool,
}

impl KeptCall {
    /// The URI by which the callee's side will look for us.
    pub fn address(&self) -> &str {
        self.callee.dialog.contact.trim_matches(['<', '>'])
    }
}

impl Bridge {
    /// Has the call written down as it is now, once it was answered.
    pub(super) fn keep(&mut self) {
        let Some(answered_at) = self.answered_at else { return };
        let left = self.talk_ends.saturating_duration_since(Instant::now());
        let kept = KeptCall {
            trunk: self.around.trunk.clone(),
            started_at: self.around.started_at,
            ringing_at: self.ringing_at,
            answered_at,
            talk_ends_at: self.around.clock.now() + TimeDelta::from_std(left).unwrap_or_default(),
            callee: self.callee.keep(),
            agent: self.agent.as_ref().filter(|agent| agent.is_up()).map(Leg::keep),
            joined: matches!(self.phase, Phase::Talking | Phase::Settling),
        };
        self.around.keeper.keep(self.call, kept, &mut self.keeping);
    }

    pub fn call_id(&self) -> CallId {
        self.call
    }

    pub fn started_at(&self) -> DateTime<Utc> {
        self.around.started_at
    }

    /// Goes on with a call that another run of the daemon left up. It can be spoken to as soon as this returns.
    pub fn resume(around: Surroundings, call: CallId, kept: KeptCall, trunk: Option<Credentials>) -> Self {
        let (stack, sink) = (around.stack.clone(), around.sink);
        let voice = |leg: Option<&KeptLeg>| {
            let said = leg.and_then(|leg| leg.dialog.local_sdp.as_deref());
            said.and_then(|said| Voice::resume(said, sink)).unwrap_or_else(|| around.voice())
        };
        let (callee_voice, agent_voice) = (voice(Some(&kept.callee)), voice(kept.agent.as_ref()));
        let left = (kept.talk_ends_at - around.clock.now()).to_std().unwrap_or_default();
        let talk_ends = Instant::now() + left;
        Self {
            call,
            order: None,
            keeping: Keeping::default(),
            callee: Leg::resume(&stack, kept.callee, trunk),
            agent: kept.agent.map(|agent| Leg::resume(&stack, agent, None)),
            callee_voice,
            agent_voice,
            began: Instant::now(),
            phase: if kept.joined { Phase::Talking } else { Phase::Inviting },
            // What is left to be joined gets offers of ours.
            strategy: Strategy::Placeholder,
            deadline: talk_ends,
            talk_ends,
            again: None,
            relayed: None,
            heard: true,
            ringing_at: kept.ringing_at,
            answered_at: Some(kept.answered_at),
            wants_offers: false,
            agent_invitations: 0,
            corrections: 0,
            callee_headers: Vec::new(),
            around,
        }
    }

    /// Lives a resumed call to its end. `silence`: how long nobody has been there, where that is known.
    pub async fn run_on(mut self, silence: Option<Duration>) -> Finish {
        self.callee.recall().await;
        if let Some(agent) = &mut self.agent {
            agent.recall().await;
        }
        let long = silence.is_none_or(|silence| silence > REPEATED);
        if long || !self.callee.hears_repeats() {
            self.callee.probe().await;
        }
        if let Some(agent) = self.agent.as_mut().filter(|agent| long || !agent.hears_repeats()) {
            agent.probe().await;
        }
        if self.phase == Phase::Inviting {
            if self.agent.is_none() {
                return self.finish(Cause::AgentFailed(Reply::nothing())).await;
            }
            self.join().await;
        }
        self.keep();
        self.run().await
    }

    /// Leaves both sides to whoever follows at this address.
    pub(super) fn hand_over(self) {
        self.callee.hand_over();
        if let Some(agent) = self.agent {
            agent.hand_over();
        }
    }
}
