//! The way back to whoever asked.
//!
//! A reply address is the sender's to choose. One of the broker's own kind, `amq.rabbitmq.reply-to.…`, can end the
//! connection on which the reply comes, so that such replies go another way ([`direct`](super::direct)) and nobody else's
//! reply is on it.

use lapin::Channel;
use lapin::options::BasicPublishOptions;

use super::direct::DirectReplies;
use super::{Context, SessionError};
use crate::bus::{BusError, Envelope, reply_properties};

pub(super) struct Replies {
    channel: Channel,
    direct: DirectReplies,
}

impl Replies {
    /// The replies to what came by one queue.
    pub async fn open(context: &Context, queue: &str) -> Result<Self, SessionError> {
        let channel = context.bus.publishing.open_channel().await?;
        let link = context.bus.link(&format!("replying to {queue}"));
        Ok(Self { channel, direct: DirectReplies::new(link, context.bus.publish_timeout) })
    }

    /// Sends a reply to whoever wants one. To a queue that is gone it is dropped by the broker.
    pub async fn send(&self, context: &Context, envelope: &Envelope, body: &str) -> Result<(), BusError> {
        let patience = context.bus.publish_timeout;
        match envelope.reply_to.as_deref() {
            None => {}
            Some(to) if DirectReplies::are_for(to) => self.direct.send((envelope, to), body).await,
            Some(to) => {
                let published = tokio::time::timeout(patience, publish(&self.channel, (envelope, to), body)).await;
                drop(published.map_err(|_| BusError::Timeout("reply", patience))??);
            }
        }
        Ok(())
    }

    pub async fn close(self) {
        drop(self.channel.close(200, "drained".into()).await);
        self.direct.close().await;
    }
}

pub(super) async fn publish(
    channel: &Channel,
    (envelope, to): (&Envelope, &str),
    body: &str,
) -> Result<lapin::PublisherConfirm, lapin::Error> {
    let properties = reply_properties(envelope.correlation_id.as_deref());
    channel.basic_publish("".into(), to.into(), BasicPublishOptions::default(), body.as_bytes(), properties).await
}
