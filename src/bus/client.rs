//! The other side of the bus, for the command line: sends commands and queries and waits for their replies.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use serde_json::Value;
use uuid::Uuid;

use super::{Bus, BusError, Topology, command_properties};

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Broker(#[from] lapin::Error),
    #[error(
        "no daemon answered within {0:?}. Is one running (systemctl status calltaskd), and do bus.url and \
         bus.prefix of this command agree with its own? A command that was sent takes effect as soon as one runs."
    )]
    NoAnswer(Duration),
    #[error("the reply is no JSON: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// A session of one sender.
#[derive(Debug)]
pub struct Client<'b> {
    bus: &'b Bus,
    channel: Channel,
    reply_queue: String,
    replies: Consumer,
    patience: Duration,
}

impl<'b> Client<'b> {
    /// Opens a session; each reply is waited for as long as `patience`.
    pub async fn open(bus: &'b Bus, patience: Duration) -> Result<Self, ClientError> {
        let channel = bus.publishing.open_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        bus.topology.declare(&channel).await?;
        let (reply_queue, replies) = private_queue(&channel).await?;
        Ok(Self { bus, channel, reply_queue, replies, patience })
    }

    /// Sends a command; the same `message_id` again gets the same reply and does nothing more.
    pub async fn command(&mut self, name: &str, message_id: &str, body: &Value) -> Result<Value, ClientError> {
        self.ask(&self.bus.topology.commands.clone(), name, (message_id, body)).await
    }

    /// Asks a question.
    pub async fn query(&mut self, name: &str, body: &Value) -> Result<Value, ClientError> {
        let message_id = Uuid::new_v4().to_string();
        self.ask(&self.bus.topology.queries.clone(), name, (&message_id, body)).await
    }

    /// Publishing is under the patience, too: a broker in need accepts nothing and says so to nobody.
    async fn ask(&mut self, exchange: &str, name: &str, message: (&str, &Value)) -> Result<Value, ClientError> {
        let patience = self.patience;
        let answer = tokio::time::timeout(patience, self.publish_and_wait(exchange, name, message)).await;
        answer.unwrap_or(Err(ClientError::NoAnswer(patience)))
    }

    async fn publish_and_wait(
        &mut self,
        exchange: &str,
        name: &str,
        (id, body): (&str, &Value),
    ) -> Result<Value, ClientError> {
        let correlation_id = Uuid::new_v4().to_string();
        let properties = command_properties(id, &self.reply_queue, &correlation_id);
        let body = serde_json::to_vec(body)?;
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let publish = self.channel.basic_publish(exchange.into(), name.into(), options, &body, properties);
        publish.await?.await?;
        self.reply_to(&correlation_id).await
    }

    async fn reply_to(&mut self, correlation_id: &str) -> Result<Value, ClientError> {
        while let Some(delivery) = self.replies.next().await {
            let delivery = delivery?;
            delivery.ack(BasicAckOptions::default()).await?;
            let correlates =
                delivery.properties.correlation_id().as_ref().is_some_and(|id| id.as_str() == correlation_id);
            // A reply to an earlier question that came too late is nobody's.
            if correlates {
                return Ok(serde_json::from_slice(&delivery.data)?);
            }
        }
        Err(BusError::Unsubscribed(self.reply_queue.clone()).into())
    }

    /// Subscribes to events by a pattern of routing keys.
    pub async fn events(&self, pattern: &str) -> Result<Events, ClientError> {
        let (queue, consumer) = private_queue(&self.channel).await?;
        let exchange = self.bus.topology.events.as_str();
        self.channel
            .queue_bind(
                queue.as_str().into(),
                exchange.into(),
                pattern.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
        Ok(Events(consumer))
    }
}

/// A subscription, as long as its client lives.
#[derive(Debug)]
pub struct Events(Consumer);

impl Events {
    /// The body of the next event.
    pub async fn next(&mut self) -> Result<Vec<u8>, ClientError> {
        let delivery = self.0.next().await.ok_or_else(|| BusError::Unsubscribed("the events".to_owned()))??;
        delivery.ack(BasicAckOptions::default()).await?;
        Ok(delivery.data)
    }
}

impl Bus {
    /// Removes the exchanges and queues with what is in them, for demos and tests; refused while a daemon is at
    /// work. What is not there is no error.
    pub async fn remove_topology(&self) -> Result<(), BusError> {
        let channel = self.publishing.open_channel().await?;
        let Topology { commands, queries, events, dead } = &self.topology;
        // Every daemon consumes the queries. Their queue goes first, because a quorum queue cannot be asked to
        // stay when it is in use.
        for (queue, if_unused) in [(queries, true), (commands, false), (dead, false)] {
            let options = QueueDeleteOptions { if_unused, ..Default::default() };
            channel.queue_delete(queue.as_str().into(), options).await?;
        }
        for exchange in [commands, queries, events, dead] {
            channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await?;
        }
        Ok(())
    }
}

/// A queue of this connection alone, gone with it.
async fn private_queue(channel: &Channel) -> Result<(String, Consumer), ClientError> {
    let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?;
    let name = queue.name().to_string();
    let consumer = channel
        .basic_consume(name.as_str().into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    Ok((name, consumer))
}
