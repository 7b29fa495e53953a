//! The command queue: in order, grouped where that pays, acknowledged after the commit.
//!
//! Only imports are grouped; every other command is a short transaction of its own. A group that the store refuses
//! is tried again one by one, so that one bad command costs nobody else anything; a command that is refused
//! alone three times goes to the dead letters.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use serde_json::Value;

use super::apply::{apply, rows_of};
use super::letters::{Letters, unreadable};
use super::replies::Replies;
use super::{Context, Session, SessionError, ack};
use crate::bus::Envelope;
use crate::bus::wire::v1::commands::is_command;
use crate::bus::wire::v1::replies::{errors, is_rejected, rejected};
use crate::domain::problem::{Code, Problem};
use crate::retry::Delays;
use crate::safeguards::{Safeguard, is_on};
use crate::store::Verdict;
use crate::telemetry::metrics::COMMANDS;

/// Rows for one transaction.
const GROUP_ROWS: usize = 20_000;
/// Bytes of commands that are read at once: read, they take up to fifty times the memory.
const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// Deliveries looked at together: what the prefetch allows.
const LOOK_AHEAD: usize = 16;
/// How often a command that the store refuses is tried alone before it is given up.
const TRIES: usize = 3;
/// The same while it may be the store's own fault: about a minute.
const SUSPECT_TRIES: usize = 15;

/// A delivery, and its JSON if it could be read.
pub(super) struct Incoming {
    pub delivery: Delivery,
    pub envelope: Envelope,
    /// The command, or why it cannot be read.
    pub body: Result<Value, String>,
}

impl Incoming {
    fn of(mut delivery: Delivery) -> Self {
        let envelope = Envelope::of(&mut delivery);
        let body = unreadable(&envelope);
        Self { delivery, envelope, body }
    }

    /// Rows that may share a transaction with others; `None` for what stands alone.
    fn groupable_rows(&self) -> Option<usize> {
        let body = self.body.as_ref().ok()?;
        (self.envelope.routing_key == "callees.import").then(|| rows_of(body))
    }
}

/// Consumes commands until the drain or an error.
pub(super) async fn session(context: Arc<Context>, replies: Arc<Replies>) -> Result<(), SessionError> {
    let mut session = Session::open(&context, &context.bus.topology.commands, replies).await?;
    let letters = Letters::open(&context).await?;
    while let Some(first) = session.next(&context.drain).await? {
        let mut waiting = vec![first];
        while waiting.len() < LOOK_AHEAD {
            // Taking what is there already drops no future that has begun something.
            match session.deliveries.next().now_or_never() {
                Some(Some(delivery)) => waiting.push(delivery?),
                _ => break,
            }
        }
        take_all(&context, &session, &letters, waiting).await?;
    }
    session.close().await;
    Ok(())
}

/// Takes what waits in its order, in groups. Each is read when its turn comes: what is read takes more memory.
async fn take_all(
    context: &Arc<Context>,
    session: &Session,
    letters: &Letters,
    waiting: Vec<Delivery>,
) -> Result<(), SessionError> {
    let mut group: Vec<Incoming> = Vec::new();
    for delivery in waiting {
        let next = Incoming::of(delivery);
        if !group.is_empty() && !fits(&group, &next) {
            take(context, session, letters, std::mem::take(&mut group)).await?;
        }
        group.push(next);
    }
    take(context, session, letters, group).await
}

/// Whether one more goes into the transaction of a group.
fn fits(group: &[Incoming], next: &Incoming) -> bool {
    let all = || group.iter().chain([next]);
    let rows: Option<usize> = all().map(Incoming::groupable_rows).sum();
    let bytes: usize = all().map(|incoming| incoming.envelope.body.len()).sum();
    rows.is_some_and(|rows| rows <= GROUP_ROWS) && bytes <= GROUP_BYTES
}

async fn take(
    context: &Arc<Context>,
    session: &Session,
    letters: &Letters,
    group: Vec<Incoming>,
) -> Result<(), SessionError> {
    if !is_on(Safeguard::AckAfterCommit) {
        acknowledge(&group).await?;
    }
    if let [one] = &group[..]
        && let Err(reason) = &one.body
    {
        return bury(context, session, letters, (one, reason)).await;
    }
    match apply(context, &group).await {
        Ok(replies) => answer(context, session, &group, replies).await,
        Err(error) if error.verdict() == Verdict::Retry => Err(error.into()),
        Err(_) => {
            for one in group {
                take_alone(context, session, letters, one).await?;
            }
            Ok(())
        }
    }
}

async fn take_alone(
    context: &Arc<Context>,
    session: &Session,
    letters: &Letters,
    one: Incoming,
) -> Result<(), SessionError> {
    let one = [one];
    let mut delays = Delays::up_to(Duration::from_secs(5));
    let mut tries = 0;
    let refusal = loop {
        let error = match apply(context, &one).await {
            Ok(replies) => return answer(context, session, &one, replies).await,
            Err(error) => error,
        };
        tries += 1;
        match error.verdict() {
            Verdict::Retry => return Err(error.into()),
            Verdict::Reject if tries >= TRIES => break error,
            Verdict::Suspect if tries >= SUSPECT_TRIES => break error,
            Verdict::Reject | Verdict::Suspect => {}
        }
        let command = one[0].envelope.routing_key.as_str();
        tracing::error!(%error, command, "ALARM: a command cannot be applied; trying again");
        tokio::time::sleep(delays.next_delay()).await;
    };
    let [one] = one;
    let reason = refusal.to_string();
    tracing::error!(command = %one.envelope.routing_key, %reason, "a command cannot be applied and goes to the dead letters");
    bury(context, session, letters, (&one, &reason)).await
}

async fn bury(
    context: &Arc<Context>,
    session: &Session,
    letters: &Letters,
    (one, reason): (&Incoming, &str),
) -> Result<(), SessionError> {
    letters.bury(&one.envelope, reason).await?;
    let problem = Problem::new(Code::Unreadable, reason);
    let reply = rejected(&errors(problem.into()));
    settle(session, std::slice::from_ref(one), vec![reply]).await?;
    count(context, one, "dead");
    Ok(())
}

/// Settles what was applied.
async fn answer(
    context: &Arc<Context>,
    session: &Session,
    group: &[Incoming],
    replies: Vec<String>,
) -> Result<(), SessionError> {
    for (incoming, reply) in group.iter().zip(&replies) {
        count(context, incoming, if is_rejected(reply) { "rejected" } else { "accepted" });
    }
    settle(session, group, replies).await
}

fn count(context: &Context, incoming: &Incoming, outcome: &str) {
    // Anybody can make up a routing key.
    let name = incoming.envelope.routing_key.as_str();
    let command = if is_command(name) { name } else { "unknown" };
    context.metrics.counter(&COMMANDS, &[command, outcome]).increment(1);
}

/// Replies and acknowledges. A reply that is not sent yet does not keep the command in the queue: its effect is
/// committed, and whoever wants the reply can ask again with the same `message_id`.
async fn settle(session: &Session, group: &[Incoming], replies: Vec<String>) -> Result<(), SessionError> {
    for (incoming, reply) in group.iter().zip(replies) {
        session.replies.send(&incoming.envelope, reply).await;
        if is_on(Safeguard::AckAfterCommit) {
            ack(&incoming.delivery).await?;
        }
    }
    Ok(())
}

/// What nobody may do before the commit.
async fn acknowledge(group: &[Incoming]) -> Result<(), SessionError> {
    for incoming in group {
        ack(&incoming.delivery).await?;
    }
    Ok(())
}
