//! All phones: what they hear, what they say, and what they write down first.
//!
//! Whatever is there to be read is dealt with; then all lines of it go to the disk in one write; then all is said that is to be
//! said. So one write serves many calls, and nobody hears what is not written down.

use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::ear::{Datagram, Ear};
use super::leg::{Leg, Side, State, attempt, user};
use super::message::{Message, described};
use super::repeats::{Due, Heard, Repeats};
use super::timers::{Deed, Timers};
use super::{IDLE, Mood};
use crate::book::{Book, now};
use crate::plan::Ending;

/// How long a phone rings, and anybody waits for the other side to hang up: longer than a suspended daemon is away.
const RINGS_AT_MOST: Duration = Duration::from_secs(38);
const TALKS_AT_MOST: Duration = Duration::from_secs(40);
/// How it refuses when it has too much to do.
const OVERLOADED: &str = "503 Service Unavailable";
/// How long requests of a call that is over are still known.
const REMEMBERED: Duration = Duration::from_secs(70);

enum Input {
    Heard { side: Side, message: Message, from: SocketAddr, at: i64 },
    Is(Mood),
    Stop,
}

pub struct Exchange {
    sockets: [UdpSocket; 2],
    ports: [u16; 2],
    inputs: (Sender<Input>, Receiver<Input>),
    book: Book,
    seed: u64,
    mood: Mood,
    /// Branches of INVITEs that came while nothing was heard.
    unheard: HashSet<String>,
    legs: HashMap<String, Leg>,
    /// The last response to each request of a call, by branch and method.
    responses: HashMap<String, HashMap<(String, String), String>>,
    repeats: Repeats,
    timers: Timers,
    lines: Vec<Value>,
    outgoing: Vec<(Side, String, SocketAddr)>,
}

impl Exchange {
    pub fn open(sockets: [UdpSocket; 2], book: Book, seed: u64) -> Self {
        let ports = [0, 1].map(|side: usize| sockets[side].local_addr().unwrap().port());
        let inputs = channel();
        for (side, socket) in [Side::Callee, Side::Agent].into_iter().zip(&sockets) {
            let (ear, inputs) = (Ear::of(socket), inputs.0.clone());
            std::thread::spawn(move || listen(side, &ear, &inputs));
        }
        let (mood, unheard) = (Mood::Well, HashSet::new());
        let (legs, responses, repeats, timers, lines, outgoing) = Default::default();
        Self { sockets, ports, inputs, book, seed, mood, unheard, legs, responses, repeats, timers, lines, outgoing }
    }

    /// Takes orders: a mood, and `None` ends the playing.
    pub fn orders(&self) -> impl Fn(Option<Mood>) + use<> {
        let inputs = self.inputs.0.clone();
        move |order| drop(inputs.send(order.map_or(Input::Stop, Input::Is)))
    }

    pub fn play(mut self) {
        loop {
            let wait = self.timers.wait().unwrap_or(IDLE);
            let mut input = match self.inputs.1.recv_timeout(wait) {
                Ok(input) => Some(input),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            while let Some(next) = input {
                match next {
                    Input::Heard { side, message, from, at } if self.mood == Mood::Deaf => {
                        self.miss(side, (message, from), at)
                    }
                    Input::Heard { side, message, from, at } => self.take(side, (message, from), at),
                    Input::Is(mood) => self.mood = mood,
                    Input::Stop => return,
                }
                input = self.inputs.1.try_recv().ok();
            }
            self.on_time();
            self.book.write(&std::mem::take(&mut self.lines));
            for (side, text, to) in std::mem::take(&mut self.outgoing) {
                drop(self.sockets[side as usize].send_to(text.as_bytes(), to));
            }
        }
    }

    fn on_time(&mut self) {
        while let Some((call_id, deed)) = self.timers.next() {
            match deed {
                Deed::Decide => self.decide(&call_id),
                Deed::RingOut => self.refuse(&call_id, "480 Temporarily Unavailable", "RANG_OUT"),
                Deed::HangUp => self.hang_up(&call_id),
                Deed::Repeat(heard) => self.repeat(&call_id, heard),
                Deed::Forget => {
                    self.legs.remove(&call_id);
                    self.responses.remove(&call_id);
                }
            }
        }
    }

    fn after(&mut self, time: Duration, call_id: &str, deed: Deed) {
        self.timers.set(Instant::now() + time, call_id, deed);
    }

    /// A line about a call, with what is told of it beside.
    fn note(&mut self, (side, event, call_id): (Side, &str, &str), at: i64, more: Value) {
        let mut line = more;
        line["event"] = json!(format!("{}{event}", side.mark()));
        line["callId"] = json!(attempt(call_id));
        line["at"] = json!(at);
        self.lines.push(line);
    }

    /// What comes while nothing is heard is lost. That a call was sent is written down all the same: it counts.
    fn miss(&mut self, side: Side, (message, from): (Message, SocketAddr), at: i64) {
        let is_new = message.status().is_none() && message.method() == "INVITE" && !message.is_within_dialog();
        let is_known = self.legs.get(message.call_id()).is_some_and(|leg| leg.invite.branch() == message.branch());
        if side == Side::Callee && is_new && !is_known && self.unheard.insert(message.branch().to_owned()) {
            self.note_invite(side, (&message, from), (at, json!({"unheard": "the carrier was away"})));
        }
    }

    fn take(&mut self, side: Side, (message, from): (Message, SocketAddr), at: i64) {
        let (call_id, method) = (message.call_id().to_owned(), message.method().to_owned());
        if let Some(status) = message.status() {
            if self.repeats.hear(&call_id, Heard::Bye) {
                self.note((side, "SETTLED", &call_id), at, json!({"bye": status}));
            }
            return;
        }
        if method == "ACK" {
            return self.on_ack(side, &message, at);
        }
        let transaction = (message.branch().to_owned(), method.clone());
        if let Some(response) = self.responses.get(&call_id).and_then(|said| said.get(&transaction)) {
            return self.outgoing.push((side, response.clone(), from));
        }
        let request = (&message, from);
        match method.as_str() {
            "INVITE" if !message.is_within_dialog() => self.on_invite(side, (message, from), at),
            // Asked whether the dialog is known, or whether anybody is there.
            "OPTIONS" if !message.is_within_dialog() || self.is_up(&call_id) => self.respond(side, request, "200 OK"),
            "INVITE" if self.is_up(&call_id) => self.answer(side, request),
            "CANCEL" => self.on_cancel(side, request, at),
            "BYE" if self.legs.contains_key(&call_id) => {
                self.respond(side, request, "200 OK");
                self.end(&call_id, at, ("ANSWERED", "DAEMON"));
            }
            _ => self.respond(side, request, "481 Call/Transaction Does Not Exist"),
        }
    }

    fn is_up(&self, call_id: &str) -> bool {
        self.legs.get(call_id).is_some_and(|leg| leg.state == State::Answered)
    }

    fn on_invite(&mut self, side: Side, (invite, from): (Message, SocketAddr), at: i64) {
        let call_id = invite.call_id().to_owned();
        self.note_invite(side, (&invite, from), (at, json!({})));
        let leg = Leg::new(side, (invite.clone(), from), self.seed);
        let lot = leg.lot;
        self.legs.insert(call_id.clone(), leg);
        if side == Side::Agent {
            return self.pick_up(&call_id);
        }
        if self.mood == Mood::Overloaded {
            self.end(&call_id, now(), ("NETWORK_BUSY", OVERLOADED));
            return self.say(side, (&invite, from), (OVERLOADED, "Retry-After: 2\r\nContent-Length: 0\r\n\r\n"));
        }
        self.respond(side, (&invite, from), "180 Ringing");
        match lot.ending {
            Ending::RingsOn => self.after(RINGS_AT_MOST, &call_id, Deed::RingOut),
            _ => self.after(lot.ring, &call_id, Deed::Decide),
        }
    }

    fn note_invite(&mut self, side: Side, (invite, from): (&Message, SocketAddr), (at, mut more): (i64, Value)) {
        more["calledNumber"] = json!(invite.find("To").map(user).unwrap_or_default());
        more["callerNumber"] = json!(invite.find("From").map(user).unwrap_or_default());
        more["taskId"] = json!(invite.find("X-Calltaskd-Task-Id"));
        more["branch"] = json!(invite.branch());
        more["from"] = json!(from.port());
        self.note((side, "INVITE", invite.call_id()), at, more);
    }

    fn decide(&mut self, call_id: &str) {
        match self.legs.get(call_id).filter(|leg| leg.state == State::Ringing).map(|leg| leg.lot.ending) {
            Some(Ending::Answers) => self.pick_up(call_id),
            Some(Ending::IsBusy) => self.refuse(call_id, "486 Busy Here", "USER_BUSY"),
            Some(Ending::IsUnknown) => self.refuse(call_id, "404 Not Found", "INVALID_NUMBER"),
            Some(Ending::RingsOn) | None => {}
        }
    }

    fn pick_up(&mut self, call_id: &str) {
        let Some(leg) = self.legs.get_mut(call_id) else { return };
        leg.state = State::Answered;
        let (side, invite, from) = (leg.side, leg.invite.clone(), leg.from);
        self.note((side, "ANSWERED", call_id), now(), json!({}));
        self.answer(side, (&invite, from));
        self.after(TALKS_AT_MOST, call_id, Deed::HangUp);
    }

    fn answer(&mut self, side: Side, request: (&Message, SocketAddr)) {
        let more = described("phone", self.ports[side as usize], 40_000 + 10_000 * side as u16);
        self.say(side, request, ("200 OK", &more));
    }

    fn refuse(&mut self, call_id: &str, status: &str, result: &'static str) {
        let Some(leg) = self.legs.get(call_id).filter(|leg| leg.state == State::Ringing) else { return };
        let (side, invite, from) = (leg.side, leg.invite.clone(), leg.from);
        self.end(call_id, now(), (result, status));
        self.respond(side, (&invite, from), status);
    }

    fn respond(&mut self, side: Side, request: (&Message, SocketAddr), status: &str) {
        self.say(side, request, (status, "Content-Length: 0\r\n\r\n"));
    }

    /// Responds; the last response to an INVITE is repeated until it is acknowledged.
    fn say(&mut self, side: Side, (request, to): (&Message, SocketAddr), (status, more): (&str, &str)) {
        let call_id = request.call_id();
        let text = request.response(status, attempt(call_id), more);
        let transaction = (request.branch().to_owned(), request.method().to_owned());
        // Of a call that nobody knows nothing is kept, because nobody would forget it.
        if self.legs.contains_key(call_id) {
            self.responses.entry(call_id.to_owned()).or_default().insert(transaction, text.clone());
            if request.method() == "INVITE" && !status.starts_with('1') {
                let until = Heard::Ack(request.number());
                let at = self.repeats.add(call_id, until, (text.clone(), to));
                self.timers.set(at, call_id, Deed::Repeat(until));
            }
        }
        self.outgoing.push((side, text, to));
    }

    fn on_ack(&mut self, side: Side, ack: &Message, at: i64) {
        let call_id = ack.call_id();
        if !self.repeats.hear(call_id, Heard::Ack(ack.number())) {
            return;
        }
        let Some(leg) = self.legs.get_mut(call_id).filter(|leg| leg.invite.number() == ack.number()) else { return };
        let hangs_up = leg.state == State::Answered && leg.lot.hangs_up(side);
        leg.is_acknowledged = true;
        let talk = leg.lot.talk;
        self.note((side, "ACKED", call_id), at, json!({}));
        if hangs_up {
            self.after(talk, call_id, Deed::HangUp);
        }
    }

    fn on_cancel(&mut self, side: Side, (cancel, from): (&Message, SocketAddr), at: i64) {
        let call_id = cancel.call_id();
        let Some(leg) = self.legs.get(call_id).filter(|leg| leg.invite.branch() == cancel.branch()) else {
            return self.respond(side, (cancel, from), "481 Call/Transaction Does Not Exist");
        };
        let (state, invite, to) = (leg.state, leg.invite.clone(), leg.from);
        self.note((side, "CANCEL", call_id), at, json!({}));
        self.respond(side, (cancel, from), "200 OK");
        if state == State::Ringing {
            self.end(call_id, at, ("CANCELLED", "487"));
            self.respond(side, (&invite, to), "487 Request Terminated");
        }
    }

    /// The call is over on this side: what is still to be acknowledged of it need not be.
    fn end(&mut self, call_id: &str, at: i64, (result, how): (&str, &str)) {
        let Some(leg) = self.legs.get_mut(call_id).filter(|leg| leg.state != State::Over) else { return };
        leg.state = State::Over;
        let (side, number, is_acknowledged) = (leg.side, leg.invite.number(), leg.is_acknowledged);
        self.repeats.hear(call_id, Heard::Ack(number));
        let more = json!({"result": result, "how": how, "acknowledged": is_acknowledged});
        self.note((side, "ENDED", call_id), at, more);
        self.after(REMEMBERED, call_id, Deed::Forget);
    }

    fn hang_up(&mut self, call_id: &str) {
        let Some(leg) = self.legs.get(call_id).filter(|leg| leg.state == State::Answered) else { return };
        let bye = leg.invite.bye(attempt(call_id), self.ports[leg.side as usize]);
        let (side, to) = (leg.side, leg.from);
        self.end(call_id, now(), ("ANSWERED", if side == Side::Callee { "CALLEE" } else { "AGENT" }));
        let at = self.repeats.add(call_id, Heard::Bye, (bye.clone(), to));
        self.timers.set(at, call_id, Deed::Repeat(Heard::Bye));
        self.outgoing.push((side, bye, to));
    }

    fn repeat(&mut self, call_id: &str, heard: Heard) {
        let Some(side) = self.legs.get(call_id).map(|leg| leg.side) else { return };
        match self.repeats.look(call_id, heard) {
            Due::Again { text, to, at } => {
                self.outgoing.push((side, text, to));
                self.timers.set(at, call_id, Deed::Repeat(heard));
            }
            Due::GivenUp => {
                self.note((side, "SETTLED", call_id), now(), json!({"unheard": format!("{heard:?}")}));
                if matches!(heard, Heard::Ack(_)) {
                    self.hang_up(call_id);
                }
            }
            Due::Nothing => {}
        }
    }
}

fn listen(side: Side, ear: &Ear, inputs: &Sender<Input>) {
    loop {
        // What comes back from a port where nobody is now.
        let Some(Datagram { bytes, from, at }) = ear.hear() else { continue };
        let message = Message::read(&bytes);
        if inputs.send(Input::Heard { side, message, from, at }).is_err() {
            return;
        }
    }
}
