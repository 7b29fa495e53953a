//! Writes down how attempts ended, as many at once as have ended meanwhile.
//!
//! Recording never stops and never gives up: an end that is not written would be an outcome lost. Each end is
//! reported back to its owner when it is committed, not before.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Context;
use super::owner::Report;
use crate::domain::call::CallResult;
use crate::domain::redial::Next;
use crate::retry::Delays;
use crate::store::attempts::{EndedAttempt, FailedCallee};
use crate::store::{StoreError, Verdict};

/// Ends for one statement.
const BATCH: usize = 500;
/// How often a batch is tried together while it may be one of its rows that fails it.
const MOST_SUSPICIONS: u32 = 10;
/// When refused ends are tried again, at the latest while nothing else happens.
const REFUSED_AGAIN: Duration = Duration::from_secs(5);

/// An end on its way to the store, and who wants to know.
#[derive(Debug)]
pub struct Ending {
    pub what: EndingKind,
    pub owner: mpsc::UnboundedSender<Report>,
}

/// What ended.
#[derive(Debug)]
pub enum EndingKind {
    Attempt(Box<EndedAttempt>),
    Callee(Box<FailedCallee>),
}

/// What was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    Completed(CallResult),
    Failed,
    Waiting,
}

/// The one writer of ends.
pub struct Recorder {
    context: Arc<Context>,
    inbox: mpsc::UnboundedReceiver<Ending>,
    /// Ends that the store refused even alone: tried again, and cried about, until a person has mended it.
    refused: Vec<Ending>,
}

impl Recorder {
    pub fn new(context: Arc<Context>, inbox: mpsc::UnboundedReceiver<Ending>) -> Self {
        Self { context, inbox, refused: Vec::new() }
    }

    /// Records until nobody is left who could send anything.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let received = match self.refused.is_empty() {
                true => Some(self.inbox.recv_many(&mut batch, BATCH).await),
                false => tokio::time::timeout(REFUSED_AGAIN, self.inbox.recv_many(&mut batch, BATCH)).await.ok(),
            };
            match received {
                Some(0) => return,
                Some(_) => {}
                None => batch = std::mem::take(&mut self.refused),
            }
            let (attempts, callees): (Vec<_>, Vec<_>) =
                batch.drain(..).partition(|ending| matches!(ending.what, EndingKind::Attempt(_)));
            self.record(attempts).await;
            self.record(callees).await;
        }
    }

    /// Writes ends of one kind, together or, when that is refused, one by one.
    async fn record(&mut self, endings: Vec<Ending>) {
        if endings.is_empty() {
            return;
        }
        match self.insist(&endings).await {
            Ok(()) => endings.iter().for_each(Ending::report),
            Err(error) if endings.len() == 1 => {
                tracing::error!(%error, "ALARM: the store refuses the end of an attempt; trying again");
                self.refused.extend(endings);
            }
            Err(_) => {
                for ending in endings {
                    Box::pin(self.record(vec![ending])).await;
                }
            }
        }
    }

    /// Tries until the store takes the rows, or refuses them, or fails in a way that may be theirs.
    async fn insist(&self, endings: &[Ending]) -> Result<(), StoreError> {
        let mut delays = Delays::up_to(Duration::from_secs(2));
        let mut suspicions = 0;
        loop {
            let error = match self.write(endings).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            suspicions += u32::from(error.verdict() == Verdict::Suspect);
            if error.verdict() == Verdict::Reject || suspicions > MOST_SUSPICIONS {
                return Err(error);
            }
            tracing::warn!(%error, ends = endings.len(), "ends wait for the store");
            tokio::time::sleep(delays.next_delay()).await;
        }
    }

    async fn write(&self, endings: &[Ending]) -> Result<(), StoreError> {
        let (mut attempts, mut callees) = (Vec::new(), Vec::new());
        for ending in endings {
            match &ending.what {
                EndingKind::Attempt(ended) => attempts.push(&**ended),
                EndingKind::Callee(failed) => callees.push(&**failed),
            }
        }
        if !attempts.is_empty() {
            self.context.store.record_ends(&attempts).await?;
        }
        if !callees.is_empty() {
            self.context.store.record_failures(&callees).await?;
        }
        Ok(())
    }
}

impl Ending {
    /// Tells the owner that this is committed.
    fn report(&self) {
        let (key, attempt, recorded, call) = match &self.what {
            EndingKind::Callee(failed) => (failed.key, failed.attempt, Recorded::Failed, None),
            EndingKind::Attempt(ended) => {
                let recorded = match ended.verdict.next {
                    Next::Nothing => Recorded::Completed(ended.end.result),
                    Next::Again { .. } => Recorded::Waiting,
                };
                (ended.key, ended.attempt, recorded, Some((ended.end.result, ended.end.scope)))
            }
        };
        // An owner that is gone has nothing left to count.
        drop(self.owner.send(Report::Recorded { key, attempt, recorded, call }));
    }
}
