//! What cannot be read, and where it goes.

use lapin::Channel;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Context, SessionError};
use crate::bus::wire::v1::commands::is_command;
use crate::bus::{BusError, Envelope, dead_letter_properties};
use crate::domain::fields::excerpt;

/// The largest command.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// The largest message of ours.
const MOST_LETTER_BYTES: usize = 1024 * 1024;
/// What is kept of one that is larger.
const KEPT_BYTES: usize = 64 * 1024;

/// Reads a body as far as a JSON object, or says why it cannot be one of our commands.
pub(super) fn unreadable(envelope: &Envelope) -> Result<Value, String> {
    let size = envelope.body.len();
    if size > MOST_BYTES {
        return Err(format!("the message has {size} bytes; at most {MOST_BYTES} are allowed"));
    }
    if !is_command(&envelope.routing_key) {
        return Err(format!("there is no command {:?}", excerpt(&envelope.routing_key, 64)));
    }
    match serde_json::from_slice(&envelope.body) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        Ok(_) => Err("the body is JSON, but no object".to_owned()),
        Err(error) => Err(format!("the body is no JSON object in UTF-8: {error}")),
    }
}

/// The SHA-256 of a body, in hexadecimal.
pub(super) fn sha256_hex(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
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
        let properties = dead_letter_properties(envelope, reason, &sha256_hex(&envelope.body));
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
