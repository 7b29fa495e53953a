//! What surrounds a body: the properties of messages that come in and go out.

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::sieve::{SHA256, SIZE, SUBSTITUTE, hexadecimal};

const PERSISTENT: u8 = 2;

/// What a message was before all but its beginning was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    pub size: usize,
    sha256: String,
}

/// A command or query as it came in.
#[derive(Debug, Clone)]
pub struct Envelope {
    pub routing_key: String,
    pub message_id: Option<String>,
    pub reply_to: Option<String>,
    pub correlation_id: Option<String>,
    pub body: Vec<u8>,
    /// Of a message that is too large.
    pub cut_from: Option<Whole>,
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
            cut_from: delivery.properties.headers().as_ref().and_then(whole),
            body: std::mem::take(&mut delivery.data),
        }
    }

    /// Bytes of the body as it was sent.
    pub fn size(&self) -> usize {
        self.cut_from.as_ref().map_or(self.body.len(), |whole| whole.size)
    }

    /// The SHA-256 of the body as it was sent, in hexadecimal.
    pub fn sha256(&self) -> String {
        let of_body = || hexadecimal(&Sha256::digest(&self.body));
        self.cut_from.as_ref().map_or_else(of_body, |whole| whole.sha256.clone())
    }

    /// The property, of those that matter, that was no UTF-8.
    pub fn garbled(&self) -> Option<&'static str> {
        let properties =
            [("message_id", &self.message_id), ("reply_to", &self.reply_to), ("correlation_id", &self.correlation_id)];
        let is_garbled = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains(SUBSTITUTE));
        properties.into_iter().find(|(_, text)| is_garbled(text)).map(|(name, _)| name)
    }
}

/// Only the sieve writes headers into what comes in.
fn whole(headers: &FieldTable) -> Option<Whole> {
    let text = |name: &str| match headers.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        _ => None,
    };
    Some(Whole { size: text(SIZE)?.parse().ok()?, sha256: text(SHA256)? })
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
pub fn dead_letter_properties(letter: &Envelope, reason: &str) -> BasicProperties {
    let mut headers = FieldTable::default();
    let size = i64::try_from(letter.size()).unwrap_or(i64::MAX);
    headers.insert("x-calltaskd-reason".into(), AMQPValue::LongString(reason.into()));
    headers.insert("x-calltaskd-routing-key".into(), AMQPValue::LongString(letter.routing_key.as_str().into()));
    headers.insert(SIZE.into(), AMQPValue::LongLongInt(size));
    headers.insert(SHA256.into(), AMQPValue::LongString(letter.sha256().into()));
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
