//! One attempt between its claim and its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Context;
use super::owner::Report;
use super::recorder::{Ending, EndingKind};
use crate::bus::wire::v1::events::{AttemptView, CalleeFailure};
use crate::dialer::{CallOrder, Outcome, PlacedCall};
use crate::domain::call::CallEnd;
use crate::domain::callee::{Callee, FailedReason};
use crate::domain::phone_number::PhoneNumber;
use crate::domain::pool::Slot;
use crate::domain::redial::{RedialTerms, Tally};
use crate::store::attempts::{EndedAttempt, FailedCallee, NewAttempt, OpenAttempt};
use crate::store::tasks::RunningTask;

/// An attempt, with all that its end will need.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub task: TaskView,
    pub callee: Callee,
    pub attempt: u32,
    pub tally: Tally,
    pub caller_number: PhoneNumber,
}

/// What an attempt needs of its task.
#[derive(Debug, Clone)]
pub struct TaskView {
    pub id: crate::domain::ids::TaskId,
    pub name: Arc<str>,
    pub terms: Arc<RedialTerms>,
}

impl From<OpenAttempt> for Attempt {
    fn from(open: OpenAttempt) -> Self {
        Self {
            task: TaskView { id: open.task_id, name: open.task_name.into(), terms: open.terms.into() },
            callee: open.callee,
            attempt: open.attempt,
            tally: open.tally,
            caller_number: open.caller_number,
        }
    }
}

impl Attempt {
    pub fn view(&self) -> AttemptView<'_> {
        AttemptView {
            task: self.task.id,
            task_name: &self.task.name,
            callee: &self.callee,
            attempt: self.attempt,
            caller_number: &self.caller_number,
        }
    }

    /// The row that the claim writes.
    pub fn row(&self) -> NewAttempt {
        NewAttempt {
            key: self.callee.key,
            attempt: self.attempt,
            tally: self.tally,
            caller_number: self.caller_number.e164().to_owned(),
            call: self.view().call_id(),
        }
    }

    /// The call to be placed.
    pub fn order(&self, task: &RunningTask) -> CallOrder {
        let value = |key: &String| Some((key.clone(), self.callee.variables.get(key)?.clone()));
        let variables = task.agent.variables.iter().filter_map(|variable| value(&variable.key)).collect();
        CallOrder {
            call_id: self.view().call_id(),
            task_id: self.task.id,
            callee_id: self.callee.id(self.task.id),
            out_id: self.callee.out_id.clone(),
            variables,
            called: self.callee.called_number.clone(),
            caller: self.caller_number.clone(),
            attempt: self.attempt,
            agent: task.agent.clone(),
            ring_timeout: Duration::from_secs(u64::from(task.settings.ring_timeout_seconds)),
            max_talk: Duration::from_secs(u64::from(task.settings.max_talk_seconds)),
        }
    }

    /// Judges the end of the call, for the recorder.
    pub fn ended(&self, context: &Context, end: CallEnd) -> EndingKind {
        let verdict = context.uncounted.judge(&end, self.tally, &self.task.terms);
        let event = context.events.call_ended(self.view(), &end, verdict);
        let (key, attempt) = (self.callee.key, self.attempt);
        EndingKind::Attempt(Box::new(EndedAttempt { key, attempt, end, verdict, event }))
    }

    /// The callee cannot be called at all.
    pub fn failed(&self, context: &Context, reason: FailedReason) -> EndingKind {
        let failed_at = context.clock.now();
        let (callee, key, attempt) = (&self.callee, self.callee.key, self.attempt);
        let failure = CalleeFailure { task: self.task.id, callee, attempts: attempt - 1, reason, at: failed_at };
        let event = context.events.callee_failed(failure);
        EndingKind::Callee(Box::new(FailedCallee { key, attempt, reason, failed_at, event }))
    }
}

/// Gives the slot back to the owner whatever happens, also when the waiting panics.
struct SlotGuard {
    held: Option<(Slot, Box<Attempt>)>,
    owner: mpsc::UnboundedSender<Report>,
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        if let Some((slot, attempt)) = self.held.take() {
            drop(self.owner.send(Report::CallLost { slot, attempt }));
        }
    }
}

/// Waits for the end of a placed call, sends it to the recorder, and the slot to the owner.
pub async fn watch(
    context: Arc<Context>,
    call: PlacedCall,
    (slot, attempt): (Slot, Box<Attempt>),
    (owner, recorder): (mpsc::UnboundedSender<Report>, mpsc::UnboundedSender<Ending>),
) {
    let mut guard = SlotGuard { held: Some((slot, attempt)), owner };
    let Some(outcome) = call.outcome().await else { return };
    if let Some((slot, attempt)) = guard.held.take() {
        let end = match outcome {
            Outcome::Ended(end) => end,
            Outcome::HandedOver => {
                let (key, attempt) = (attempt.callee.key, attempt.attempt);
                return drop(guard.owner.send(Report::HandedOver { key, attempt }));
            }
        };
        let what = attempt.ended(&context, end);
        // The recorder outlives everyone who sends to it, and the owner outlives its calls.
        drop(recorder.send(Ending { what, owner: guard.owner.clone() }));
        drop(guard.owner.send(Report::CallEnded { slot }));
    }
}
