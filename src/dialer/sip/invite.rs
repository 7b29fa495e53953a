//! One INVITE from its sending to its last response: credentials when they are asked for, CANCEL when we change our mind.
//!
//! One task owns the transaction from beginning to end: the library's `receive` must not be dropped half way. It knows
//! nothing of why the call is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rsipstack::dialog::authenticate::AuthRetry;
use rsipstack::sip::{HasHeaders, Header, HeadersExt, Request, Response, SipMessage};
use rsipstack::transaction::transaction::Transaction;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::challenge;
use super::dialog::{self, Dialog};
use super::leg::Signal;
use super::stack::{Path, Stack};
use crate::settings::Credentials;

/// How long after a CANCEL the last response may take: 64*T1. Nothing in the transaction itself would end it.
const CANCELLING: Duration = Duration::from_secs(32);

/// What is to be sent, and who hears of it.
pub(super) struct Outgoing {
    pub stack: Arc<Stack>,
    pub request: Request,
    pub path: Path,
    pub credentials: Option<Credentials>,
    pub signals: mpsc::UnboundedSender<Signal>,
}

/// Takes the INVITE back when it is told to, and when it is dropped.
#[derive(Debug)]
pub(super) struct CancelHandle {
    cancel: watch::Sender<bool>,
    taken_back: Arc<AtomicBool>,
}

impl CancelHandle {
    pub fn cancel(&self) {
        self.cancel.send_replace(true);
    }

    /// Whether a CANCEL went out: it may not before the first response, and is not needed after the last one.
    pub fn has_taken_back(&self) -> bool {
        self.taken_back.load(Ordering::Acquire)
    }
}

/// Hands the INVITE to the transport. `None`: it could not be, and nothing was sent.
pub(super) async fn send(dialog: &Dialog, outgoing: Outgoing) -> Option<CancelHandle> {
    let Outgoing { stack, request, path, credentials, signals } = outgoing;
    let mut transaction = stack.transaction(request, &path)?;
    stack.answers.expect(dialog, dialog.invite_sequence, (&transaction.original, &path));
    if transaction.send().await.is_err() {
        stack.answers.close(&dialog.call_id, dialog.invite_sequence);
        return None;
    }
    let (cancel, cancelled) = watch::channel(false);
    let (dialog, taken_back) = (dialog.clone(), Arc::new(AtomicBool::new(false)));
    let handle = CancelHandle { cancel, taken_back: taken_back.clone() };
    let mut pending = Pending { stack, dialog, path, signals, cancelled, wanted: false, taken_back };
    tokio::spawn(async move { pending.follow(transaction, credentials).await });
    Some(handle)
}

struct Pending {
    stack: Arc<Stack>,
    dialog: Dialog,
    path: Path,
    signals: mpsc::UnboundedSender<Signal>,
    cancelled: watch::Receiver<bool>,
    /// Whether it is to be taken back.
    wanted: bool,
    /// Whether it was.
    taken_back: Arc<AtomicBool>,
}

impl Pending {
    async fn follow(&mut self, mut transaction: Transaction, credentials: Option<Credentials>) {
        let mut challenges = AuthRetry::new();
        loop {
            let Some(last) = self.last_response(&mut transaction).await else {
                // Without it the library would acknowledge a later answer by itself, and nobody would hang up.
                transaction.last_response = None;
                self.stack.answers.close(&self.dialog.call_id, self.dialog.invite_sequence);
                drop(self.signals.send(Signal::GaveUp));
                return;
            };
            let challenged = matches!(last.status_code.code(), 401 | 407) && !self.wanted;
            let credentials = credentials.as_ref().filter(|_| challenged && challenges.should_answer(&last));
            let Some(next) = self.answer_challenge(&transaction, &last, credentials).await else {
                let answered = (200..300).contains(&last.status_code.code());
                let told = self.signals.send(Signal::Final(Box::new(last))).is_ok();
                // Nobody is left to acknowledge an answer: when it is repeated, it is hung up.
                if !answered || !told {
                    self.stack.answers.close(&self.dialog.call_id, self.dialog.invite_sequence);
                }
                return;
            };
            transaction = next;
        }
    }

    /// Waits for the last response; `None` when none came although it was taken back.
    async fn last_response(&mut self, transaction: &mut Transaction) -> Option<Response> {
        let invite = transaction.original.clone();
        let (mut heard, mut deadline) = (false, None);
        loop {
            let message = {
                let mut receive = std::pin::pin!(transaction.receive());
                loop {
                    tokio::select! {
                        biased;
                        message = &mut receive => break message,
                        _ = self.cancelled.changed(), if !self.wanted => {
                            self.wanted = true;
                            if heard {
                                deadline = Some(self.take_back(&invite));
                            }
                        }
                        () = sleep_until(deadline), if deadline.is_some() => return None,
                    }
                }
            };
            let SipMessage::Response(response) = message? else { continue };
            if response.status_code.code() >= 200 {
                return Some(response);
            }
            drop(self.signals.send(Signal::Progress(Box::new(response))));
            // Before the first response it must not be cancelled (RFC 3261, section 9.1).
            if self.wanted && !heard {
                deadline = Some(self.take_back(&invite));
            }
            heard = true;
        }
    }

    fn take_back(&self, invite: &Request) -> Instant {
        self.taken_back.store(true, Ordering::Release);
        let (stack, path, cancel) = (self.stack.clone(), self.path.clone(), dialog::cancel(invite));
        tokio::spawn(async move { stack.ask(cancel, &path, None).await });
        Instant::now() + CANCELLING
    }

    /// Sends the INVITE again with what was asked for.
    async fn answer_challenge(
        &mut self,
        transaction: &Transaction,
        last: &Response,
        credentials: Option<&Credentials>,
    ) -> Option<Transaction> {
        let mut next = challenge::answered(transaction, last, credentials).await?;
        let number = next.original.cseq_header().ok()?.seq().ok()?;
        let headers = next.original.headers();
        let credentials: Vec<_> = headers.iter().filter_map(credential_line).collect();
        self.stack.answers.close(&self.dialog.call_id, self.dialog.invite_sequence);
        self.dialog.local_sequence = number;
        self.dialog.invite_sequence = number;
        self.stack.answers.expect(&self.dialog, number, (&next.original, &self.path));
        drop(self.signals.send(Signal::Renumbered { number, credentials }));
        next.send().await.ok()?;
        Some(next)
    }
}

fn credential_line(header: &Header) -> Option<(String, String)> {
    match header {
        Header::Authorization(value) => Some(("Authorization".to_owned(), value.value().to_owned())),
        Header::ProxyAuthorization(value) => Some(("Proxy-Authorization".to_owned(), value.value().to_owned())),
        _ => None,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    if let Some(deadline) = deadline {
        tokio::time::sleep_until(deadline).await;
    }
}
