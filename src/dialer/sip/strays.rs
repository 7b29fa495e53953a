//! Deals with answers that nobody waits for, as the inspector finds them: it must not wait, so the sending is done here.

use std::sync::Weak;
use std::time::{Duration, Instant};

use rsipstack::sip::{HeadersExt, Response};
use rsipstack::transport::SipAddr;
use tokio::sync::mpsc;

use super::dialog::Dialog;
use super::inspector::{REPEATS, Stray};
use super::message;
use super::peer::Peer;
use super::stack::{Path, Stack};
use crate::telemetry;

const BETWEEN_SWEEPS: Duration = Duration::from_secs(5);
const BETWEEN_WORDS: Duration = Duration::from_secs(60);

/// Sends what answers that nobody waits for need, and forgets old ones.
pub(super) async fn keep_tidy(stack: Weak<Stack>, mut strays: mpsc::UnboundedReceiver<Stray>) {
    let mut told_at = None;
    let mut sweeps = tokio::time::interval(BETWEEN_SWEEPS);
    loop {
        tokio::select! {
            stray = strays.recv() => {
                let (Some(stack), Some(stray)) = (stack.upgrade(), stray) else { return };
                // A peer that does not listen must not hold up the others.
                tokio::spawn(async move { stack.deal_with(stray).await });
            }
            _ = sweeps.tick() => {
                let Some(stack) = stack.upgrade() else { return };
                stack.answers.sweep();
                tell_of_left_out(&mut told_at);
            }
        }
    }
}

/// Says at most once a minute how much of the library's log strangers have made too much of.
fn tell_of_left_out(told_at: &mut Option<Instant>) {
    if told_at.is_some_and(|at| at.elapsed() < BETWEEN_WORDS) {
        return;
    }
    let lines = telemetry::take_left_out();
    if lines > 0 {
        *told_at = Some(Instant::now());
        tracing::warn!(lines, "messages that cannot be read: lines about them were left out of the log");
    }
}

impl Stack {
    async fn deal_with(&self, stray: Stray) {
        match stray {
            Stray::Again(again) => self.tell(again.0, &again.1).await,
            Stray::Unwanted(unwanted) => {
                let (mut dialog, response, path) = *unwanted;
                dialog.confirm(&response);
                let path = self.path_within(&dialog).await.unwrap_or(path);
                self.tell(dialog.ack(None), &path).await;
                self.hang_up(dialog, &path).await;
            }
            Stray::Orphan(orphan) => self.release_orphan(orphan.0, orphan.1).await,
        }
    }

    /// Sends to where the answer came from and nowhere else, whatever it says: where the INVITE went is not known any more.
    async fn release_orphan(&self, answer: Response, from: SipAddr) {
        let found = Peer::at(&from).zip(message::identity(&answer)).zip(answer.to_header().ok());
        let Some(((peer, (call_id, number, _)), to)) = found else { return };
        let path = match self.path(&peer).await {
            Ok(path) => path,
            Err(error) => return tracing::warn!(%error, "whoever answered a call of an earlier run cannot be told"),
        };
        let Ok(uri) = to.uri() else { return };
        let Some(dialog) = self.dialog(&path, &call_id, ("calltaskd", &uri.to_string())).answered(&answer) else {
            return;
        };
        let ack = dialog.ack(None);
        self.tell(ack.clone(), &path).await;
        self.answers.adopt(&dialog, ack, &path);
        tracing::info!(peer = %path.peer, number, "a call that an earlier run left ringing was answered");
        self.hang_up(dialog, &path).await;
    }

    async fn hang_up(&self, mut dialog: Dialog, path: &Path) {
        let (number, bye) = (dialog.invite_sequence, dialog.bye());
        let over = tokio::time::timeout(REPEATS, self.ask(bye, path, None)).await;
        tracing::info!(peer = %path.peer, number, ended = over.is_ok(), "an answer that nobody waited for was hung up");
    }
}
