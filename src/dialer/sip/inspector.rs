//! Answers to our INVITEs that reach no transaction any more (RFC 3261, section 13.2.2.4): repeated ones are
//! acknowledged again, those of a second phone, of a call that was given up, or of one that rang when an earlier run of the
//! daemon died, are acknowledged and hung up.
//!
//! An answer makes us send something, perhaps to an address that it names, and a BYE ends a call at a phone that knows calls by
//! their Call-ID alone. So it has to be on the branch of our INVITE and have our tag, and an unwanted one has to come from where that went.
//!
//! It sees every message before the stack does and must not wait: what is to be sent goes to a task of its own. What it
//! remembers of a call is forgotten when nothing of it can come any more.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rsipstack::sip::{Header, HeadersExt, Request, Response, SipMessage};
use rsipstack::transaction::endpoint::MessageInspector;
use rsipstack::transport::SipAddr;
use tokio::sync::mpsc;

use super::dialog::Dialog;
use super::message::{self, LOCAL};
use super::stack::Path;

/// How long an answer can be repeated: 64*T1.
pub(super) const REPEATS: Duration = Duration::from_secs(32);

/// How long a phone may ring that nobody takes back: Timer C of the proxies before it (RFC 3261, section 16.6).
const RINGS: Duration = Duration::from_secs(180);

/// What has to be sent because of an answer that nobody waits for.
#[derive(Debug)]
pub(super) enum Stray {
    /// The ACK was lost.
    Again(Box<(Request, Path)>),
    /// Somebody answered whom we do not want: to be acknowledged and hung up.
    Unwanted(Box<(Dialog, Response, Path)>),
    /// The same, to a call of an earlier run of the daemon, of which nothing is known but the answer and where that came from.
    Orphan(Box<(Response, SipAddr)>),
}

/// What became of an INVITE.
#[derive(Debug)]
enum State {
    Pending,
    /// Answered by this tag, and not acknowledged yet: an answer is then repeated, which means nothing.
    Answered(String),
    Acknowledged(String, Box<(Request, Path)>),
    /// It ended without an answer, or was given up.
    Closed,
}

#[derive(Debug)]
struct Entry {
    state: State,
    /// Of our INVITE: what answers it says it again, whichever phone it comes from.
    /// `None`: it was another run of the daemon that sent the INVITE.
    branch: Option<String>,
    /// For an ACK and a BYE.
    dialog: Dialog,
    path: Path,
    forget_at: Option<Instant>,
}

/// Our INVITEs by Call-ID and number.
#[derive(Debug)]
pub(super) struct Answers {
    entries: Mutex<HashMap<(String, u32), Entry>>,
    /// Call-IDs of calls that an earlier run of the daemon may have left ringing, and when none of them rings any more.
    orphans: Mutex<HashMap<String, Instant>>,
    strays: mpsc::UnboundedSender<Stray>,
}

impl Answers {
    pub fn new(strays: mpsc::UnboundedSender<Stray>) -> Self {
        Self { entries: Mutex::default(), orphans: Mutex::default(), strays }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<(String, u32), Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An INVITE goes out.
    pub fn expect(&self, dialog: &Dialog, number: u32, (invite, path): (&Request, &Path)) {
        let (branch, dialog, path) = (message::branch(invite), dialog.clone(), path.clone());
        self.enter(number, Entry { state: State::Pending, branch, dialog, path, forget_at: None });
    }

    fn enter(&self, number: u32, entry: Entry) {
        self.entries().insert((entry.dialog.call_id.clone(), number), entry);
    }

    /// Its answer was acknowledged.
    pub fn acknowledged(&self, dialog: &Dialog, ack: Request, path: &Path) {
        if let Some(entry) = self.entries().get_mut(&(dialog.call_id.clone(), dialog.invite_sequence)) {
            entry.state = State::Acknowledged(dialog.remote_tag_now(), Box::new((ack, path.clone())));
            entry.forget_at = Some(Instant::now() + REPEATS);
        }
    }

    /// An answer to an INVITE of an earlier run was acknowledged so.
    pub fn adopt(&self, dialog: &Dialog, ack: Request, path: &Path) {
        let state = State::Acknowledged(dialog.remote_tag_now(), Box::new((ack, path.clone())));
        let forget_at = Some(Instant::now() + REPEATS);
        let entry = Entry { state, branch: None, dialog: dialog.clone(), path: path.clone(), forget_at };
        self.enter(dialog.invite_sequence, entry);
    }

    /// The dialog was taken up again: whatever answer to its last INVITE, or to one of the next `unrecorded`, is still
    /// repeated has to be acknowledged. Only the last one that is known can want our own answer.
    pub fn recall(&self, dialog: &Dialog, answer: Option<&str>, (path, unrecorded): (&Path, u32)) {
        for further in 0..=unrecorded {
            let invite_sequence = dialog.invite_sequence + further;
            let dialog = Dialog { invite_sequence, ..dialog.clone() };
            let ack = dialog.ack(answer.filter(|_| further == 0));
            self.adopt(&dialog, ack, path);
        }
    }

    /// These calls may still ring, and whoever made them is gone.
    pub fn orphan(&self, call_ids: impl Iterator<Item = String>) {
        let forget_at = Instant::now() + RINGS;
        self.orphans().extend(call_ids.map(|call_id| (call_id, forget_at)));
    }

    fn orphans(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.orphans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It ended without an answer, or nobody waits for its answer any more.
    pub fn close(&self, call_id: &str, number: u32) {
        if let Some(entry) = self.entries().get_mut(&(call_id.to_owned(), number)) {
            entry.state = State::Closed;
            entry.forget_at = Some(Instant::now() + REPEATS);
        }
    }

    /// Nobody is left who would acknowledge its answer: when that is repeated, it is hung up.
    pub fn abandon(&self, call_id: &str, number: u32) {
        if let Some(entry) = self.entries().get_mut(&(call_id.to_owned(), number))
            && matches!(entry.state, State::Answered(_))
        {
            entry.state = State::Closed;
            entry.forget_at = Some(Instant::now() + REPEATS);
        }
    }

    /// Forgets what cannot be asked for any more.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.entries().retain(|_, entry| entry.forget_at.is_none_or(|at| at > now));
        self.orphans().retain(|_, at| *at > now);
    }

    /// How many would be remembered for ever if nothing more came.
    #[cfg(test)]
    pub fn endless(&self) -> usize {
        self.entries().values().filter(|entry| entry.forget_at.is_none()).count()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.entries().len()
    }

    fn look_at(&self, response: &Response, from: Option<&SipAddr>) {
        let Some((call_id, number, tag)) = message::identity(response) else { return };
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(&(call_id.clone(), number)) else {
            // What we never asked for gets no answer: it could make us send to anybody.
            let is_orphan = self.orphans().remove(&call_id).is_some();
            if let Some(from) = from.filter(|_| is_orphan) {
                drop(self.strays.send(Stray::Orphan(Box::new((response.clone(), from.clone())))));
            }
            return;
        };
        let ours = response.from_header().ok().and_then(|from| from.tag().ok()).flatten();
        let is_ours = ours.is_some_and(|tag| *tag.value() == entry.dialog.local_tag);
        if !is_ours || (entry.branch.is_some() && entry.branch != message::branch(response)) {
            return;
        }
        let stray = match &entry.state {
            State::Pending => {
                entry.state = State::Answered(tag);
                None
            }
            State::Answered(answered) if *answered == tag => None,
            State::Acknowledged(answered, ack) if *answered == tag => Some(Stray::Again(ack.clone())),
            State::Answered(_) | State::Acknowledged(..) | State::Closed => {
                let host = |address: &SipAddr| address.addr.host.clone();
                if from.is_some_and(|from| host(from) != host(&entry.path.address)) {
                    return;
                }
                let unwanted = (entry.dialog.clone(), response.clone(), entry.path.clone());
                Some(Stray::Unwanted(Box::new(unwanted)))
            }
        };
        drop(entries);
        if let Some(stray) = stray {
            // Nobody receives at the end of the process.
            drop(self.strays.send(stray));
        }
    }
}

/// What the stack calls for each message.
pub(super) struct Inspector(pub std::sync::Arc<Answers>);

impl MessageInspector for Inspector {
    fn before_send(&self, message: SipMessage, _to: Option<&SipAddr>) -> SipMessage {
        message
    }

    fn after_received(&self, mut message: SipMessage, from: Option<&SipAddr>) -> SipMessage {
        if let SipMessage::Response(response) = &mut message {
            match from {
                Some(_) => response.headers.retain(|header| !header.name().eq_ignore_ascii_case(LOCAL)),
                None => response.headers.push(Header::Other(LOCAL.to_owned(), "1".to_owned())),
            }
        }
        if let Some(answer) = message::is_answer(&message) {
            self.0.look_at(answer, from);
        }
        message
    }
}

#[cfg(test)]
mod tests;
