//! Requests from the other side: each finds the leg whose dialog it belongs to, or is refused.
//!
//! Answered here is what needs nobody's judgement. A hang-up and a new offer go to the leg.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rsipstack::sip::{Header, HeadersExt, Method, Request, StatusCode, Version};
use rsipstack::transaction::transaction::Transaction;
use tokio::sync::mpsc;

use super::dialog::ALLOWED;
use super::leg::Signal;
use super::message;
use crate::domain::classification::FinalResponse;

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
enum Refused {
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

    fn set_offered(&self, key: &Key, offered: bool) {
        if let Some(seat) = self.seats().get_mut(key) {
            seat.offered = offered;
        }
    }

    /// Who is meant, or what the request gets instead.
    fn admit(&self, request: &Request) -> Result<(Key, mpsc::UnboundedSender<Signal>), Refused> {
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

fn tag_of(request: &Request, to: bool) -> Option<String> {
    let tag = match to {
        true => request.to_header().ok()?.tag().ok()?,
        false => request.from_header().ok()?.tag().ok()?,
    };
    tag.map(|tag| tag.value().to_owned())
}

/// Whether the request changes, or asks for, what is said about the media.
fn is_offer(request: &Request) -> bool {
    request.method == Method::Invite || (request.method == Method::Update && !request.body.is_empty())
}

/// A new offer of the other side, or its question for one, until it is answered. Dropped without an answer it is refused.
pub struct PeerOffer {
    transaction: Option<Box<Transaction>>,
    pub sdp: Option<String>,
    key: Key,
    legs: Arc<Legs>,
}

impl std::fmt::Debug for PeerOffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerOffer").field("sdp", &self.sdp).finish_non_exhaustive()
    }
}

impl PeerOffer {
    /// Accepts it.
    pub fn accept(mut self, contact: &str, sdp: &str) {
        let headers = vec![
            Header::Contact(contact.to_owned().into()),
            Header::Allow(ALLOWED.into()),
            Header::ContentType("application/sdp".into()),
        ];
        self.reply(StatusCode::OK, headers, Some(sdp.as_bytes().to_vec()));
    }

    /// Refuses it: the session goes on as it was.
    pub fn refuse(mut self) {
        self.reply(StatusCode::NotAcceptableHere, Vec::new(), None);
    }

    fn reply(&mut self, status: StatusCode, headers: Vec<Header>, body: Option<Vec<u8>>) {
        let Some(mut transaction) = self.transaction.take() else { return };
        self.legs.set_offered(&self.key, false);
        tokio::spawn(async move {
            drop(transaction.reply_with(status, headers, body).await);
            // It repeats the response until the ACK comes.
            while transaction.receive().await.is_some() {}
        });
    }
}

impl Drop for PeerOffer {
    fn drop(&mut self) {
        self.reply(StatusCode::NotAcceptableHere, Vec::new(), None);
    }
}

/// Deals with every request that begins a transaction, as long as the stack lives.
pub(super) async fn serve(mut requests: mpsc::UnboundedReceiver<Transaction>, legs: Arc<Legs>) {
    while let Some(transaction) = requests.recv().await {
        let within = tag_of(&transaction.original, true).is_some();
        if transaction.original.version != Version::V2 {
            answer_once(transaction, StatusCode::VersionNotSupported);
            continue;
        }
        match (within, transaction.original.method) {
            (false, Method::Options) => answer_once(transaction, StatusCode::OK),
            // Nobody calls this daemon.
            (false, _) => answer_once(transaction, StatusCode::MethodNotAllowed),
            (true, _) => match legs.admit(&transaction.original) {
                Ok((key, signals)) => deliver(transaction, key, &signals, &legs),
                Err(Refused::With(status @ StatusCode::CallTransactionDoesNotExist)) => {
                    answer_once(transaction, status)
                }
                Err(Refused::With(status)) => answer(transaction, status),
                Err(Refused::Unheard) => drop(transaction),
            },
        }
    }
}

fn deliver(transaction: Transaction, key: Key, signals: &mpsc::UnboundedSender<Signal>, legs: &Arc<Legs>) {
    match transaction.original.method {
        Method::Bye => {
            // A leg that is gone has hung up by itself.
            drop(signals.send(Signal::HungUp(reasons(&transaction.original))));
            answer(transaction, StatusCode::OK);
        }
        Method::Invite | Method::Update if is_offer(&transaction.original) => {
            let body = &transaction.original.body;
            let sdp = (!body.is_empty()).then(|| String::from_utf8_lossy(body).into_owned());
            let offer = PeerOffer { transaction: Some(Box::new(transaction)), sdp, key, legs: legs.clone() };
            drop(signals.send(Signal::Offer(offer)));
        }
        Method::Options | Method::Info | Method::Notify | Method::Update => answer(transaction, StatusCode::OK),
        // A transfer would put a call into the world that nobody counts.
        Method::Refer => answer(transaction, StatusCode::Decline),
        _ => answer(transaction, StatusCode::MethodNotAllowed),
    }
}

/// What a request says about why it came: in the same words as a response.
fn reasons(request: &Request) -> FinalResponse {
    request.headers.iter().fold(FinalResponse::new(200, "OK"), |said, header| match header {
        Header::Reason(reason) => said.with_reason(reason.value()),
        _ => said,
    })
}

/// Answers a request that belongs to no call, and keeps nothing of it: each one that comes gets one response (RFC 3261,
/// section 8.2.7), so that nobody can have a third party sent more than he sends himself.
fn answer_once(transaction: Transaction, status: StatusCode) {
    let (request, endpoint) = (transaction.original.clone(), transaction.endpoint_inner.clone());
    let Some(connection) = transaction.connection.clone() else { return };
    drop(transaction);
    tokio::spawn(async move {
        let mut response = endpoint.make_response(&request, status, None);
        response.headers.push(Header::Allow(ALLOWED.into()));
        if let Some(tag) = stateless_tag(&request) {
            for header in response.headers.iter_mut() {
                if let Header::To(to) = header {
                    *to = format!("{};tag={tag}", to.value()).into();
                }
            }
        }
        let to = match connection.is_reliable() {
            true => None,
            false => endpoint.get_destination_from_request(&request).await,
        };
        if let Err(error) = connection.send(response.into(), to.as_ref()).await {
            tracing::debug!(%error, "a request was not answered");
        }
    });
}

/// The same for a request and its repetitions, since nothing is kept of it. `None`: it has one.
fn stateless_tag(request: &Request) -> Option<String> {
    let (call_id, branch) = (request.call_id_header().ok()?.value(), message::branch(request)?);
    let name = format!("{call_id} {branch}");
    let tag = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes());
    tag_of(request, true).is_none().then(|| tag.simple().to_string())
}

fn answer(mut transaction: Transaction, status: StatusCode) {
    tokio::spawn(async move {
        let mut headers = vec![Header::Allow(ALLOWED.into())];
        if status == StatusCode::ServerInternalError {
            headers.push(Header::RetryAfter("2".into()));
        }
        if let Err(error) = transaction.reply_with(status, headers, None).await {
            tracing::debug!(%error, "a request was not answered");
        }
        // An INVITE that was refused waits for its ACK.
        while transaction.original.method == Method::Invite && transaction.receive().await.is_some() {}
    });
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
