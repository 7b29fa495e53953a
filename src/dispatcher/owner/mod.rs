//! The owner of one service instance: the only one who counts its slots and claims its callees.
//!
//! It is one task with one loop: take reports, look at the store when it is time, claim what can be placed *now*,
//! place it, wait. It awaits the store outside of `select!`, so that no statement is dropped half-way. It
//! lives as long as the process: when its lease is lost it stops claiming, goes on counting the calls that are
//! up, and begins again with a takeover when the lease comes back.

mod claim;
mod hours;
mod meters;
mod takeover;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};

use super::Context;
use super::attempt::Attempt;
use super::completion::{Completion, try_complete};
use super::lease::Tenure;
use super::recorder::{Ending, Recorded};
use super::task_queue::TaskQueue;
use crate::dialer::{Dialer, Fate};
use crate::domain::call::{CallEnd, CallResult, Scope};
use crate::domain::ids::{CalleeKey, ServiceInstanceId, TaskNo};
use crate::domain::pool::{Pool, Slot};
use crate::domain::rotation::Rotation;
use crate::store::StoreError;
use crate::store::leases::Fence;
use hours::NumberGates;
use meters::Meters;

/// How often the store is asked for news, in case a message was lost.
const POLL: Duration = Duration::from_secs(1);
/// How often progress is saved.
const SAVE: Duration = Duration::from_secs(2);

/// What the owner is told about its calls.
#[derive(Debug)]
pub enum Report {
    /// The carrier said its last word.
    CallEnded { slot: Slot },
    /// The call's watcher fell.
    CallLost { slot: Slot, attempt: Box<Attempt> },
    /// The call is up and left to another run of the daemon, which happens only at the end of this one.
    HandedOver { key: CalleeKey, attempt: u32 },
    /// The end of an attempt is committed; of one without a call, none is told of.
    Recorded { key: CalleeKey, attempt: u32, recorded: Recorded, call: Option<(CallResult, Scope)> },
}

/// Who dials for one service instance.
pub struct Owner {
    context: Arc<Context>,
    id: ServiceInstanceId,
    tenure: watch::Receiver<Tenure>,
    wake: Arc<Notify>,
    reports: (mpsc::UnboundedSender<Report>, mpsc::UnboundedReceiver<Report>),
    recorder: mpsc::UnboundedSender<Ending>,

    meters: Meters,
    pool: Pool,
    numbers: NumberGates,
    rotation: Rotation,
    tasks: BTreeMap<TaskNo, TaskQueue>,
    /// Attempts of this process of whose end we have not heard that it is recorded.
    open: HashMap<CalleeKey, u32>,
    /// Calls that other daemons placed and still watch.
    foreign: HashMap<CalleeKey, Slot>,
    dialer: Option<Arc<dyn Dialer>>,
    fence: Option<Fence>,
    /// What a claim or a return did is not known: nothing may be claimed before that is settled.
    in_doubt: bool,
    /// The last round claimed as many as one statement may: there is more to do at once.
    round_was_full: bool,
    look_due: Instant,
    save_due: Instant,
    claim_due: Instant,
}

impl Owner {
    pub fn new(
        context: Arc<Context>,
        id: ServiceInstanceId,
        (tenure, wake): (watch::Receiver<Tenure>, Arc<Notify>),
        recorder: mpsc::UnboundedSender<Ending>,
    ) -> Self {
        let now = Instant::now();
        let meters = Meters::new(context.metrics.clone(), &id);
        Self {
            context,
            id,
            meters,
            tenure,
            wake,
            reports: mpsc::unbounded_channel(),
            recorder,
            pool: Pool::default(),
            numbers: NumberGates::default(),
            rotation: Rotation::default(),
            tasks: BTreeMap::new(),
            open: HashMap::new(),
            foreign: HashMap::new(),
            dialer: None,
            fence: None,
            in_doubt: false,
            round_was_full: false,
            look_due: now,
            save_due: now,
            claim_due: now,
        }
    }

    /// Dials until the drain, then until every call has ended and is recorded.
    pub async fn run(mut self) {
        while !self.is_done() {
            self.take_reports();
            if let Err(error) = self.step().await {
                tracing::warn!(service_instance = %self.id, %error, "the dialling waits for the store");
                self.look_due = Instant::now() + POLL;
                self.claim_due = self.look_due;
            }
            self.show();
            self.wait().await;
        }
        self.show();
    }

    fn show(&self) {
        let dials = self.fence.as_ref().is_some_and(|fence| self.tenure.borrow().holds(fence.epoch));
        self.meters.set(dials, &self.pool);
    }

    fn is_done(&self) -> bool {
        self.context.drain.is_cancelled() && self.open.is_empty() && !self.in_doubt
    }

    async fn step(&mut self) -> Result<(), StoreError> {
        self.pool.expire(Instant::now());
        if self.save_due <= Instant::now() && self.fence.is_some() {
            self.save_due = Instant::now() + SAVE;
            self.save_progress().await;
        }
        let epoch = self.tenure.borrow_and_update().epoch;
        let Some(epoch) = epoch.filter(|_| !self.context.drain.is_cancelled()) else {
            self.fence = None;
            self.share(0);
            self.leave_to_others();
            return self.settle_without_lease().await;
        };
        if self.look_due <= Instant::now() || self.fence.as_ref().is_none_or(|fence| fence.epoch != epoch) {
            self.look_due = Instant::now() + POLL;
            self.look(epoch).await?;
        }
        self.complete_tasks().await?;
        self.claim_round().await
    }

    /// Tells the trunk how many calls per second come from here.
    fn share(&self, calls_per_second: u32) {
        if let Some(dialer) = &self.dialer {
            dialer.share(&self.id, calls_per_second);
        }
    }

    fn take_reports(&mut self) {
        while let Ok(report) = self.reports.1.try_recv() {
            self.take(report);
        }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::CallEnded { slot } => self.pool.ended(slot, Instant::now()),
            Report::CallLost { slot, attempt } => self.call_lost(slot, *attempt),
            Report::HandedOver { key, attempt } => {
                if self.open.get(&key) == Some(&attempt) {
                    self.open.remove(&key);
                }
            }
            Report::Recorded { key, attempt, recorded, call } => {
                call.into_iter().for_each(|call| self.meters.ended(call));
                self.recorded((key, attempt), recorded);
            }
        }
    }

    fn recorded(&mut self, (key, attempt): (CalleeKey, u32), recorded: Recorded) {
        // The next attempt may have begun before this word of the last one came.
        if self.open.get(&key) != Some(&attempt) {
            return;
        }
        self.open.remove(&key);
        let Some(queue) = self.tasks.get_mut(&key.task) else { return };
        queue.open = queue.open.saturating_sub(1);
        queue.progress.calling = queue.progress.calling.saturating_sub(1);
        queue.unsaved = true;
        queue.maybe_done = true;
        match recorded {
            Recorded::Completed(result) => queue.progress.completed_with(result),
            Recorded::Failed => queue.progress.failed += 1,
            Recorded::Waiting => queue.redials_changed(),
        }
    }

    /// Calls that others see to are counted by whoever has the lease: a takeover finds them in the store again.
    fn leave_to_others(&mut self) {
        for (_, slot) in self.foreign.drain() {
            self.pool.ended(slot, Instant::now());
        }
    }

    fn call_lost(&mut self, slot: Slot, attempt: Attempt) {
        tracing::error!(call = ?attempt.view().call_id(), "ALARM: the watcher of a call fell; asking the dialer");
        match self.dialer.as_ref().map(|dialer| dialer.fate(attempt.view().call_id())) {
            // Its slot stays held: nobody will tell when it ends.
            Some(Fate::InTheAir) => drop(self.foreign.insert(attempt.callee.key, slot)),
            Some(Fate::Gone | Fate::Unknown) | None => self.pool.ended(slot, Instant::now()),
        }
        let now = self.context.clock.now();
        let what = attempt.ended(&self.context, CallEnd::unknown(now, now));
        drop(self.recorder.send(Ending { what, owner: self.reports.0.clone() }));
    }

    /// Counts an attempt as open until its end is recorded.
    fn note_open(&mut self, key: CalleeKey, attempt: u32) {
        if self.open.insert(key, attempt).is_none()
            && let Some(queue) = self.tasks.get_mut(&key.task)
        {
            queue.open += 1;
            queue.progress.calling += 1;
            queue.unsaved = true;
        }
    }

    async fn complete_tasks(&mut self) -> Result<(), StoreError> {
        // Also where nothing may be claimed, as on a retired service instance.
        for queue in self.tasks.values_mut().filter(|queue| queue.running && queue.open == 0 && queue.wants_filling()) {
            queue.fill(&self.context.store).await?;
        }
        let foreign = |task| self.foreign.keys().any(|key| key.task == task);
        let candidates: Vec<TaskNo> = self
            .tasks
            .iter()
            .filter(|(no, queue)| queue.running && queue.maybe_done && queue.is_idle() && !foreign(**no))
            .map(|(no, _)| *no)
            .collect();
        for no in candidates {
            let Some(queue) = self.tasks.get_mut(&no) else { continue };
            queue.maybe_done = false;
            match try_complete(&self.context, queue.task.settings.id).await? {
                Completion::Done | Completion::NotRunning => self.look_due = Instant::now(),
                Completion::NotYet(census) if census.open > 0 || census.waiting > 0 => {}
                Completion::NotYet(census) if census.imported > queue.claimed() => queue.look_again(),
                Completion::NotYet(_) => {
                    tracing::error!(task = %queue.task.settings.id, "ALARM: a callee was passed over; reading again");
                    queue.start_over();
                }
            }
        }
        Ok(())
    }

    async fn save_progress(&mut self) {
        let unsaved: Vec<_> = self
            .tasks
            .iter_mut()
            .filter_map(|(no, queue)| std::mem::take(&mut queue.unsaved).then(|| (*no, queue.progress.clone())))
            .collect();
        if !unsaved.is_empty()
            && let Err(error) = self.context.store.save_progress(&unsaved).await
        {
            tracing::debug!(%error, "progress was not saved; the next save has it");
            for (no, _) in unsaved {
                self.tasks.entry(no).and_modify(|queue| queue.unsaved = true);
            }
        }
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self) {
        let (until, hour) = (self.next_moment(), self.hour());
        tokio::select! {
            Some(report) = self.reports.1.recv() => self.take(report),
            () = self.wake.notified() => self.look_due = Instant::now(),
            Ok(()) = self.tenure.changed() => {}
            () = tokio::time::sleep_until(until.into()) => {}
            () = Self::next_hour(&*self.context.clock, hour) => {}
            () = self.context.drain.cancelled(), if self.fence.is_some() => {}
        }
    }

    fn next_moment(&self) -> Instant {
        let now = Instant::now();
        if self.fence.is_none() {
            return now + POLL;
        }
        if self.round_was_full {
            return now;
        }
        let mut until = self.look_due.min(self.save_due);
        if let Some(opening) = self.dialer.as_ref().and_then(|dialer| dialer.closed_until()) {
            until = until.min(opening);
        }
        if let Some(change) = self.pool.next_change() {
            until = until.min(change.max(self.claim_due));
        }
        let room_now = self.claim_due > now && self.tasks.values().any(TaskQueue::has_candidates);
        if room_now {
            until = until.min(self.claim_due);
        }
        until
    }
}
