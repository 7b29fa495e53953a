//! What cannot be read, and where it goes.

use lapin::Channel;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use serde_json::Value;

use super::{Context, SessionError};
use crate::bus::wire::v1::body;
use crate::bus::wire::v1::commands::is_command;
use crate::bus::{BusError, Envelope, KEPT_BYTES, MOST_BYTES, dead_letter_properties};
use crate::domain::fields::excerpt;

/// The largest message of ours.
const MOST_LETTER_BYTES: usize = 1024 * 1024;

/// Reads a message as far as a JSON object, or says why it cannot be one of our commands.
pub(super) fn unreadable(envelope: &Envelope) -> Result<Value, String> {
    if envelope.size() <= MOST_BYTES && !is_command(&envelope.routing_key) {
        return Err(format!("there is no command {:?}", excerpt(&envelope.routing_key, 64)));
    }
    object(envelope)
}

/// Reads a message as far as a JSON object, or says what is wrong with it.
pub(super) fn object(envelope: &Envelope) -> Result<Value, String> {
    let size = envelope.size();
    if size > MOST_BYTES {
        return Err(format!("the message has {size} bytes; at most {MOST_BYTES} are allowed"));
    }
    if let Some(property) = envelope.garbled() {
        return Err(format!(
            "the property {property} is not UTF-8, or has the character SUBSTITUTE (U+001A); send it in UTF-8 without it"
        ));
    }
    body::read(&envelope.body)
}

/// The way to the dead letters.
pub(super) struct Letters {
    channel: Channel,
    exchange: String,
    patience: std::time::Duration,
}

impl Letters {
    pub async fn open(context: &Context) -> Result<Self, SessionError> {
        let channel = context.bus.publishing.open_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let exchange = context.bus.topology.dead.clone();
        Ok(Self { channel, exchange, patience: context.bus.publish_timeout })
    }

    /// Returns when the broker has confirmed the letter.
    pub async fn bury(&self, envelope: &Envelope, reason: &str) -> Result<(), SessionError> {
        tracing::warn!(routing_key = %excerpt(&envelope.routing_key, 64), reason, "a message goes to the dead letters");
        let properties = dead_letter_properties(envelope, reason);
        let body = match envelope.body.len() {
            size if size > MOST_LETTER_BYTES => &envelope.body[..KEPT_BYTES],
            _ => &envelope.body[..],
        };
        let send = async {
            let options = BasicPublishOptions::default();
            let routing_key = envelope.routing_key.as_str().into();
            let exchange = self.exchange.as_str().into();
            self.channel.basic_publish(exchange, routing_key, options, body, properties).await?.await
        };
        let confirmed = tokio::time::timeout(self.patience, send).await;
        let confirmed = confirmed.map_err(|_| BusError::Timeout("dead letter", self.patience))??;
        match confirmed.is_ack() {
            true => Ok(()),
            false => Err(BusError::Timeout("dead letter", self.patience).into()),
        }
    }
}
