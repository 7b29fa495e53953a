//! A leg as it is written down while it is up, and how it goes on from there in another run of the daemon.

use std::sync::Arc;

use rsipstack::sip::Method;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{Leg, Signal, State};
use crate::dialer::sip::dialog::Dialog;
use crate::dialer::sip::peer::Transport;
use crate::dialer::sip::stack::Stack;
use crate::domain::classification::FinalResponse;
use crate::settings::Credentials;

/// How many requests may have been sent in a dialog since it was written down; a CSeq may rise by more than one (RFC 3261,
/// section 12.2.2).
const UNRECORDED: u32 = 8;

/// What says that there is no such dialog any more (RFC 3261, section 12.2.1.2).
const GONE: [u16; 2] = [408, 481];

/// A leg that is up, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptLeg {
    pub dialog: Dialog,
    /// Whether the first ACK carried our answer, or has to.
    offerless: bool,
    acknowledged: bool,
}

impl Leg {
    /// Goes on with a leg that another run of the daemon left up.
    pub fn resume(stack: &Arc<Stack>, kept: KeptLeg, credentials: Option<Credentials>) -> Self {
        let KeptLeg { mut dialog, offerless, acknowledged } = kept;
        // Requests that were sent after it was written down have used up numbers.
        dialog.local_sequence += UNRECORDED;
        let (sender, signals) = mpsc::unbounded_channel();
        let key = (dialog.call_id.clone(), dialog.local_tag.clone());
        stack.legs.enter(key.clone(), sender.clone());
        stack.legs.confirm(&key, &dialog.remote_tag_now());
        let state = if acknowledged { State::Up } else { State::Answered };
        let (stack, cancel) = (stack.clone(), None);
        Self { stack, dialog, path: None, state, offerless, credentials, key, sender, signals, cancel }
    }

    /// Finds the way to the other side again, and acknowledges once more what it may still repeat.
    pub async fn recall(&mut self) {
        let Some(path) = self.way().await else { return };
        self.dialog.sent_by = self.stack.sent_by(&path);
        if self.state != State::Up {
            return;
        }
        let answer = self.dialog.local_sdp.as_deref().filter(|_| self.offerless);
        self.stack.answers.recall(&self.dialog, answer, (&path, UNRECORDED));
    }

    /// What has to be written down so that the leg can be resumed.
    pub fn keep(&self) -> KeptLeg {
        let acknowledged = self.state != State::Answered;
        KeptLeg { dialog: self.dialog.clone(), offerless: self.offerless, acknowledged }
    }

    /// Whether what the other side says is repeated until it is answered: over a connection it is said once.
    pub fn hears_repeats(&self) -> bool {
        self.dialog.peer.transport == Transport::Udp
    }

    /// Asks whether the other side still knows the dialog: its hang-up may have been heard by nobody. If it does not, that
    /// comes as an event.
    pub async fn probe(&mut self) {
        let Some(path) = self.way().await else { return };
        let (stack, signals) = (self.stack.clone(), self.sender.clone());
        let question = self.dialog.question(Method::Options);
        tokio::spawn(async move {
            let reply = stack.ask(question, &path, None).await;
            if reply.local || GONE.contains(&reply.status) {
                // What it says to our question says nothing about how the call went: it was answered, and is over.
                drop(signals.send(Signal::HungUp(FinalResponse::new(200, "OK"))));
            }
        });
    }

    /// Leaves the other side to whoever follows at this address: nothing that it sends is answered any more.
    pub fn hand_over(self) {
        self.stack.legs.fall_silent(&self.key);
    }
}
