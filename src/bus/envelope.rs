//! What surrounds a body: the properties of messages that come in and go out.

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use uuid::Uuid;

const PERSISTENT: u8 = 2;

/// A command or query as it came in.
#[derive(Debug, Clone)]
pub struct Envelope {
    pub routing_key: String,
    pub message_id: Option<String>,
    pub reply_to: Option<String>,
    pub correlation_id: Option<String>,
    pub body: Vec<u8>,
}

impl Envelope {
    /// Takes what matters out of a delivery.
    pub fn of(delivery: &mut Delivery) -> Self {
        let owned = |text: &Option<ShortString>| text.as_ref().map(ToString::to_string).filter(|text| !text.is_empty());
        Self {
            routing_key: delivery.routing_key.to_string(),
            message_id: owned(delivery.properties.message_id()),
            reply_to: owned(delivery.properties.reply_to()),
            correlation_id: owned(delivery.properties.correlation_id()),
            body: std::mem::take(&mut delivery.data),
        }
    }
}

/// The properties of an event: its id twice, so that a broker's plug-ins and a CloudEvents reader both find it.
pub fn event_properties(event_id: Uuid, event_type: &str) -> BasicProperties {
    BasicProperties::default()
        .with_content_type("application/cloudevents+json".into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(event_id.to_string().into())
        .with_type(event_type.into())
}

/// The properties of a reply.
pub fn reply_properties(correlation_id: Option<&str>) -> BasicProperties {
    let properties = BasicProperties::default().with_content_type("application/json".into());
    match correlation_id {
        Some(id) => properties.with_correlation_id(id.into()),
        None => properties,
    }
}

/// The properties of a dead letter: why, and what it was.
pub fn dead_letter_properties(letter: &Envelope, reason: &str, sha256: &str) -> BasicProperties {
    let mut headers = FieldTable::default();
    let size = i64::try_from(letter.body.len()).unwrap_or(i64::MAX);
    headers.insert("x-calltaskd-reason".into(), AMQPValue::LongString(reason.into()));
    headers.insert("x-calltaskd-routing-key".into(), AMQPValue::LongString(letter.routing_key.as_str().into()));
    headers.insert("x-calltaskd-size".into(), AMQPValue::LongLongInt(size));
    headers.insert("x-calltaskd-sha256".into(), AMQPValue::LongString(sha256.into()));
    let properties = BasicProperties::default().with_delivery_mode(PERSISTENT).with_headers(headers);
    match &letter.message_id {
        Some(id) => properties.with_message_id(id.as_str().into()),
        None => properties,
    }
}

/// The properties of a command or query, for whoever sends one.
pub fn command_properties(message_id: &str, reply_to: &str, correlation_id: &str) -> BasicProperties {
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(message_id.into())
        .with_reply_to(reply_to.into())
        .with_correlation_id(correlation_id.into())
}
