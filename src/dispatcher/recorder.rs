//! Writes down how attempts ended, as many at once as have ended meanwhile.
//!
//! Recording never stops and never gives up: an end that is not written would be an outcome lost. Each end is
//! reported back to its owner when it is committed, not before.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

use super::Context;
use crate::domain::call::CallResult;
use crate::domain::ids::CalleeKey;
use crate::domain::redial::Next;
use crate::retry::Delays;
use crate::store::attempts::{EndedAttempt, FailedCallee};
use crate::store::{Store, StoreError, Verdict};

/// Ends for one statement.
const BATCH: usize = 500;

/// An end on its way to the store, and who wants to know.
#[derive(Debug)]
pub struct Ending {
    pub what: EndingKind,
    pub owner: mpsc::UnboundedSender<super::owner::Report>,
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
    Waiting(DateTime<Utc>),
}

/// The one writer of ends.
pub struct Recorder {
    context: Arc<Context>,
    inbox: mpsc::UnboundedReceiver<Ending>,
}

impl Recorder {
    pub fn new(context: Arc<Context>, inbox: mpsc::UnboundedReceiver<Ending>) -> Self {
        Self { context, inbox }
    }

    /// Records until nobody is left who could send anything.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.inbox.recv_many(&mut batch, BATCH).await > 0 {
            let (mut attempts, mut callees, mut reports) = (Vec::new(), Vec::new(), Vec::new());
            for Ending { what, owner } in batch.drain(..) {
                match what {
                    EndingKind::Attempt(ended) => {
                        reports.push((owner, ended.key, recorded(&ended)));
                        attempts.push(*ended);
                    }
                    EndingKind::Callee(failed) => {
                        reports.push((owner, failed.key, Recorded::Failed));
                        callees.push(*failed);
                    }
                }
            }
            let mut lost = self.record(&attempts).await;
            lost.extend(self.record(&callees).await);
            for (owner, key, recorded) in reports {
                if !lost.contains(&key) {
                    // An owner that is gone has nothing left to count.
                    drop(owner.send(super::owner::Report::Recorded { key, recorded }));
                }
            }
        }
    }

    /// Writes all of `rows`; names those that the store refuses even alone.
    async fn record<R: Recordable>(&self, rows: &[R]) -> Vec<CalleeKey> {
        if rows.is_empty() || self.insist(rows).await.is_ok() {
            return Vec::new();
        }
        let mut lost = Vec::new();
        for row in rows {
            if let Err(error) = self.insist(std::slice::from_ref(row)).await {
                let key = row.key();
                tracing::error!(%error, ?key, "ALARM: the store refuses the end of an attempt; it stays open");
                lost.push(key);
            }
        }
        lost
    }

    /// Tries until the store takes the rows or refuses them.
    async fn insist<R: Recordable>(&self, rows: &[R]) -> Result<(), StoreError> {
        let mut delays = Delays::up_to(Duration::from_secs(2));
        loop {
            match R::write(&self.context.store, rows).await {
                Ok(()) => return Ok(()),
                Err(error) if error.verdict() == Verdict::Reject => return Err(error),
                Err(error) => tracing::warn!(%error, ends = rows.len(), "ends wait for the store"),
            }
            tokio::time::sleep(delays.next_delay()).await;
        }
    }
}

/// Something that ends the claim of a callee.
trait Recordable: Sized + Sync {
    fn key(&self) -> CalleeKey;
    fn write(store: &Store, rows: &[Self]) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl Recordable for EndedAttempt {
    fn key(&self) -> CalleeKey {
        self.key
    }

    async fn write(store: &Store, rows: &[Self]) -> Result<(), StoreError> {
        store.record_ends(rows).await
    }
}

impl Recordable for FailedCallee {
    fn key(&self) -> CalleeKey {
        self.key
    }

    async fn write(store: &Store, rows: &[Self]) -> Result<(), StoreError> {
        store.record_failures(rows).await
    }
}

fn recorded(ended: &EndedAttempt) -> Recorded {
    match ended.verdict.next {
        Next::Nothing => Recorded::Completed(ended.end.result),
        Next::Again { at, .. } => Recorded::Waiting(at),
    }
}
