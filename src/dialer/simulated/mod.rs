//! A carrier that is made up: for the demo, for tests, and for trying a task before it costs anything.
//!
//! It keeps its own limits and its own record of every call, and shares nothing with the counting of those
//! who place the calls: that is what makes it a witness. Its calls die with the process.

mod record;
mod script;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{CallOrder, Dialer, Fate, Outcome, PlacedCall};
use crate::clock::Clock;
use crate::domain::call::{CallEnd, CallResult, HangupBy, Scope, SipEvidence};
use crate::domain::callee::FailedReason;
use crate::domain::ids::CallId;
use crate::domain::service_instance::TrunkCapacity;
use crate::settings::{Forced, SimulatedTrunk};
use record::Record;
use script::Script;

/// The dialer of a simulated trunk.
#[derive(Debug)]
pub struct SimulatedDialer {
    settings: SimulatedTrunk,
    line: Line,
    channels: Arc<Mutex<Channels>>,
}

/// What each call needs to live.
#[derive(Debug, Clone)]
struct Line {
    clock: Arc<dyn Clock>,
    record: Option<Arc<Record>>,
    hang_up: CancellationToken,
}

/// The carrier's own count of what is up.
#[derive(Debug, Default)]
struct Channels {
    up: std::collections::HashSet<CallId>,
    placings: VecDeque<Instant>,
}

impl Channels {
    /// Lets a call in, unless it is one too many.
    fn admit(&mut self, call: CallId, capacity: TrunkCapacity) -> bool {
        let now = Instant::now();
        while self.placings.front().is_some_and(|at| now.duration_since(*at) >= Duration::from_secs(1)) {
            self.placings.pop_front();
        }
        let has_room = |limit: Option<u32>, used: usize| limit.is_none_or(|limit| used < limit as usize);
        if !has_room(capacity.max_channels, self.up.len()) || !has_room(capacity.max_cps, self.placings.len()) {
            return false;
        }
        if capacity.max_cps.is_some() {
            self.placings.push_back(now);
        }
        self.up.insert(call);
        true
    }
}

/// Frees the channel when the call is over, also after a panic.
#[derive(Debug)]
struct Channel {
    call: CallId,
    channels: Arc<Mutex<Channels>>,
}

impl Drop for Channel {
    fn drop(&mut self) {
        lock(&self.channels).up.remove(&self.call);
    }
}

fn lock(channels: &Mutex<Channels>) -> MutexGuard<'_, Channels> {
    channels.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimulatedDialer {
    /// Opens the record, if there is to be one.
    pub fn new(settings: SimulatedTrunk, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let record = settings.record.as_deref().map(Record::open).transpose()?.map(Arc::new);
        let line = Line { clock, record, hang_up: CancellationToken::new() };
        Ok(Self { settings, line, channels: Arc::default() })
    }
}

impl Dialer for SimulatedDialer {
    fn place(&self, order: CallOrder) -> Result<PlacedCall, FailedReason> {
        let result = match script::outcome(&self.settings, &order) {
            Forced::NotDiallable => return Err(FailedReason::NotDiallable),
            Forced::Result(result) => result,
        };
        let script = Script::draw(&self.settings, &order, result);
        let started_at = self.line.clock.now();
        if let Some(record) = &self.line.record {
            record.placed(&order, started_at);
        }
        let (sender, outcome) = oneshot::channel();
        if lock(&self.channels).admit(order.call_id, self.settings.capacity) {
            let channel = Channel { call: order.call_id, channels: self.channels.clone() };
            let call = Call { order, script, started_at };
            tokio::spawn(self.line.clone().run(call, channel, sender));
        } else {
            // Nobody can have stopped waiting: the call is not returned yet.
            drop(sender.send(Outcome::Ended(self.line.refuse(&order, started_at))));
        }
        Ok(PlacedCall { outcome })
    }

    fn fate(&self, call: CallId) -> Fate {
        if lock(&self.channels).up.contains(&call) { Fate::InTheAir } else { Fate::Gone }
    }

    fn longest(&self, ring_timeout: Duration, max_talk: Duration) -> Duration {
        ring_timeout.min(*self.settings.ring.end()) + max_talk.min(*self.settings.talk.end())
    }

    fn hang_up_all(&self) {
        self.line.hang_up.cancel();
    }
}

/// A call that was let in.
struct Call {
    order: CallOrder,
    script: Script,
    started_at: DateTime<Utc>,
}

impl Line {
    async fn run(self, call: Call, channel: Channel, sender: oneshot::Sender<Outcome>) {
        let end = self.live(&call).await;
        self.note_end(&call.order, &end);
        drop(channel);
        // Whoever waited may be gone at the end of the process.
        drop(sender.send(Outcome::Ended(end)));
    }

    /// Rings, talks, ends: by the script, by a limit of the order, or because everything is hung up. What goes by the
    /// script happens at the script's time, however late this process comes to write it down: a carrier does not wait
    /// for a daemon that is suspended.
    async fn live(&self, Call { order, script, started_at }: &Call) -> CallEnd {
        let rang_out = script.ring > order.ring_timeout;
        let (ring_end, cut) = self.wait_until(*started_at + script.ring.min(order.ring_timeout)).await;
        let result = match (cut, rang_out) {
            (true, _) => CallResult::Cancel,
            (false, true) => CallResult::NoAnswer,
            (false, false) => script.result,
        };
        let mut end = ended(result, *started_at, ring_end);
        end.ringing_at = script.rings.then_some(*started_at);
        if is_answered(result) {
            let (talk_end, cut) = self.wait_until(ring_end + script.talk.min(order.max_talk)).await;
            let by_us = cut || script.talk > order.max_talk || result == CallResult::AgentFailed;
            end.answered_at = Some(ring_end);
            end.hangup_by = Some(if by_us { HangupBy::System } else { script.hangup_by });
            end.ended_at = talk_end;
        }
        end
    }

    /// Waits; gives the moment up to which, and whether that was because everything was hung up. A clock that somebody
    /// sets need not have come as far as the time that went by.
    async fn wait_until(&self, until: DateTime<Utc>) -> (DateTime<Utc>, bool) {
        let left = (until - self.clock.now()).to_std().unwrap_or_default();
        let hung_up = match left.is_zero() {
            true => self.hang_up.is_cancelled(),
            false => tokio::time::timeout(left, self.hang_up.cancelled()).await.is_ok(),
        };
        let now = self.clock.now();
        (until.min(now), hung_up && now < until)
    }

    /// A call too many: the carrier says 503, and the failure is not the callee's.
    fn refuse(&self, order: &CallOrder, started_at: DateTime<Utc>) -> CallEnd {
        let mut end = ended(CallResult::NetworkBusy, started_at, self.clock.now());
        end.scope = Scope::Trunk;
        end.counted = false;
        end.sip = Some(evidence(503, "Service Unavailable", Some(42)));
        self.note_end(order, &end);
        end
    }

    fn note_end(&self, order: &CallOrder, end: &CallEnd) {
        if let Some(record) = &self.record {
            record.ended(order.call_id, end);
        }
    }
}

/// Whether somebody, or something, took the call.
fn is_answered(result: CallResult) -> bool {
    matches!(result, CallResult::Answered | CallResult::IntelligentAnswer | CallResult::AgentFailed)
}

fn evidence(status: u16, reason: &str, q850: Option<u16>) -> SipEvidence {
    SipEvidence { status, reason: reason.to_owned(), q850, rule: "simulated".to_owned() }
}

/// The end of a call with the signalling that a carrier would show for it.
fn ended(result: CallResult, started_at: DateTime<Utc>, ended_at: DateTime<Utc>) -> CallEnd {
    let (status, reason, q850) = match result {
        CallResult::Answered | CallResult::IntelligentAnswer | CallResult::AgentFailed => (200, "OK", Some(16)),
        CallResult::UserBusy => (486, "Busy Here", Some(17)),
        CallResult::NoAnswer | CallResult::Cancel => (487, "Request Terminated", None),
        CallResult::InvalidNumber => (404, "Not Found", Some(1)),
        CallResult::CallRejected => (603, "Decline", Some(21)),
        CallResult::CallForwarding => (302, "Moved Temporarily", None),
        CallResult::OperatorBlock => (608, "Rejected", Some(21)),
        CallResult::NetworkBusy => (503, "Service Unavailable", Some(34)),
        CallResult::IncomingCallBarred => (403, "Forbidden", Some(55)),
        _ => (480, "Temporarily Unavailable", Some(20)),
    };
    let (scope, counted) = match result {
        CallResult::OperatorBlock => (Scope::CallerNumber, true),
        CallResult::AgentFailed => (Scope::Local, true),
        CallResult::Cancel => (Scope::Local, false),
        _ => (Scope::Callee, true),
    };
    let sip = Some(evidence(status, reason, q850));
    CallEnd { result, scope, counted, sip, ..CallEnd::unknown(started_at, ended_at) }
}

#[cfg(test)]
mod tests;
