//! The way back to whoever asked.
//!
//! A reply address is the sender's to choose. Those of the broker's own kind, `amq.rabbitmq.reply-to.…`, hold a process of
//! the broker; a forged one makes it close the whole connection on which the reply came. So they have a connection of
//! their own, and nobody else's reply is on it.

use lapin::Channel;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use tokio::sync::Mutex;

use super::{Context, SessionError};
use crate::bus::{BusError, Envelope, reply_properties};
use crate::domain::fields::excerpt;

/// What the broker makes of `amq.rabbitmq.reply-to`.
const DIRECT: &str = "amq.rabbitmq.reply-to";

pub(super) struct Replies {
    channel: Channel,
    /// For direct replies, opened with the first of them.
    direct: Mutex<Option<Channel>>,
}

impl Replies {
    pub async fn open(context: &Context) -> Result<Self, SessionError> {
        let channel = context.bus.publishing.open_channel().await?;
        Ok(Self { channel, direct: Mutex::new(None) })
    }

    /// Sends a reply to whoever wants one. To a queue that is gone it is dropped by the broker.
    pub async fn send(&self, context: &Context, envelope: &Envelope, body: &str) -> Result<(), BusError> {
        let patience = context.bus.publish_timeout;
        match envelope.reply_to.as_deref() {
            None => Ok(()),
            Some(to) if to.starts_with(DIRECT) => {
                if let Err(error) = self.send_directly(context, (envelope, to), body).await {
                    let to = excerpt(to, 64);
                    tracing::warn!(%error, to, "a direct reply could not be sent; its address may be no true one");
                }
                Ok(())
            }
            Some(to) => {
                let published = tokio::time::timeout(patience, publish(&self.channel, (envelope, to), body)).await;
                drop(published.map_err(|_| BusError::Timeout("reply", patience))??);
                Ok(())
            }
        }
    }

    /// Waits until the broker has it: the next one must not go the way of a connection that is about to be closed.
    async fn send_directly(
        &self,
        context: &Context,
        (envelope, to): (&Envelope, &str),
        body: &str,
    ) -> Result<(), BusError> {
        let patience = context.bus.publish_timeout;
        let mut direct = self.direct.lock().await;
        let send = async {
            let channel = match direct.take().filter(|channel| channel.status().connected()) {
                Some(channel) => channel,
                None => {
                    let channel = context.bus.replying.open_channel().await?;
                    channel.confirm_select(ConfirmSelectOptions::default()).await?;
                    channel
                }
            };
            publish(&channel, (envelope, to), body).await?.await?;
            Ok::<_, BusError>(channel)
        };
        let sent = tokio::time::timeout(patience, send).await;
        *direct = Some(sent.map_err(|_| BusError::Timeout("direct reply", patience))??);
        Ok(())
    }

    pub async fn close(self) {
        drop(self.channel.close(200, "drained".into()).await);
        if let Some(direct) = self.direct.into_inner() {
            drop(direct.close(200, "drained".into()).await);
        }
    }
}

async fn publish(
    channel: &Channel,
    (envelope, to): (&Envelope, &str),
    body: &str,
) -> Result<lapin::PublisherConfirm, lapin::Error> {
    let properties = reply_properties(envelope.correlation_id.as_deref());
    channel.basic_publish("".into(), to.into(), BasicPublishOptions::default(), body.as_bytes(), properties).await
}
