//! Has answered calls written down, as many at once as have changed meanwhile, so that another run of the daemon at this
//! address can go on with them.
//!
//! No call waits for it: what was not written when the process died is lost, and the call's outcome with it. It must not
//! write anything of a call that ended; the store sees to that, because an attempt that was recorded is not open any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::bridge::KeptCall;
use crate::domain::ids::CallId;
use crate::retry::Delays;
use crate::store::attempts::LiveCall;
use crate::store::{Store, StoreError, Verdict};

/// Calls for one statement.
const BATCH: usize = 500;
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// What of a call is written down.
#[derive(Debug, Default)]
pub struct Keeping {
    wanted: u64,
    done: Arc<AtomicU64>,
}

impl Keeping {
    /// Whether the call is written down as it is.
    pub fn is_up_to_date(&self) -> bool {
        self.wanted > 0 && self.done.load(Ordering::Acquire) == self.wanted
    }
}

/// One state of a call.
#[derive(Debug)]
struct Snapshot {
    kept: KeptCall,
    number: u64,
    done: Arc<AtomicU64>,
}

impl Snapshot {
    fn row(&self, call: CallId) -> LiveCall {
        let dialogs = serde_json::to_value(&self.kept).unwrap_or_default();
        LiveCall { call, sip_address: self.kept.address().to_owned(), dialogs }
    }
}

/// Where calls say that they have changed.
#[derive(Debug, Clone)]
pub struct Keeper(mpsc::UnboundedSender<(CallId, Snapshot)>);

impl Keeper {
    /// One that writes to this store, as long as anybody may give it anything.
    pub fn start(store: Store) -> Self {
        let (sender, snapshots) = mpsc::unbounded_channel();
        tokio::spawn(write_all(store, snapshots));
        Self(sender)
    }

    /// One that writes nothing.
    pub fn idle() -> Self {
        Self(mpsc::unbounded_channel().0)
    }

    /// Has the state of a call written down, instead of what was kept of it before.
    pub fn keep(&self, call: CallId, kept: KeptCall, keeping: &mut Keeping) {
        keeping.wanted += 1;
        let snapshot = Snapshot { kept, number: keeping.wanted, done: keeping.done.clone() };
        // An idle one takes nothing.
        drop(self.0.send((call, snapshot)));
    }
}

type Latest = HashMap<CallId, Snapshot>;

async fn write_all(store: Store, mut snapshots: mpsc::UnboundedReceiver<(CallId, Snapshot)>) {
    let mut received = Vec::with_capacity(BATCH);
    let mut delays = Delays::up_to(LONGEST_DELAY);
    let mut latest = Latest::new();
    while !latest.is_empty() || snapshots.recv_many(&mut received, BATCH).await > 0 {
        while let Ok(next) = snapshots.try_recv() {
            received.push(next);
        }
        latest.extend(received.drain(..));
        let Err(error) = write(&store, &mut latest).await else {
            delays.reset();
            continue;
        };
        tracing::warn!(%error, calls = latest.len(), "calls that are up wait to be written down");
        tokio::time::sleep(delays.next_delay()).await;
    }
}

/// Writes some of them, and forgets those.
async fn write(store: &Store, latest: &mut Latest) -> Result<(), StoreError> {
    let calls: Vec<LiveCall> = latest.iter().take(BATCH).map(|(call, snapshot)| snapshot.row(*call)).collect();
    let mut written = store.keep_live_calls(&calls).await;
    if written.as_ref().is_err_and(|error| error.verdict() != Verdict::Retry) {
        written = Ok(write_one_by_one(store, &calls).await?);
    }
    for call in written? {
        if let Some(Snapshot { number, done, .. }) = latest.get(&call) {
            done.store(*number, Ordering::Release);
        }
    }
    for LiveCall { call, .. } in calls {
        latest.remove(&call);
    }
    Ok(())
}

/// What one call's peers say must not keep the others from being written down.
async fn write_one_by_one(store: &Store, calls: &[LiveCall]) -> Result<Vec<CallId>, StoreError> {
    let mut written = Vec::new();
    for live in calls {
        match store.keep_live_calls(std::slice::from_ref(live)).await {
            Ok(call) => written.extend(call),
            Err(error) if error.verdict() == Verdict::Retry => return Err(error),
            Err(error) => tracing::error!(call = %live.call, %error, "ALARM: a call that is up cannot be written down"),
        }
    }
    Ok(written)
}
