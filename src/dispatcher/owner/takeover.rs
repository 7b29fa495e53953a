//! Looking at the store: what the lease, the service instance and its tasks are now, and whose attempts are open.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::Owner;
use super::claim::LICENCE_LIFE;
use crate::dialer::{Fate, PlacedCall};
use crate::dispatcher::attempt::{Attempt, watch};
use crate::dispatcher::recorder::Ending;
use crate::dispatcher::task_queue::TaskQueue;
use crate::domain::call::CallEnd;
use crate::domain::ids::{CalleeKey, TaskNo};
use crate::domain::phone_number::PhoneNumber;
use crate::domain::pool::Slot;
use crate::safeguards::{Safeguard, is_on};
use crate::store::StoreError;
use crate::store::attempts::OpenAttempt;
use crate::store::tasks::Work;

/// What an open attempt turned out to be.
enum Settled {
    /// Somebody sees to its end.
    Watched,
    /// A licence that was never used.
    Unused(CalleeKey),
    /// Nobody can say how it went on.
    Lost,
}

impl Owner {
    /// Brings everything up to date; after a takeover or a doubt it also settles what is open.
    pub(super) async fn look(&mut self, epoch: i64) -> Result<(), StoreError> {
        let doubted = self.in_doubt;
        let looked = self.look_closely(epoch).await;
        // What was to be settled and was not is still in doubt.
        self.in_doubt |= doubted && looked.is_err();
        looked
    }

    async fn look_closely(&mut self, epoch: i64) -> Result<(), StoreError> {
        let taken_over = self.fence.as_ref().is_none_or(|fence| fence.epoch != epoch);
        let store = self.context.store.clone();
        // The fence before all the rest: what is read after it is at least as new as it says.
        let in_doubt = std::mem::take(&mut self.in_doubt);
        let fence = match in_doubt {
            true => store.move_fence(&self.id, epoch).await?,
            false => store.fence(&self.id, epoch).await?,
        };
        let Some(fence) = fence else {
            self.fence = None;
            self.in_doubt = in_doubt;
            return Ok(());
        };
        if taken_over {
            // What was counted under another lease may have gone on without us.
            self.tasks.retain(|_, queue| queue.open > 0);
        }
        let moved = self.fence.as_ref() != Some(&fence);
        let Some(work) = store.work(&self.id).await? else { return Ok(()) };
        self.take_up(work).await?;
        if taken_over || in_doubt || !self.foreign.is_empty() {
            self.settle().await?;
        }
        for queue in self.tasks.values_mut() {
            if moved { queue.forget() } else { queue.look_again() }
        }
        self.fence = Some(fence);
        Ok(())
    }

    async fn take_up(&mut self, work: Work) -> Result<(), StoreError> {
        let instance = &work.service_instance;
        let dialer = self.context.trunks.get(&instance.trunk);
        let stays = dialer.as_ref().zip(self.dialer.as_ref()).is_some_and(|(new, old)| Arc::ptr_eq(new, old));
        if !stays {
            self.share(0);
        }
        self.dialer = dialer;
        self.meters.set_trunk(&instance.trunk);
        let capacity = self.context.capacity(&instance.trunk);
        let share = capacity.scale(instance.share, work.trunk_load);
        if share != instance.share {
            let trunk = &instance.trunk;
            tracing::error!(%trunk, "ALARM: the trunk's limits are below the shares on it; every share is scaled down");
        }
        self.share(if share.max_concurrent == 0 { 0 } else { share.max_cps });
        self.pool.set_limits(share, &instance.caller_numbers);
        self.numbers.set(&instance.caller_numbers);
        let running: Vec<TaskNo> = work.tasks.iter().map(|task| task.no).collect();
        // A task that was stopped is counted on while its calls are up.
        self.tasks.retain(|no, queue| {
            queue.running = running.contains(no);
            queue.running || queue.open > 0 || queue.unsaved
        });
        for task in &work.tasks {
            match self.tasks.get_mut(&task.no) {
                Some(queue) => queue.set_task(task.clone()),
                None => {
                    let census = self.context.store.census(task.no).await?;
                    let mut queue = TaskQueue::new(task.clone(), &census);
                    queue.open = u32::try_from(self.open.keys().filter(|key| key.task == task.no).count()).unwrap_or(0);
                    queue.progress.calling = u64::from(queue.open);
                    self.tasks.insert(task.no, queue);
                }
            }
        }
        let limits: Vec<_> = work.tasks.iter().map(|task| (task.no, task.settings.concurrency)).collect();
        self.pool.set_tasks(&limits);
        self.rotation.set(&running);
        Ok(())
    }

    /// Settles every open attempt that this owner does not watch. It is read in a statement of its own, after the
    /// takeover committed, so nothing of the predecessor can be added behind our back.
    async fn settle(&mut self) -> Result<(), StoreError> {
        let open = self.context.store.open_attempts(&self.id).await?;
        let here: HashSet<CalleeKey> = open.iter().map(|attempt| attempt.callee.key).collect();
        let ended: Vec<CalleeKey> = self.foreign.keys().filter(|key| !here.contains(key)).copied().collect();
        for key in ended {
            if let Some(slot) = self.foreign.remove(&key) {
                self.pool.ended(slot, Instant::now());
                self.recount(key.task).await?;
            }
        }
        let (mut unused, mut lost) = (Vec::new(), 0);
        for attempt in open {
            match self.settle_one(attempt).await? {
                Settled::Watched => {}
                Settled::Unused(key) => unused.push(key),
                Settled::Lost => lost += 1,
            }
        }
        if lost > 0 {
            tracing::warn!(
                lost,
                "the daemon of these calls is silent: their outcome is unknown, their slots stay held"
            );
        }
        self.give_back(unused).await;
        Ok(())
    }

    /// Settles a doubt after the lease was lost: nobody else can know that these licences were never used. While the
    /// lease's row still names us, a claim may still come through, and the lease may come back.
    pub(super) async fn settle_without_lease(&mut self) -> Result<(), StoreError> {
        if !self.in_doubt || self.context.store.holds_lease(&self.id).await? {
            return Ok(());
        }
        let (holder, open) = (self.context.store.holder(), self.context.store.open_attempts(&self.id).await?);
        let ours = open.into_iter().filter(|open| open.holder == holder && !open.is_live).map(|open| open.callee.key);
        let unused: Vec<CalleeKey> = ours.filter(|key| !self.open.contains_key(key)).collect();
        self.in_doubt = false;
        self.give_back(unused).await;
        Ok(())
    }

    async fn settle_one(&mut self, open: OpenAttempt) -> Result<Settled, StoreError> {
        let key = open.callee.key;
        let ours = open.holder == self.context.store.holder();
        if self.open.contains_key(&key) {
            return Ok(Settled::Watched);
        }
        // Ours, and we did not place it: a claim whose answer was lost.
        if ours && !open.is_live {
            return Ok(Settled::Unused(key));
        }
        // Somebody sees to its end: its daemon, or whoever goes on with it at its address.
        if (open.holder_alive && !ours) || (open.is_live && !self.is_overdue(&open)) {
            self.hold(key, open.caller_number);
            return Ok(Settled::Watched);
        }
        if open.is_live
            && let Some(left) = self.context.store.adopt_overdue(open.call_id(), open.holder).await?
            && let Some(call) = self.dialer.as_ref().and_then(|dialer| dialer.resume(left))
        {
            self.end_overdue(call, open);
            return Ok(Settled::Watched);
        }
        Ok(self.resolve(open))
    }

    fn hold(&mut self, key: CalleeKey, caller_number: PhoneNumber) {
        if !self.foreign.contains_key(&key) {
            let slot = self.slot_elsewhere(key, caller_number);
            self.foreign.insert(key, slot);
        }
    }

    /// The slot of a call that was placed elsewhere: from now on it counts here.
    fn slot_elsewhere(&mut self, key: CalleeKey, caller_number: PhoneNumber) -> Slot {
        match is_on(Safeguard::SlotsAtTakeover) {
            true => self.pool.hold(key.task, caller_number),
            false => Slot::uncounted(key.task, caller_number),
        }
    }

    /// Whether a call has outlived its limits: nobody has come back to its address to end it.
    fn is_overdue(&self, open: &OpenAttempt) -> bool {
        let limits = open.ring_timeout + open.max_talk;
        let longest = self.dialer.as_ref().map_or(limits, |dialer| dialer.longest(open.ring_timeout, open.max_talk));
        open.age > LICENCE_LIFE + longest
    }

    /// Watches a call of another address that is being hung up from here.
    fn end_overdue(&mut self, call: PlacedCall, open: OpenAttempt) {
        let key = open.callee.key;
        let held = self.foreign.remove(&key);
        let slot = held.unwrap_or_else(|| self.slot_elsewhere(key, open.caller_number.clone()));
        tracing::warn!(call = %open.call_id(), "nobody came back for a call: it is hung up from here");
        let attempt = Attempt::from(open);
        self.note_open(key, attempt.attempt);
        let senders = (self.reports.0.clone(), self.recorder.clone());
        tokio::spawn(watch(self.context.clone(), call, (slot, Box::new(attempt)), senders));
    }

    /// Settles an attempt whose daemon is gone. "Gone" means silent: it may only be suspended, and its calls up. So its
    /// slot is held as long as the call can last, also where the outcome is told at once because calls of this trunk end with
    /// their process.
    fn resolve(&mut self, open: OpenAttempt) -> Settled {
        let key = open.callee.key;
        let held = self.foreign.remove(&key);
        let slot = held.unwrap_or_else(|| self.slot_elsewhere(key, open.caller_number.clone()));
        let (age, started_at) = (open.age, open.claimed_at);
        let limits = (open.ring_timeout, open.max_talk);
        let attempt = Attempt::from(open);
        let call = attempt.view().call_id();
        let longest = self.dialer.as_ref().map_or(limits.0 + limits.1, |dialer| dialer.longest(limits.0, limits.1));
        let left = (LICENCE_LIFE + longest).saturating_sub(age);
        match self.dialer.as_ref().map(|dialer| dialer.fate(call)) {
            Some(Fate::InTheAir) => {
                self.foreign.insert(key, slot);
                return Settled::Watched;
            }
            // It stays open meanwhile, so that whoever has the lease next holds its slot as well.
            Some(Fate::Unknown) if !left.is_zero() => {
                self.foreign.insert(key, slot);
                return Settled::Watched;
            }
            _ => self.pool.linger(slot, Instant::now() + left),
        }
        tracing::debug!(%call, "its daemon is silent: the outcome is unknown");
        self.note_open(key, attempt.attempt);
        let what = attempt.ended(&self.context, CallEnd::unknown(started_at, self.context.clock.now()));
        drop(self.recorder.send(Ending { what, owner: self.reports.0.clone() }));
        Settled::Lost
    }

    async fn recount(&mut self, task: TaskNo) -> Result<(), StoreError> {
        if let Some(queue) = self.tasks.get_mut(&task).filter(|queue| queue.open == 0) {
            let census = self.context.store.census(task).await?;
            let calling = queue.progress.calling;
            queue.progress = census.progress;
            queue.progress.calling = calling;
            queue.unsaved = true;
            queue.look_again();
        }
        Ok(())
    }
}
