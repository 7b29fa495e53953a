//! The callees of one running task that are next, in its owner's memory.
//!
//! Fresh callees are read ahead from a cursor; redials are read by their due time. Nothing here is a licence:
//! what is read ahead may be claimed by nobody else, but may be cancelled, and then the claim finds the fence
//! moved and all this is read again.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::attempt::TaskView;
use crate::domain::callee::Callee;
use crate::domain::calling_window::Gate;
use crate::domain::phone_number::PhoneNumber;
use crate::domain::progress::Progress;
use crate::domain::redial::{RedialTerms, Tally};
use crate::store::attempts::DueRedial;
use crate::store::progress::Census;
use crate::store::tasks::RunningTask;
use crate::store::{Store, StoreError};

/// Callees read ahead at once.
const READ_AHEAD: i64 = 2_000;
/// Redials read ahead at once.
const REDIALS: i64 = 500;
/// Below so many, more are read.
const LOW: usize = 500;

/// A callee that could be called now.
#[derive(Debug)]
pub struct Candidate {
    pub callee: Callee,
    pub attempt: u32,
    pub tally: Tally,
    /// It waited in the redials; else it was never called.
    pub redial: bool,
}

/// One task of an owner.
#[derive(Debug)]
pub struct TaskQueue {
    pub task: RunningTask,
    pub progress: Progress,
    /// Its callees may be claimed.
    pub running: bool,
    /// The progress changed since it was saved.
    pub unsaved: bool,
    /// Something happened after which the task may be done.
    pub maybe_done: bool,
    /// Attempts whose end is not recorded.
    pub open: u32,
    /// When it may call.
    pub gate: Gate,
    name: Arc<str>,
    terms: Arc<RedialTerms>,
    claimed: i64,
    read: i64,
    fresh: VecDeque<Callee>,
    exhausted: bool,
    redials: VecDeque<DueRedial>,
    redials_stale: bool,
}

impl TaskQueue {
    pub fn new(task: RunningTask, census: &Census) -> Self {
        Self {
            gate: Gate::new(task.settings.window.clone()),
            name: task.settings.name.as_str().into(),
            terms: task.settings.redial_terms().into(),
            task,
            progress: Progress { calling: 0, ..census.progress.clone() },
            running: true,
            unsaved: true,
            maybe_done: true,
            open: 0,
            claimed: census.cursor,
            read: census.cursor,
            fresh: VecDeque::new(),
            exhausted: false,
            redials: VecDeque::new(),
            redials_stale: true,
        }
    }

    /// Takes over the task's settings as they are now.
    pub fn set_task(&mut self, task: RunningTask) {
        if task.settings != self.task.settings {
            let Self { gate, name, terms, .. } = Self::new(task.clone(), &Census::default());
            (self.gate, self.name, self.terms) = (gate, name, terms);
        }
        let before = self.progress.cancelled;
        self.progress.cancelled_so_far(task.cancelled);
        self.unsaved |= self.progress.cancelled > before;
        self.task = task;
    }

    /// Forgets what was read ahead: it may not be true any more.
    pub fn forget(&mut self) {
        self.fresh.clear();
        self.redials.clear();
        self.read = self.claimed;
        self.look_again();
    }

    /// Something may have been added.
    pub fn look_again(&mut self) {
        self.exhausted = false;
        self.redials_stale = true;
        self.maybe_done = true;
    }

    /// Redials were written.
    pub fn redials_changed(&mut self) {
        self.redials_stale = true;
    }

    /// A callee was passed over: begins again at the first.
    pub fn start_over(&mut self) {
        self.claimed = 0;
        self.forget();
    }

    /// The highest place up to which nobody is fresh.
    pub fn claimed(&self) -> i64 {
        self.claimed
    }

    /// Everything up to this callee is claimed.
    pub fn note_claimed(&mut self, seq: i64) {
        self.claimed = self.claimed.max(seq);
    }

    /// Reads more if little is left.
    pub async fn fill(&mut self, store: &Store) -> Result<(), StoreError> {
        if self.redials_stale {
            self.redials = store.redials(self.task.no, REDIALS).await?.into();
            self.redials_stale = false;
        }
        if self.fresh.len() < LOW && !self.exhausted {
            let more = store.read_ahead(self.task.no, self.read, READ_AHEAD).await?;
            self.exhausted = more.len() < usize::try_from(READ_AHEAD).unwrap_or(0);
            if let Some(first) = more.first().filter(|_| self.read == self.claimed) {
                // Who is passed over is final, open or waiting, and will never be fresh again: a long row of cancelled
                // callees is read past once.
                self.claimed = first.key.seq - 1;
            }
            self.read = more.last().map_or(self.read, |callee| callee.key.seq);
            self.fresh.extend(more);
        }
        Ok(())
    }

    /// Whether a redial is next, when one is wanted or not; `None` when nobody is.
    fn redial_is_next(&self, now: DateTime<Utc>, wanted: bool) -> Option<bool> {
        let due = self.redials.front().is_some_and(|redial| redial.due_at <= now);
        match due && (wanted || self.fresh.is_empty()) {
            true => Some(true),
            false => (!self.fresh.is_empty()).then_some(false),
        }
    }

    /// The caller number that the next callee was called from, and should be called from again.
    pub fn number_of_next(&self, now: DateTime<Utc>, redial: bool) -> Option<&PhoneNumber> {
        self.redial_is_next(now, redial)?.then(|| self.redials.front())?.and_then(|next| next.caller_number.as_ref())
    }

    /// The next callee, `redial` or fresh as asked, else the other kind.
    pub fn next(&mut self, now: DateTime<Utc>, redial: bool) -> Option<Candidate> {
        if self.redial_is_next(now, redial)? {
            let DueRedial { callee, attempt, tally, .. } = self.redials.pop_front()?;
            if self.redials.is_empty() {
                self.redials_stale = true;
            }
            return Some(Candidate { callee, attempt, tally, redial: true });
        }
        let callee = self.fresh.pop_front()?;
        Some(Candidate { callee, attempt: 1, tally: Tally::default(), redial: false })
    }

    /// True when somebody is there to be called, now or when due.
    pub fn has_candidates(&self) -> bool {
        !self.fresh.is_empty() || !self.redials.is_empty()
    }

    /// What an attempt needs of the task.
    pub fn view(&self) -> TaskView {
        TaskView { id: self.task.settings.id, name: self.name.clone(), terms: self.terms.clone() }
    }

    /// When the next redial is due, if one waits.
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        self.redials.front().map(|redial| redial.due_at)
    }

    /// True when, as far as memory knows, nothing is left to do.
    pub fn is_idle(&self) -> bool {
        self.exhausted && self.fresh.is_empty() && self.redials.is_empty() && !self.redials_stale && self.open == 0
    }

    /// True when nothing can be claimed before something is read.
    pub fn wants_filling(&self) -> bool {
        self.redials_stale || (self.fresh.len() < LOW && !self.exhausted)
    }
}
