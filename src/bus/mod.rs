//! RabbitMQ: connections, the topology, and what a message looks like.
//!
//! Two connections, one to consume and one to publish: a broker in need blocks publishing connections, and must
//! not stop the acknowledgements with them. Further ones are opened for replies, whose address a sender can forge.
//! Nothing recovers silently. A stage whose channel fails opens a new one and begins its session again, because only the
//! stage knows what was in hand.

mod client;
mod envelope;
mod link;
mod sieve;
pub mod topology;
pub mod wire;

use std::time::Duration;

use secrecy::SecretString;

pub use client::{Client, ClientError};
pub use envelope::{Envelope, command_properties, dead_letter_properties, event_properties, reply_properties};
pub use link::Link;
pub use sieve::{KEPT_BYTES, MOST_BYTES};
pub use topology::Topology;

use crate::settings;

/// An error of the bus. All of them are mended by a new session.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("the broker cannot be reached: {0}")]
    Broker(#[from] lapin::Error),
    #[error("the channel ended: {0}")]
    ChannelEnded(#[source] lapin::Error),
    #[error("the broker did not take the {0} within {1:?}")]
    Timeout(&'static str, Duration),
    #[error("the broker closed the subscription of {0}")]
    Unsubscribed(String),
    #[error("the acknowledgement came too late: its channel is gone")]
    AckTooLate,
}

/// The way to RabbitMQ; connects only when somebody asks.
#[derive(Debug)]
pub struct Bus {
    pub consuming: Link,
    pub publishing: Link,
    pub topology: Topology,
    url: SecretString,
    node: String,
    /// Where the broker is, for people: without the user and the password.
    pub address: String,
    /// What all its names begin with.
    pub prefix: String,
    /// How long a publish and its confirm may take.
    pub publish_timeout: Duration,
    /// Messages published before their confirms are awaited.
    pub confirm_window: usize,
}

impl Bus {
    pub fn new(settings: &settings::Bus, node: &str) -> Self {
        let link = |purpose: &str| Link::new(&settings.url, (node, purpose));
        Self {
            consuming: link("consuming"),
            publishing: link("publishing"),
            topology: Topology::new(&settings.prefix),
            url: SecretString::clone(&settings.url),
            node: node.to_owned(),
            address: link::address(&settings.url),
            prefix: settings.prefix.clone(),
            publish_timeout: settings.publish_timeout,
            confirm_window: usize::try_from(settings.confirm_window).unwrap_or(1),
        }
    }

    /// A connection more, for whoever must be alone on it.
    pub fn link(&self, purpose: &str) -> Link {
        Link::new(&self.url, (&self.node, purpose))
    }
}
