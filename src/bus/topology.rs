//! The exchanges and queues, by name and by declaration.
//!
//! Declared with `x-queue-type`, `x-single-active-consumer` and `x-delivery-limit` and no other argument, so
//! that every RabbitMQ from 3.10 to 4.x takes them and a later version finds them equal.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::BusError;

/// A command that was delivered so often kills its consumer each time: the default of 20 in RabbitMQ 4 would
/// drop healthy commands after 20 crashes of something else.
const DELIVERY_LIMIT: i64 = 100_000;

/// The names, all below one prefix.
#[derive(Debug, Clone)]
pub struct Topology {
    /// Topic exchange and quorum queue with a single active consumer.
    pub commands: String,
    /// Topic exchange and durable queue.
    pub queries: String,
    /// Topic exchange; its queues belong to the consumers.
    pub events: String,
    /// Fanout exchange and quorum queue.
    pub dead: String,
}

impl Topology {
    pub fn new(prefix: &str) -> Self {
        let name = |last: &str| format!("{prefix}.{last}");
        Self { commands: name("commands"), queries: name("queries"), events: name("events"), dead: name("dead") }
    }

    /// Declares everything; what exists already is left as it is.
    pub async fn declare(&self, channel: &Channel) -> Result<(), BusError> {
        self.declare_exchanges(channel).await?;
        let quorum = || arguments([("x-queue-type", AMQPValue::LongString("quorum".into()))]);
        let mut commands = quorum();
        commands.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
        commands.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
        let classic = arguments([("x-queue-type", AMQPValue::LongString("classic".into()))]);
        declare_queue(channel, &self.commands, commands).await?;
        declare_queue(channel, &self.queries, classic).await?;
        declare_queue(channel, &self.dead, quorum()).await
    }

    /// Declares the exchanges alone: all that a client needs to find.
    pub async fn declare_exchanges(&self, channel: &Channel) -> Result<(), BusError> {
        for (name, kind) in [
            (&self.commands, ExchangeKind::Topic),
            (&self.queries, ExchangeKind::Topic),
            (&self.events, ExchangeKind::Topic),
            (&self.dead, ExchangeKind::Fanout),
        ] {
            let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
            channel.exchange_declare(name.as_str().into(), kind, options, FieldTable::default()).await?;
        }
        Ok(())
    }
}

fn arguments<const N: usize>(pairs: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in pairs {
        table.insert(key.into(), value);
    }
    table
}

async fn declare_queue(channel: &Channel, name: &str, arguments: FieldTable) -> Result<(), BusError> {
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(name.into(), options, arguments).await?;
    let every_key = "#".into();
    channel.queue_bind(name.into(), name.into(), every_key, QueueBindOptions::default(), FieldTable::default()).await?;
    Ok(())
}
