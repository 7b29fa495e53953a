//! One leg of a call: our dialog with the callee, or with the agent.
//!
//! It knows how a leg is set up, changed and ended, and not what the other leg does: the bridge decides. Whatever state
//! it is in, `release` ends it and waits for the other side's last word.

mod kept;

use std::sync::Arc;

use rsipstack::sip::{Request, Response};
use tokio::sync::mpsc;

use super::dialog::Dialog;
use super::header::Header;
use super::incoming::PeerOffer;
use super::invite::{self, CancelHandle, Outgoing};
use super::message::{self, Reply};
use super::seats::Key;
use super::stack::{Path, Stack};
use super::voice;
use crate::domain::classification::FinalResponse;
use crate::settings::Credentials;
pub use kept::KeptLeg;

/// What happens to a leg, as those tell it who watch the wire.
#[derive(Debug)]
pub(super) enum Signal {
    /// The INVITE went out again, with credentials.
    Renumbered {
        number: u32,
        credentials: Vec<(String, String)>,
    },
    Progress(Box<Response>),
    Final(Box<Response>),
    /// Nothing came, not even after the CANCEL.
    GaveUp,
    HungUp(FinalResponse),
    Offer(PeerOffer),
}

/// What happens to a leg, as the bridge needs it.
#[derive(Debug)]
pub enum Event {
    /// A response that is not the last one.
    Progress(Reply),
    /// The other side answered: it waits for our `ack`.
    Answered(Reply),
    /// The leg never came to be.
    Failed(Reply),
    /// The last response to our new offer; `ack` a success.
    Reoffered(Reply),
    /// The other side hung up, for these reasons.
    HungUp(FinalResponse),
    /// The other side wants to change the session.
    Offer(PeerOffer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The INVITE is in the air.
    Inviting,
    /// It was answered, and the answer not acknowledged yet.
    Answered,
    Up,
    /// It is up, and a new offer of ours is in the air.
    Offering,
    Gone,
}

/// Whom to call, and with what.
#[derive(Debug, Clone)]
pub struct Invitation {
    pub call_id: String,
    pub uri: String,
    /// The user part of our `From`.
    pub from: String,
    /// Its host; without one, what the stack is known by.
    pub from_domain: Option<String>,
    /// Without one, the other side makes the offer.
    pub offer: Option<String>,
    pub headers: Vec<Header>,
    pub credentials: Option<Credentials>,
}

impl Invitation {
    fn begin(&self, stack: &Stack, path: &Path) -> (Dialog, Request) {
        let Self { call_id, uri, from, from_domain, offer, headers, .. } = self;
        let mut dialog = stack.dialog(path, call_id, (from, uri));
        if let Some(domain) = from_domain {
            dialog.local = format!("<sip:{from}@{domain}>");
        }
        let request = dialog.invite(offer.as_deref(), headers);
        (dialog, request)
    }

    /// How long its INVITE is, sent over this path.
    pub fn length(&self, stack: &Stack, path: &Path) -> usize {
        self.begin(stack, path).1.to_string().len()
    }
}

/// What the other side said at the end of a leg.
#[derive(Debug, Default)]
pub struct LastWord {
    /// To an INVITE that was to be taken back.
    pub to_invite: Option<Reply>,
    /// Whether a CANCEL was sent before that.
    pub taken_back: bool,
    pub to_bye: Option<Reply>,
}

/// One leg.
#[derive(Debug)]
pub struct Leg {
    stack: Arc<Stack>,
    pub dialog: Dialog,
    /// How the other side was reached last; a leg that was taken up again has not reached it yet.
    path: Option<Path>,
    state: State,
    /// Whether the other side makes the first offer.
    offerless: bool,
    credentials: Option<Credentials>,
    key: Key,
    sender: mpsc::UnboundedSender<Signal>,
    signals: mpsc::UnboundedReceiver<Signal>,
    cancel: Option<CancelHandle>,
}

impl Drop for Leg {
    fn drop(&mut self) {
        if !self.stack.legs.leave(&self.key) {
            return;
        }
        // An answer may have come that nobody looked at any more.
        self.signals.close();
        while let Ok(signal) = self.signals.try_recv() {
            if let Signal::Final(response) = signal {
                self.abandon(&response);
            }
        }
        self.stack.answers.abandon(&self.dialog.call_id, self.dialog.invite_sequence);
    }
}

impl Leg {
    /// Sends the INVITE over `path`. `None`: nothing was sent.
    pub async fn invite(stack: &Arc<Stack>, path: Path, invitation: Invitation) -> Option<Self> {
        let (dialog, request) = invitation.begin(stack, &path);
        let Invitation { offer, credentials, .. } = invitation;
        let (sender, signals) = mpsc::unbounded_channel();
        let key = (dialog.call_id.clone(), dialog.local_tag.clone());
        stack.legs.enter(key.clone(), sender.clone());
        let mut leg = Self {
            stack: stack.clone(),
            dialog,
            path: Some(path),
            state: State::Inviting,
            offerless: offer.is_none(),
            credentials,
            key,
            sender,
            signals,
            cancel: None,
        };
        leg.cancel = Some(leg.send(request).await?);
        Some(leg)
    }

    /// The way of the next request: a connection may have been closed meanwhile.
    async fn way(&mut self) -> Option<Path> {
        if self.path.as_ref().is_none_or(|path| !path.is_open()) {
            self.reroute().await;
        }
        self.path.clone()
    }

    async fn reroute(&mut self) {
        match self.stack.path_within(&self.dialog).await {
            Ok(path) => self.path = Some(path),
            Err(error) => tracing::debug!(%error, "the other side of a leg cannot be reached"),
        }
    }

    async fn send(&mut self, request: rsipstack::sip::Request) -> Option<CancelHandle> {
        let outgoing = Outgoing {
            stack: self.stack.clone(),
            request,
            path: self.way().await?,
            credentials: self.credentials.clone(),
            signals: self.sender.clone(),
        };
        invite::send(&self.dialog, outgoing).await
    }

    /// After a last response: sends the INVITE again with an offer (RFC 3261, section 8.1.3.5). False: nothing was sent.
    pub async fn invite_again(&mut self, offer: &str, headers: &[Header]) -> bool {
        self.offerless = false;
        self.dialog.credentials.clear();
        let request = self.dialog.invite(Some(offer), headers);
        self.cancel = self.send(request).await;
        if self.cancel.is_some() {
            self.state = State::Inviting;
        }
        self.cancel.is_some()
    }

    /// The next thing that happens. May be dropped at any time.
    pub async fn next(&mut self) -> Event {
        loop {
            // It cannot be closed: the leg itself has a sender.
            let Some(signal) = self.signals.recv().await else { return std::future::pending().await };
            if let Some(event) = self.take(signal) {
                return event;
            }
        }
    }

    fn take(&mut self, signal: Signal) -> Option<Event> {
        match signal {
            Signal::Renumbered { number, credentials } => {
                self.dialog.local_sequence = number;
                self.dialog.invite_sequence = number;
                self.dialog.credentials = credentials;
                None
            }
            Signal::Progress(response) => {
                (self.state == State::Inviting).then(|| Event::Progress(Reply::of(&response)))
            }
            Signal::Final(response) => self.take_final(&response),
            Signal::GaveUp => Some(self.fail(Reply::nothing())),
            Signal::HungUp(reasons) => {
                self.state = State::Gone;
                Some(Event::HungUp(reasons))
            }
            Signal::Offer(offer) => Some(Event::Offer(offer)),
        }
    }

    fn take_final(&mut self, response: &Response) -> Option<Event> {
        let reply = Reply::of(response);
        match self.state {
            State::Inviting if reply.is_success() => {
                self.dialog.confirm(response);
                self.stack.legs.confirm(&self.key, &Dialog::remote_tag(response));
                self.state = State::Answered;
                Some(Event::Answered(reply))
            }
            State::Offering => {
                self.stack.legs.set_offering(&self.key, false);
                self.state = State::Up;
                if reply.is_success() {
                    self.dialog.retarget(response);
                }
                Some(Event::Reoffered(reply))
            }
            State::Inviting => Some(self.fail(reply)),
            State::Answered | State::Up | State::Gone => {
                self.abandon(response);
                None
            }
        }
    }

    /// It came too late for anybody to acknowledge it.
    fn abandon(&self, response: &Response) {
        if let Some((call_id, number, _)) = message::identity(response) {
            self.stack.answers.abandon(&call_id, number);
        }
    }

    fn fail(&mut self, reply: Reply) -> Event {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Offering => {
                self.state = State::Up;
                self.stack.legs.set_offering(&self.key, false);
                Event::Reoffered(reply)
            }
            _ => Event::Failed(reply),
        }
    }

    /// Acknowledges the last answer; with our answer, when it was an offer.
    pub async fn ack(&mut self, answer: Option<&str>) {
        if let Some(answer) = answer {
            self.dialog.local_sdp = Some(answer.to_owned());
        }
        self.reroute().await;
        let ack = self.dialog.ack(answer);
        if let Some(path) = &self.path {
            self.stack.answers.acknowledged(&self.dialog, ack.clone(), path);
            self.stack.tell(ack, path).await;
        }
        if self.state == State::Answered {
            self.state = State::Up;
        }
    }

    /// Makes the other side a new offer; its response comes as an event.
    pub async fn reoffer(&mut self, offer: &str) {
        self.state = State::Offering;
        self.stack.legs.set_offering(&self.key, true);
        self.dialog.credentials.clear();
        let request = self.dialog.invite(Some(offer), &[]);
        match self.send(request).await {
            Some(cancel) => self.cancel = Some(cancel),
            None => drop(self.sender.send(Signal::GaveUp)),
        }
    }

    /// Takes the INVITE back, as soon as that is possible. Its end still comes as an event, and may be an answer.
    pub fn cancel(&self) {
        if let Some(cancel) = self.cancel.as_ref().filter(|_| self.state == State::Inviting) {
            cancel.cancel();
        }
    }

    /// Whether the other side answered, and was acknowledged.
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Ends the leg, whatever state it is in, and waits for the other side's last word.
    pub async fn release(&mut self) -> LastWord {
        let mut last = LastWord::default();
        self.cancel();
        while self.state == State::Inviting {
            if let Event::Answered(reply) | Event::Failed(reply) = self.next().await {
                last.to_invite = Some(reply);
                last.taken_back = self.cancel.as_ref().is_some_and(CancelHandle::has_taken_back);
            }
        }
        if self.state == State::Answered {
            // An offer must be answered: with nothing that could be heard.
            let offer = self.dialog.remote_sdp.as_deref().filter(|_| self.offerless);
            let refusal = offer.and_then(|offer| voice::refusal(offer, self.stack.sink().ip()));
            self.ack(refusal.as_deref()).await;
        }
        if self.state != State::Gone {
            self.state = State::Gone;
            let bye = self.dialog.bye();
            if let Some(path) = self.way().await {
                last.to_bye = Some(self.stack.ask(bye, &path, self.credentials.as_ref()).await);
            }
        }
        last
    }
}

#[cfg(test)]
mod tests;
