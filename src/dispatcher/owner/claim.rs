//! Claiming and placing: slot first, then the claim, then the last check, then the call.

use std::time::{Duration, Instant};

use super::Owner;
use crate::dialer::Admission;
use crate::dispatcher::attempt::{Attempt, watch};
use crate::dispatcher::recorder::Ending;
use crate::domain::ids::CalleeKey;
use crate::domain::pool::Slot;
use crate::safeguards::{Safeguard, is_on};
use crate::store::StoreError;
use crate::store::attempts::{ClaimedAttempt, NewAttempt};

/// Claims for one statement.
const BATCH: usize = 500;
/// A licence that is older is not used.
pub(super) const LICENCE_LIFE: Duration = Duration::from_secs(2);
/// Slots that come free within this time are claimed together.
const GATHERING: Duration = Duration::from_millis(5);
/// Ends that may wait to be recorded before the claiming stops.
const MOST_UNRECORDED: usize = 50_000;

/// A callee with its slot, about to be claimed.
struct Pick {
    attempt: Attempt,
    redial: bool,
    slot: Slot,
    /// Counts with the trunk until the call is placed or put back.
    admission: Admission,
}

impl Owner {
    /// Claims and places what can be placed now.
    pub(super) async fn claim_round(&mut self) -> Result<(), StoreError> {
        self.round_was_full = false;
        if !self.may_claim() {
            return Ok(());
        }
        for queue in self.tasks.values_mut().filter(|queue| queue.running && queue.wants_filling()) {
            queue.fill(&self.context.store).await?;
        }
        let picks = self.pick();
        if picks.is_empty() {
            return Ok(());
        }
        self.round_was_full = picks.len() == BATCH;
        self.claim_due = Instant::now() + if self.round_was_full { Duration::ZERO } else { GATHERING };
        let (redials, fresh): (Vec<_>, Vec<_>) = picks.into_iter().partition(|pick| pick.redial);
        self.claim(redials, true).await;
        self.claim(fresh, false).await;
        Ok(())
    }

    fn may_claim(&mut self) -> bool {
        let now = Instant::now();
        let Some(fence) = &self.fence else { return false };
        !self.in_doubt
            && self.claim_due <= now
            && self.dialer.as_ref().is_some_and(|dialer| dialer.closed_until().is_none())
            && self.tenure.borrow().holds(fence.epoch)
            && self.context.store.feed().unpublished() < self.context.high_water
            && self.open.len() < self.pool.held() as usize + MOST_UNRECORDED
            && self.pool.room(now) > 0
    }

    fn pick(&mut self) -> Vec<Pick> {
        let (now, clock_now) = (Instant::now(), self.context.clock.now());
        let open = self.open_tasks(clock_now);
        let mut picks: Vec<Pick> = Vec::new();
        while picks.len() < BATCH {
            let Some(admission) = self.dialer.as_ref().and_then(|dialer| dialer.admit()) else { break };
            // Ready redials go first, up to half.
            let redial = picks.len().is_multiple_of(2);
            let (pool, tasks) = (&mut self.pool, &mut self.tasks);
            let picked = self.rotation.next(|no| {
                let queue = tasks.get_mut(&no).filter(|_| open.contains(&no))?;
                if !queue.has_candidates() || !pool.task_has_room(no) {
                    return None;
                }
                let slot = pool.take(now, no, queue.number_of_next(clock_now, redial))?;
                let Some(candidate) = queue.next(clock_now, redial) else {
                    pool.give_back(slot);
                    return None;
                };
                let attempt = Attempt {
                    task: queue.view(),
                    callee: candidate.callee,
                    attempt: candidate.attempt,
                    tally: candidate.tally,
                    caller_number: slot.caller_number().clone(),
                };
                Some((attempt, candidate.redial, slot))
            });
            let Some((attempt, redial, slot)) = picked else { break };
            picks.push(Pick { attempt, redial, slot, admission });
        }
        picks
    }

    async fn claim(&mut self, picks: Vec<Pick>, redials: bool) {
        let Some(fence) = self.fence.clone().filter(|_| !picks.is_empty() && !self.in_doubt) else {
            return self.put_back(picks);
        };
        let rows: Vec<NewAttempt> = picks.iter().map(|pick| pick.attempt.row()).collect();
        let asked = Instant::now();
        let store = &self.context.store;
        let claimed = match redials {
            true => store.claim_waiting(&fence, &rows).await,
            false => store.claim_fresh(&fence, &rows).await,
        };
        match claimed {
            Ok(claimed) => {
                let claimed: Vec<CalleeKey> = claimed.into_iter().map(ClaimedAttempt::key).collect();
                self.place_claimed(picks, &claimed, asked).await;
            }
            Err(_) if !is_on(Safeguard::CommitSeen) => {
                let hoped: Vec<CalleeKey> = picks.iter().map(|pick| pick.attempt.callee.key).collect();
                self.place_claimed(picks, &hoped, asked).await;
            }
            Err(error) => {
                // The statement may have committed all the same: nothing of it is dialled before that is known.
                tracing::warn!(service_instance = %self.id, %error, "a claim is in doubt");
                self.in_doubt = true;
                self.put_back(picks);
            }
        }
    }

    async fn place_claimed(&mut self, picks: Vec<Pick>, claimed: &[CalleeKey], asked: Instant) {
        let all = claimed.len() == picks.len();
        let claimed: std::collections::HashSet<_> = claimed.iter().copied().collect();
        let (licensed, refused): (Vec<_>, Vec<_>) =
            picks.into_iter().partition(|pick| claimed.contains(&pick.attempt.callee.key));
        if !all {
            // The fence moved, or redials went: what is known of the tasks may be wrong.
            self.put_back(refused);
            self.forget();
        }
        let mut unused = Vec::new();
        for pick in licensed {
            unused.extend(self.place(pick, asked));
        }
        self.give_back(unused).await;
    }

    /// Places a call, after a last check; gives the callee's key back when the licence was not used.
    fn place(&mut self, pick: Pick, asked: Instant) -> Option<CalleeKey> {
        let Pick { attempt, mut slot, redial, admission: _admission } = pick;
        let key = attempt.callee.key;
        let clock_now = self.context.clock.now();
        let placing = self.tasks.get_mut(&key.task).and_then(|queue| {
            if !redial {
                queue.note_claimed(key.seq);
            }
            let open = queue.gate.is_open(clock_now) && self.numbers.is_open(slot.caller_number(), clock_now);
            (open || !is_on(Safeguard::LastCheck)).then(|| attempt.order(&queue.task))
        });
        let trusted = self.fence.as_ref().is_some_and(|fence| self.tenure.borrow().holds(fence.epoch));
        let (Some(order), Some(dialer), true) = (placing, &self.dialer, trusted && asked.elapsed() < LICENCE_LIFE)
        else {
            self.pool.give_back(slot);
            return Some(key);
        };
        // No await between the check above and this.
        let placed = dialer.place(order);
        let now = Instant::now();
        self.note_open(key, attempt.attempt);
        match placed {
            Ok(call) => {
                self.pool.placed(&mut slot, now);
                self.meters.placed();
                let ways = (self.reports.0.clone(), self.recorder.clone());
                tokio::spawn(watch(self.context.clone(), call, (slot, Box::new(attempt)), ways));
            }
            Err(reason) => {
                self.pool.give_back(slot);
                let what = attempt.failed(&self.context, reason);
                drop(self.recorder.send(Ending { what, owner: self.reports.0.clone() }));
            }
        }
        None
    }

    /// Takes back slots whose callees were not claimed; they are read again.
    fn put_back(&mut self, picks: Vec<Pick>) {
        if picks.is_empty() {
            return;
        }
        for pick in picks {
            self.pool.give_back(pick.slot);
        }
        self.forget();
    }

    /// Looks at everything again before the next claim.
    fn forget(&mut self) {
        self.tasks.values_mut().for_each(crate::dispatcher::task_queue::TaskQueue::forget);
        self.look_due = Instant::now();
    }

    /// Returns licences that were not used: the same attempts are due at once.
    pub(super) async fn give_back(&mut self, keys: Vec<CalleeKey>) {
        if keys.is_empty() {
            return;
        }
        tracing::info!(service_instance = %self.id, licences = keys.len(), "licences came too late and are returned");
        if let Err(error) = self.context.store.give_back(&keys, self.context.clock.now()).await {
            tracing::warn!(service_instance = %self.id, %error, "a return of licences is in doubt");
            self.in_doubt = true;
        }
        self.forget();
    }
}
