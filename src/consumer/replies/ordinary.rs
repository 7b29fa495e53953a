//! Replies to queues, which is what most senders want.
//!
//! Many are in the air at once. Those that a connection has not confirmed when it ends are sent again by the next one, and can
//! then arrive more than once. A reply that is never confirmed, because nobody leads its queue, say, costs the others their
//! connection a few times and is then given up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lapin::{Channel, Confirmation};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Reply, in_time, open_channel, publish};
use crate::bus::{BusError, Link};
use crate::retry::Delays;

/// Connections that may leave one reply unconfirmed.
const MOST_TRIES: usize = 3;

/// The longest pause between two connections.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A reply with what became of it.
type Settled = (Reply, Result<Confirmation, BusError>);

pub(super) struct OrdinaryReplies {
    link: Arc<Link>,
    patience: Duration,
    delays: Delays,
    /// Taken, and on no connection yet.
    waiting: VecDeque<Reply>,
    in_the_air: FuturesUnordered<BoxFuture<'static, Settled>>,
}

impl OrdinaryReplies {
    /// By a connection that is nobody else's; a publish with its confirm may take as long as `patience`.
    pub fn new(link: Link, patience: Duration) -> Self {
        let delays = Delays::up_to(LONGEST_PAUSE);
        Self { link: Arc::new(link), patience, delays, waiting: VecDeque::new(), in_the_air: FuturesUnordered::new() }
    }

    /// Sends what comes, until nothing comes any more and the broker has all of it.
    pub async fn run(mut self, mut replies: UnboundedReceiver<Reply>) {
        while self.has_something(&mut replies).await {
            let Err(error) = self.session(&mut replies).await else { break };
            self.link.abandon().await;
            // Without their connection these end soon.
            while let Some((reply, outcome)) = self.in_the_air.next().await {
                drop(self.settle(reply, outcome));
            }
            if !self.waiting.is_empty() {
                tracing::warn!(%error, replies = self.waiting.len(), "replies wait for another connection");
                tokio::time::sleep(self.delays.next_delay()).await;
            }
        }
        self.link.close().await;
    }

    /// Waits for the first reply of a session, because nobody needs a connection without one.
    async fn has_something(&mut self, replies: &mut UnboundedReceiver<Reply>) -> bool {
        if self.waiting.is_empty() {
            self.waiting.extend(replies.recv().await);
        }
        !self.waiting.is_empty()
    }

    async fn session(&mut self, replies: &mut UnboundedReceiver<Reply>) -> Result<(), BusError> {
        let channel = open_channel(&self.link).await?;
        let mut more_may_come = true;
        loop {
            while let Some(reply) = self.waiting.pop_front() {
                self.publish(&channel, reply);
            }
            tokio::select! {
                Some((reply, outcome)) = self.in_the_air.next() => self.settle(reply, outcome)?,
                next = replies.recv(), if more_may_come => {
                    more_may_come = next.is_some();
                    self.waiting.extend(next);
                }
                else => return Ok(()),
            }
        }
    }

    /// Each watches over itself: whoever waited for one to be written would not see an alarm begin or end for the others.
    fn publish(&self, channel: &Channel, reply: Reply) {
        let (link, channel, patience) = (self.link.clone(), channel.clone(), self.patience);
        let settled = async move {
            let outcome = in_time((&link, patience), publish(&channel, &reply)).await;
            (reply, outcome)
        };
        self.in_the_air.push(settled.boxed());
    }

    /// One that its connection has not confirmed waits for the next, and that one is over.
    fn settle(&mut self, mut reply: Reply, outcome: Result<Confirmation, BusError>) -> Result<(), BusError> {
        match outcome {
            Ok(confirmation) => {
                self.delays.reset();
                if confirmation.is_nack() {
                    tracing::warn!(to = reply.address(), "a reply is given up: its queue refuses it");
                }
                Ok(())
            }
            Err(error) => {
                reply.tries += 1;
                match reply.tries < MOST_TRIES {
                    true => self.waiting.push_back(reply),
                    false => {
                        let to = reply.address();
                        tracing::warn!(%error, to, "a reply is given up: {MOST_TRIES} connections did not confirm it");
                    }
                }
                Err(error)
            }
        }
    }
}
