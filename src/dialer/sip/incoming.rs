//! Requests from the other side: each finds the leg whose dialog it belongs to, or is refused.
//!
//! Answered here is what needs nobody's judgement. A hang-up and a new offer go to the leg.

use std::sync::Arc;

use rsipstack::sip::{Header, HeadersExt, Method, Request, StatusCode, Version};
use rsipstack::transaction::transaction::Transaction;
use tokio::sync::mpsc;

use super::dialog::ALLOWED;
use super::leg::Signal;
use super::message;
use super::seats::{Key, Legs, Refused, is_offer, tag_of};
use crate::domain::classification::FinalResponse;

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
