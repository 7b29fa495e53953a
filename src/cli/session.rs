//! The way from a command to a daemon's reply.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use uuid::Uuid;

use super::failure::Failure;
use super::{Once, Options, output, reply};
use crate::bus::{Bus, BusError, Client};
use crate::domain::phone_number::Region;
use crate::settings::{self, Settings};

/// Reads the settings as the daemon would.
pub fn settings(options: &Options) -> Result<Settings, Failure> {
    settings::load(options.config.as_deref(), settings::process_environment()).map_err(Failure::Settings)
}

/// What the commands that talk to a daemon need.
#[derive(Debug)]
pub struct Session {
    bus: Bus,
    patience: Duration,
    /// Replies are printed as they came.
    pub json: bool,
    /// As the settings of this machine have it; the daemon's own may differ.
    pub default_region: Option<Region>,
}

impl Session {
    pub(super) fn new(settings: &Settings, options: &Options) -> Self {
        let bus = Bus::new(&settings.bus, "command line");
        let patience = Duration::from_secs(options.timeout_seconds);
        Self { bus, patience, json: options.json, default_region: settings.numbers.default_region }
    }

    /// Connects. A broker that is there but does not speak is given up, too.
    pub async fn client(&self) -> anyhow::Result<Client<'_>> {
        let opened = tokio::time::timeout(self.patience, Client::open(&self.bus, self.patience)).await;
        let opened = opened.unwrap_or_else(|_| Err(BusError::Timeout("connection", self.patience).into()));
        opened.with_context(|| format!("RabbitMQ at {} (setting bus.url)", self.bus.address))
    }

    /// Sends a command, once, and waits for its reply.
    pub async fn command(&self, name: &str, once: &Once, body: &Value) -> anyhow::Result<Value> {
        let message_id = once.message_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        let answer = self.client().await?.command(name, &message_id, body).await;
        Ok(answer.map_err(|error| error.with_hint(&again(&message_id)))?)
    }

    /// Asks a question.
    pub async fn query(&self, name: &str, body: &Value) -> anyhow::Result<Value> {
        Ok(self.client().await?.query(name, body).await?)
    }

    /// Prints a reply: as it came, or as the text that `for_people` makes of it; a refusal becomes the failure.
    pub fn show(&self, reply: &Value, for_people: impl FnOnce(&Value) -> String) -> anyhow::Result<()> {
        if self.json {
            output::document(reply)?;
        }
        reply::judge(reply)?;
        if !self.json {
            output::lines(&for_people(reply))?;
        }
        Ok(())
    }

    /// Says goodbye, so that the broker logs no lost connection.
    pub async fn close(&self) {
        // A broker that has gone silent is not waited for.
        drop(tokio::time::timeout(Duration::from_secs(2), self.bus.publishing.close()).await);
    }
}

/// How a command without a reply is sent once more.
pub fn again(message_id: &str) -> String {
    format!("Sent again with --message-id {message_id}, it takes effect once.")
}
