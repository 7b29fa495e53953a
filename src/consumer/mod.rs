//! ① Bus in: a command becomes rows, a query becomes an answer.
//!
//! A command is acknowledged after its effect is committed, never before, and commands take effect in the order
//! of the queue. The consumer decides nothing about calls: it writes, and whoever dials finds it in the store.

mod agents;
mod apply;
mod cancels;
mod commands;
mod exports;
mod imports;
mod letters;
mod queries;
mod replies;
mod reports;
mod schedule;
mod service_instances;
mod tasks;
mod updates;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::bus::wire::v1::events::EventWriter;
use crate::bus::wire::v1::reading::Rules;
use crate::bus::{Bus, BusError};
use crate::clock::Clock;
use crate::retry::Delays;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::Metrics;
use replies::Replies;

/// Deliveries in hand at once: a command can have 4 MiB.
const PREFETCH: u16 = 16;

const COMMANDS: &str = "commands";
const QUERIES: &str = "queries";

/// What the consumer works with.
#[derive(Debug)]
pub struct Context {
    pub store: Store,
    pub bus: Arc<Bus>,
    pub clock: Arc<dyn Clock>,
    pub events: EventWriter,
    pub rules: Rules,
    /// Whether recordings that are reported are fetched.
    pub fetch_recordings: bool,
    /// Cancelled when no more may be consumed.
    pub drain: CancellationToken,
    /// Tells when commands and queries are subscribed to.
    pub subscribed: watch::Sender<Subscriptions>,
    pub metrics: Metrics,
}

impl Context {
    fn note_subscribed(&self, to_commands: bool, subscribed: bool) {
        self.subscribed.send_modify(|subscriptions| match to_commands {
            true => subscriptions.commands = subscribed,
            false => subscriptions.queries = subscribed,
        });
    }
}

/// What is subscribed to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subscriptions {
    commands: bool,
    queries: bool,
}

impl Subscriptions {
    /// Both are.
    pub fn all(&self) -> bool {
        self.commands && self.queries
    }
}

/// Why a session ended early.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Broker(#[from] lapin::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Consumes commands and queries until the drain, and starts what is scheduled.
pub async fn run(context: Arc<Context>) -> Result<(), tokio::task::JoinError> {
    let queries = tokio::spawn(sessions(QUERIES, context.clone(), queries::session));
    let schedule = tokio::spawn(schedule::run(context.clone()));
    sessions(COMMANDS, context, commands::session).await;
    queries.await.and(schedule.await)
}

/// One session after the other, with growing pauses while they fail.
async fn sessions<F>(what: &'static str, context: Arc<Context>, session: fn(Arc<Context>, Arc<Replies>) -> F)
where
    F: Future<Output = Result<(), SessionError>>,
{
    let replies = Arc::new(Replies::open(&context.bus, what));
    let mut delays = Delays::up_to(Duration::from_secs(5));
    while !context.drain.is_cancelled() {
        // A delivery that is held while the database is away would close the channel after half an hour.
        let outcome = match context.store.ping().await {
            Ok(()) => session(context.clone(), replies.clone()).await,
            Err(error) => Err(error.into()),
        };
        context.note_subscribed(what == COMMANDS, false);
        match outcome {
            Ok(()) => delays.reset(),
            Err(error) => {
                tracing::warn!(%error, what, "the session ended; opening another");
                let pause = tokio::time::sleep(delays.next_delay());
                tokio::select! { () = context.drain.cancelled() => {} () = pause => {} }
            }
        }
    }
    // No session is left that has it.
    if let Some(replies) = Arc::into_inner(replies) {
        replies.close().await;
    }
}

/// A subscription, and the way back for what comes by it.
struct Session {
    channel: Channel,
    deliveries: Consumer,
    replies: Arc<Replies>,
    queue: String,
}

impl Session {
    async fn open(context: &Context, queue: &str, replies: Arc<Replies>) -> Result<Self, SessionError> {
        let channel = context.bus.consuming.open_channel().await?;
        context.bus.topology.declare(&channel).await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let deliveries = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
        context.note_subscribed(queue == context.bus.topology.commands, true);
        Ok(Self { channel, deliveries, replies, queue: queue.to_owned() })
    }

    /// The next delivery; `None` at the drain.
    async fn next(&mut self, drain: &CancellationToken) -> Result<Option<Delivery>, SessionError> {
        tokio::select! {
            biased;
            () = drain.cancelled() => Ok(None),
            delivery = self.deliveries.next() => match delivery {
                Some(delivery) => Ok(Some(delivery?)),
                None => Err(BusError::Unsubscribed(self.queue.clone()).into()),
            },
        }
    }

    async fn close(self) {
        // What was delivered and not acknowledged goes back to the queue with the channel.
        drop(self.channel.close(200, "drained".into()).await);
    }
}

/// Acknowledges; an acknowledgement that came too late is an error, because the message will come again.
async fn ack(delivery: &Delivery) -> Result<(), SessionError> {
    match delivery.acker.ack(BasicAckOptions::default()).await? {
        true => Ok(()),
        false => Err(BusError::AckTooLate.into()),
    }
}
