//! The replies that wait for the broker, as many as memory may hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::{Reply, SHOWN};
use crate::bus::Envelope;
use crate::domain::fields::excerpt;

/// Bytes of replies that may wait.
const ROOM: u32 = 16 * 1024 * 1024;

/// What a reply takes besides its body.
const AROUND: usize = 1024;

/// How long the last replies may take when nothing more is consumed.
const AT_THE_END: Duration = Duration::from_secs(5);

/// The way to a task that sends.
pub(super) struct Lane {
    sender: UnboundedSender<Reply>,
    room: Arc<Semaphore>,
    /// Whether the last reply that waited for room did so in vain.
    is_stuck: AtomicBool,
    patience: Duration,
    sending: JoinHandle<()>,
}

impl Lane {
    /// Starts the task, which ends when nothing comes any more and all is sent.
    pub fn open<F>(patience: Duration, send: impl FnOnce(UnboundedReceiver<Reply>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, replies) = unbounded_channel();
        let room = Arc::new(Semaphore::new(ROOM as usize));
        Self { sender, room, is_stuck: AtomicBool::new(false), patience, sending: tokio::spawn(send(replies)) }
    }

    /// Waits for room as long as `patience`; after one that did so in vain the next do not wait until there is some, so that no
    /// command waits for the replies to others. A reply without room is given up.
    pub async fn put(&self, (envelope, to): (&Envelope, &str), body: String) {
        let Some(room) = self.room_for(&body).await else {
            let to = excerpt(to, SHOWN);
            return tracing::warn!(to, "a reply is given up: too many wait for RabbitMQ to take them");
        };
        let (to, correlation_id) = (to.to_owned(), envelope.correlation_id.clone());
        if self.sender.send(Reply { to, correlation_id, body, tries: 0, _room: room }).is_err() {
            tracing::error!("ALARM: the task that sends replies fell; start the daemon again");
        }
    }

    async fn room_for(&self, body: &str) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(body.len() + AROUND).map_or(ROOM, |bytes| bytes.min(ROOM));
        let patience = if self.is_stuck.load(Ordering::Relaxed) { Duration::ZERO } else { self.patience };
        let room = tokio::time::timeout(patience, self.room.clone().acquire_many_owned(bytes)).await;
        self.is_stuck.store(room.is_err(), Ordering::Relaxed);
        room.ok()?.ok()
    }

    pub async fn close(self) {
        let Self { sender, room, mut sending, .. } = self;
        drop(sender);
        if tokio::time::timeout(AT_THE_END, &mut sending).await.is_err() {
            if room.available_permits() < ROOM as usize {
                tracing::warn!("the last replies are given up: RabbitMQ does not take them");
            }
            sending.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_memory_cannot_hold_is_given_up_until_there_is_room_again() {
        let (give, given) = oneshot::channel();
        let lane = Lane::open(Duration::from_millis(1), |replies| async move {
            drop(give.send(replies));
            std::future::pending().await
        });
        let mut replies = given.await.unwrap();
        let envelope = Envelope {
            routing_key: "task.get".to_owned(),
            message_id: None,
            reply_to: Some("there".to_owned()),
            correlation_id: None,
            body: Vec::new(),
            cut_from: None,
        };
        let large = || "x".repeat(ROOM as usize / 4 - AROUND);
        for _ in 0..6 {
            lane.put((&envelope, "there"), large()).await;
        }
        assert_eq!(replies.len(), 4, "of six");
        drop(replies.recv().await);
        lane.put((&envelope, "there"), large()).await;
        assert_eq!(replies.len(), 4);
    }
}
