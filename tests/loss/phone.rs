//! All phones of one side of the daemon, which a network may do anything to but spoil a message (RFC 3261, sections 13.3.1.4
//! and 17): a last response to an INVITE is repeated until its ACK comes, a repeated request gets the same response again, a
//! BYE is repeated until it is answered. What is not heard within 64*T1 is a fault of the daemon.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::manners::{self, Ending};
use crate::message::{Message, described};
use crate::network::Network;
use crate::witness::{Call, Witness, now};

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const GIVEN_UP: Duration = Duration::from_secs(32);

/// Which side of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Carrier,
    Agent,
}

impl Side {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Carrier => "carrier",
            Self::Agent => "agent",
        }
    }

    /// Where its phones say that they want audio.
    pub const fn media(self) -> u16 {
        match self {
            Self::Carrier => 40_000,
            Self::Agent => 50_000,
        }
    }
}

/// What a message is repeated for: the ACK to a response or the response to a BYE, with its number.
type Heard = (String, &'static str, u32);

struct Repeat {
    until: Heard,
    text: String,
    to: SocketAddr,
    at: Instant,
    pause: Duration,
    ends: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    Answer,
    HangUp,
}

/// The phones of one side.
pub struct Phone {
    side: Side,
    port: u16,
    network: Network,
    witness: Witness,
    /// The last response to each request, by branch and method.
    responses: HashMap<(String, String), String>,
    /// The INVITE that began each call, and who sent it.
    invites: HashMap<String, (Message, SocketAddr)>,
    repeats: Vec<Repeat>,
    plans: Vec<(Instant, String, Deed)>,
}

impl Phone {
    /// Plays until the test ends.
    pub async fn plug_in(side: Side, port: u16, seed: u64) -> Witness {
        let network = Network::open(side.name(), port, seed).await;
        let witness = Witness::default();
        let (responses, invites, repeats, plans) = Default::default();
        let phone = Self { side, port, network, witness: witness.clone(), responses, invites, repeats, plans };
        tokio::spawn(phone.play());
        witness
    }

    async fn play(mut self) {
        loop {
            let times = self.repeats.iter().map(|repeat| repeat.at).chain(self.plans.iter().map(|(at, ..)| *at));
            let next = times.min().unwrap_or_else(|| Instant::now() + T2);
            tokio::select! {
                (message, from) = self.network.receive() => self.take(message, from).await,
                () = tokio::time::sleep_until(next) => self.on_time().await,
            }
            let mut seen = self.witness.seen();
            seen.unheard = self.repeats.len();
            (seen.incoming, seen.outgoing) = (self.network.incoming, self.network.outgoing);
        }
    }

    fn fault(&self, text: String) {
        self.witness.seen().faults.push(format!("{}: {text}", self.side.name()));
    }

    async fn on_time(&mut self) {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.plans).into_iter().partition(|(at, ..)| *at <= now);
        self.plans = later;
        for (_, call_id, deed) in due {
            self.carry_out(&call_id, deed).await;
        }
        let (due, later) = std::mem::take(&mut self.repeats).into_iter().partition(|repeat| repeat.at <= now);
        self.repeats = later;
        for repeat in due {
            if repeat.ends <= now {
                self.fault(format!("{:?} never came", repeat.until));
                continue;
            }
            self.say(&repeat.text, repeat.to).await;
            let pause = (repeat.pause * 2).min(T2);
            self.repeats.push(Repeat { at: now + pause, pause, ..repeat });
        }
    }

    /// Sends, and notes when it was heard first.
    async fn say(&mut self, text: &str, to: SocketAddr) {
        let arrives = self.network.send(text, to).await;
        let message = Message::read(text.as_bytes());
        let what =
            message.status().map_or(message.method().to_owned(), |status| format!("{status} {}", message.method()));
        if let Some(call) = self.witness.seen().calls.get_mut(message.call_id()).filter(|_| arrives) {
            call.said.entry(what).or_insert_with(now);
        }
    }

    /// Sends again and again, until it is heard.
    async fn insist(&mut self, text: String, to: SocketAddr, until: Heard) {
        self.say(&text, to).await;
        let at = Instant::now();
        self.repeats.push(Repeat { until, text, to, at: at + T1, pause: T1, ends: at + GIVEN_UP });
    }

    fn is_heard(&mut self, heard: &Heard) -> bool {
        let before = self.repeats.len();
        self.repeats.retain(|repeat| repeat.until != *heard);
        self.repeats.len() < before
    }

    async fn take(&mut self, message: Message, from: SocketAddr) {
        let (call_id, number) = (message.call_id().to_owned(), message.number());
        if let Some(status) = message.status() {
            if message.method() != "BYE" || status != 200 {
                self.fault(format!("an unwanted response: {message:?}"));
            }
            self.is_heard(&(call_id, "200 to BYE", number));
            return;
        }
        if message.method() == "ACK" {
            return self.on_ack(&call_id, number);
        }
        let transaction = (message.branch().to_owned(), message.method().to_owned());
        if let Some(response) = self.responses.get(&transaction).cloned() {
            self.witness.seen().repeated_requests += 1;
            return self.say(&response, from).await;
        }
        match message.method() {
            "INVITE" if message.is_within_dialog() => self.on_offer(&message, from).await,
            "INVITE" => self.on_invite(message, from).await,
            "CANCEL" => self.on_cancel(&message, from).await,
            "BYE" => self.on_bye(&message, from).await,
            _ => self.fault(format!("an unwanted request: {message:?}")),
        }
    }

    fn tag(&self, call_id: &str) -> String {
        format!("{}{call_id}", self.side.name())
    }

    /// Responds to a request; the last response to an INVITE is repeated until it is acknowledged.
    async fn respond(&mut self, (request, to): (&Message, SocketAddr), status: &str, more: &str) {
        let more = if more.contains("\r\n\r\n") { more.to_owned() } else { format!("{more}Content-Length: 0\r\n\r\n") };
        let text = request.response(status, &self.tag(request.call_id()), &more);
        self.responses.insert((request.branch().to_owned(), request.method().to_owned()), text.clone());
        if request.method() == "INVITE" && !status.starts_with('1') {
            return self.insist(text, to, (request.call_id().to_owned(), "ACK", request.number())).await;
        }
        self.say(&text, to).await;
    }

    async fn on_invite(&mut self, invite: Message, from: SocketAddr) {
        let (call_id, callee) = (invite.call_id().to_owned(), invite.callee());
        {
            let mut seen = self.witness.seen();
            let call =
                seen.calls.entry(call_id.clone()).or_insert_with(|| Call { callee: callee.clone(), ..Call::default() });
            call.branches.insert(invite.branch().to_owned());
        }
        self.invites.insert(call_id.clone(), (invite.clone(), from));
        let request = (&invite, from);
        match (self.side, Ending::of(&callee)) {
            (Side::Carrier, Ending::Challenged) if invite.find("Proxy-Authorization").is_none() => {
                let challenge =
                    "Proxy-Authenticate: Digest realm=\"trunk\",nonce=\"one\",algorithm=MD5,qop=\"auth\"\r\n";
                self.respond(request, "407 Proxy Authentication Required", challenge).await;
            }
            (Side::Carrier, Ending::CalleeBusy) | (Side::Agent, Ending::AgentBusy) => {
                self.respond(request, "486 Busy Here", "").await;
            }
            (Side::Carrier, ending) => {
                self.respond(request, "180 Ringing", "").await;
                if ending != Ending::RingsOn {
                    self.plans.push((Instant::now() + manners::ring(&callee), call_id, Deed::Answer));
                }
            }
            (Side::Agent, _) => self.answer(request).await,
        }
    }

    async fn answer(&mut self, request: (&Message, SocketAddr)) {
        let description = described(self.side.name(), self.port, self.side.media());
        self.respond(request, "200 OK", &description).await;
    }

    async fn on_offer(&mut self, offer: &Message, from: SocketAddr) {
        if !self.invites.contains_key(offer.call_id()) {
            return self.fault(format!("an offer in a dialog that nobody knows: {offer:?}"));
        }
        if let Some(call) = self.witness.seen().calls.get_mut(offer.call_id()) {
            call.offers.insert(offer.body.clone());
        }
        self.answer((offer, from)).await;
    }

    fn on_ack(&mut self, call_id: &str, number: u32) {
        if !self.is_heard(&(call_id.to_owned(), "ACK", number)) {
            return;
        }
        let Some((invite, _)) = self.invites.get(call_id) else { return };
        let (callee, is_first) = (invite.callee(), invite.number() == number);
        let ending = Ending::of(&callee);
        let mut seen = self.witness.seen();
        let call = seen.calls.get_mut(call_id).unwrap();
        if !call.said.contains_key("200 INVITE") {
            // It was refused; or challenged, and comes again.
            call.is_over = !call.said.contains_key("407 INVITE");
            return;
        }
        let hangs_up = match self.side {
            // When it hears the agent.
            Side::Carrier => ending == Ending::CalleeHangsUp && !is_first,
            Side::Agent => matches!(ending, Ending::AgentHangsUp | Ending::Challenged),
        };
        if hangs_up {
            self.plans.push((Instant::now() + manners::talk(&callee), call_id.to_owned(), Deed::HangUp));
        }
    }

    async fn on_cancel(&mut self, cancel: &Message, from: SocketAddr) {
        self.respond((cancel, from), "200 OK", "").await;
        let Some((invite, from)) = self.invites.get(cancel.call_id()).cloned() else {
            return self.fault(format!("a CANCEL of nothing: {cancel:?}"));
        };
        if invite.branch() != cancel.branch() {
            return self.fault(format!("a CANCEL of something else: {cancel:?}"));
        }
        self.respond((&invite, from), "487 Request Terminated", "").await;
    }

    async fn on_bye(&mut self, bye: &Message, from: SocketAddr) {
        self.respond((bye, from), "200 OK", "").await;
        self.end(bye.call_id());
    }

    /// The dialog is over: what is still to be acknowledged need not be.
    fn end(&mut self, call_id: &str) {
        self.repeats.retain(|repeat| repeat.until.0 != call_id || repeat.until.1 != "ACK");
        self.plans.retain(|(_, planned, _)| planned != call_id);
        let mut seen = self.witness.seen();
        if let Some(call) = seen.calls.get_mut(call_id) {
            call.is_over = true;
        } else {
            seen.faults.push(format!("{}: the end of a call that never was: {call_id}", self.side.name()));
        }
    }

    async fn carry_out(&mut self, call_id: &str, deed: Deed) {
        let (invite, from) = self.invites[call_id].clone();
        match deed {
            Deed::Answer => self.answer((&invite, from)).await,
            Deed::HangUp => {
                self.end(call_id);
                let bye = invite.bye(&self.tag(call_id), self.port);
                self.insist(bye, from, (call_id.to_owned(), "200 to BYE", 1)).await;
            }
        }
    }
}
