//! The legs that requests of the other side can be for: who may speak to which, and whose turn it is.
//!
//! Must answer nothing: it says what a request gets, and `incoming` gives it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rsipstack::sip::{HeadersExt, Method, Request, StatusCode};
use tokio::sync::mpsc;

use super::leg::Signal;

/// What identifies a dialog of ours: Call-ID and our tag.
pub(super) type Key = (String, String);

/// A leg that can be spoken to.
#[derive(Debug)]
struct Seat {
    signals: mpsc::UnboundedSender<Signal>,
    remote_tag: Option<String>,
    /// The other side's last number: they only rise.
    sequence: Option<u32>,
    /// An offer of ours is in the air, so that one from there would cross it.
    offering: bool,
    /// An offer from there is not answered yet.
    offered: bool,
    /// The leg is left to whoever follows at this address, who will answer.
    silent: bool,
}

/// What a request gets that is not passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    With(StatusCode),
    /// Nothing: it will be repeated.
    Unheard,
}

impl From<StatusCode> for Refused {
    fn from(status: StatusCode) -> Self {
        Self::With(status)
    }
}

/// Every leg of this process.
#[derive(Debug, Default)]
pub(super) struct Legs(Mutex<HashMap<Key, Seat>>);

impl Legs {
    fn seats(&self) -> MutexGuard<'_, HashMap<Key, Seat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn enter(&self, key: Key, signals: mpsc::UnboundedSender<Signal>) {
        let seat = Seat { signals, remote_tag: None, sequence: None, offering: false, offered: false, silent: false };
        self.seats().insert(key, seat);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.seats().len()
    }

    /// False where it is left to whoever follows.
    pub fn leave(&self, key: &Key) -> bool {
        let mut seats = self.seats();
        let leaves = seats.get(key).is_none_or(|seat| !seat.silent);
        if leaves {
            seats.remove(key);
        }
        leaves
    }

    /// Nothing that comes for this leg is answered any more.
    pub fn fall_silent(&self, key: &Key) {
        if let Some(seat) = self.seats().get_mut(key) {
            seat.silent = true;
        }
    }

    /// The other side's tag is known from now on.
    pub fn confirm(&self, key: &Key, remote_tag: &str) {
        if let Some(seat) = self.seats().get_mut(key) {
            seat.remote_tag = Some(remote_tag.to_owned());
        }
    }

    /// Says that an offer of ours is in the air, or not any more.
    pub fn set_offering(&self, key: &Key, offering: bool) {
        if let Some(seat) = self.seats().get_mut(key) {
            seat.offering = offering;
        }
    }

    pub fn set_offered(&self, key: &Key, offered: bool) {
        if let Some(seat) = self.seats().get_mut(key) {
            seat.offered = offered;
        }
    }

    /// Who is meant, or what the request gets instead.
    pub fn admit(&self, request: &Request) -> Result<(Key, mpsc::UnboundedSender<Signal>), Refused> {
        const NOBODY: Refused = Refused::With(StatusCode::CallTransactionDoesNotExist);
        let call_id = request.call_id_header().map_err(|_| StatusCode::BadRequest)?.value().to_owned();
        let (Some(ours), Some(theirs)) = (tag_of(request, true), tag_of(request, false)) else { return Err(NOBODY) };
        let number = number_of(request).ok_or(StatusCode::BadRequest)?;
        let key = (call_id, ours);
        let mut seats = self.seats();
        let seat = seats.get_mut(&key).ok_or(NOBODY)?;
        if seat.remote_tag.as_ref().is_some_and(|tag| *tag != theirs) {
            return Err(NOBODY);
        }
        if seat.silent {
            return Err(Refused::Unheard);
        }
        if seat.sequence.is_some_and(|last| number <= last) {
            return Err(StatusCode::ServerInternalError.into());
        }
        seat.sequence = Some(number);
        if is_offer(request) {
            if seat.offering {
                return Err(StatusCode::RequestPending.into());
            }
            if std::mem::replace(&mut seat.offered, true) {
                return Err(StatusCode::ServerInternalError.into());
            }
        }
        Ok((key, seat.signals.clone()))
    }
}

/// Its number in the dialog, if it is one (RFC 3261, sections 8.1.1.5 and 20.16): the other side's later requests have to be
/// above it, so that what is none must not count.
fn number_of(request: &Request) -> Option<u32> {
    let cseq = request.cseq_header().ok()?;
    let number = cseq.seq().ok()?;
    (cseq.method().ok()? == request.method && number < 1 << 31).then_some(number)
}

pub(super) fn tag_of(request: &Request, to: bool) -> Option<String> {
    let tag = match to {
        true => request.to_header().ok()?.tag().ok()?,
        false => request.from_header().ok()?.tag().ok()?,
    };
    tag.map(|tag| tag.value().to_owned())
}

/// Whether the request changes, or asks for, what is said about the media.
pub(super) fn is_offer(request: &Request) -> bool {
    request.method == Method::Invite || (request.method == Method::Update && !request.body.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str, number: &str) -> Request {
        let text = format!(
            "{line} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=theirs\r\n\
             To: <sip:b@h>;tag=ours\r\nCall-ID: c\r\nCSeq: {number}\r\nContent-Length: 0\r\n\r\n"
        );
        Request::try_from(text.as_str()).unwrap()
    }

    #[test]
    fn requests_come_into_a_dialog_by_both_tags_and_in_their_order() {
        let (legs, key) = (Legs::default(), ("c".to_owned(), "ours".to_owned()));
        let (signals, _inbox) = mpsc::unbounded_channel();
        legs.enter(key.clone(), signals);
        legs.confirm(&key, "theirs");
        let admit = |line: &str, number: &str| legs.admit(&request(line, number)).map(drop);
        assert_eq!(admit("INFO sip:b@h", "4 BYE"), Err(StatusCode::BadRequest.into()), "another method");
        assert_eq!(
            admit("INFO sip:b@h", "4294967295 INFO"),
            Err(StatusCode::BadRequest.into()),
            "no number has 32 bits"
        );
        assert_eq!(admit("INFO sip:b@h", "4 INFO"), Ok(()), "neither of them counted");
        assert_eq!(admit("BYE sip:b@h", "4 BYE"), Err(StatusCode::ServerInternalError.into()));
        assert_eq!(admit("BYE sip:b@h", "5 BYE"), Ok(()));
        legs.confirm(&key, "another");
        assert_eq!(admit("BYE sip:b@h", "6 BYE"), Err(StatusCode::CallTransactionDoesNotExist.into()));
    }
}
