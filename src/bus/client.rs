//! The other side of the bus, for the command line: sends commands and queries and waits for their replies.

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Consumer};
use serde_json::Value;
use uuid::Uuid;

use super::{Bus, BusError, Topology, command_properties};

/// How long the broker may take to say who is there.
const LOOK: Duration = Duration::from_secs(2);

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Broker(#[from] lapin::Error),
    /// The broker has it, and nobody replied.
    #[error("{0}")]
    NoAnswer(Silence),
    /// Whether the broker has it is not known.
    #[error("RabbitMQ did not take the message within {0:?}; is it out of memory or disk (rabbitmqctl status)?{1}")]
    NotTaken(Duration, String),
    #[error("the reply is no JSON: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// That nobody replied, and what to do about it.
#[derive(Debug)]
pub struct Silence {
    pub patience: Duration,
    /// How many daemons are connected, if the broker said.
    pub daemons: Option<u32>,
    /// Where they were looked for.
    pub broker: String,
    pub prefix: String,
    pub kind: Kind,
    pub hint: String,
}

/// What a message without a reply was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is gone.
    Query,
    /// It stays.
    Command,
}

impl ClientError {
    /// Says, too, how the same command is sent again.
    pub fn with_hint(self, hint: &str) -> Self {
        match self {
            Self::NoAnswer(silence) => Self::NoAnswer(Silence { hint: format!(" {hint}"), ..silence }),
            Self::NotTaken(patience, _) => Self::NotTaken(patience, format!(" {hint}")),
            other => other,
        }
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { patience, daemons, broker, prefix, kind, hint } = self;
        write!(f, "no daemon answered within {patience:?}: ")?;
        match daemons {
            Some(0) => write!(
                f,
                "none is connected to RabbitMQ at {broker} under the prefix {prefix}. Is one running (systemctl status \
                 calltaskd), and with the same bus.url and bus.prefix?"
            )?,
            Some(many) => write!(
                f,
                "{many} connected to RabbitMQ at {broker} under the prefix {prefix}, but busy, or waiting for the database \
                 (journalctl -u calltaskd)."
            )?,
            None => write!(
                f,
                "RabbitMQ at {broker} does not say whether one is connected under the prefix {prefix} (systemctl status \
                 calltaskd)."
            )?,
        }
        f.write_str(match kind {
            Kind::Query => " The question is withdrawn.",
            Kind::Command => " The command stays in the queue and takes effect as soon as a daemon is back.",
        })?;
        f.write_str(hint)
    }
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
        let exchange = self.bus.topology.commands.clone();
        self.ask((&exchange, name), body, Some(message_id)).await
    }

    /// Asks a question.
    pub async fn query(&mut self, name: &str, body: &Value) -> Result<Value, ClientError> {
        let exchange = self.bus.topology.queries.clone();
        self.ask((&exchange, name), body, None).await
    }

    /// Publishing is under the patience, too: a broker in need accepts nothing and says so to nobody.
    async fn ask(&mut self, to: (&str, &str), body: &Value, message_id: Option<&str>) -> Result<Value, ClientError> {
        let correlation_id = Uuid::new_v4().to_string();
        let properties = match message_id {
            Some(id) => command_properties(id, &self.reply_queue, &correlation_id),
            // Nobody waits for the answer longer than that, and questions must not pile up.
            None => command_properties(&correlation_id, &self.reply_queue, &correlation_id)
                .with_expiration(self.patience.as_millis().to_string().into()),
        };
        let (patience, body) = (self.patience, serde_json::to_vec(body)?);
        let begun = Instant::now();
        let published = self.publish(to, &body, properties);
        match tokio::time::timeout(patience, published).await {
            Err(_) => return Err(ClientError::NotTaken(patience, String::new())),
            Ok(published) => published?,
        }
        let rest = patience.saturating_sub(begun.elapsed());
        match tokio::time::timeout(rest, self.reply_to(&correlation_id)).await {
            Ok(reply) => reply,
            Err(_) => {
                let kind = message_id.map_or(Kind::Query, |_| Kind::Command);
                Err(ClientError::NoAnswer(self.silence(kind).await))
            }
        }
    }

    /// To an exchange, with a routing key.
    async fn publish(
        &self,
        (exchange, name): (&str, &str),
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<(), ClientError> {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        self.channel.basic_publish(exchange.into(), name.into(), options, body, properties).await?.await?;
        Ok(())
    }

    /// Looks whether any daemon is there at all: each one consumes the queries.
    async fn silence(&self, kind: Kind) -> Silence {
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let queue =
            self.channel.queue_declare(self.bus.topology.queries.as_str().into(), passive, FieldTable::default());
        let looked = tokio::time::timeout(LOOK, queue).await;
        Silence {
            patience: self.patience,
            daemons: looked.ok().and_then(Result::ok).map(|queue| queue.consumer_count()),
            broker: self.bus.address.clone(),
            prefix: self.bus.prefix.clone(),
            kind,
            hint: String::new(),
        }
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
