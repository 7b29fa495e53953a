//! One connection to the broker, opened when a channel is wanted and there is none.

use std::time::Duration;

use lapin::types::LongString;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::{BusError, sieve};

/// Seconds of silence after which the other side is taken for dead.
const HEARTBEAT_SECONDS: u16 = 10;

/// How long the broker may take to let us in or out.
const PATIENCE: Duration = Duration::from_secs(10);

/// The broker's host and port, and its virtual host when that is not the usual one.
pub(super) fn address(url: &SecretString) -> String {
    let Ok(uri) = url.expose_secret().parse::<AMQPUri>() else {
        return "an address that is no AMQP URL".to_owned();
    };
    let AMQPUri { authority, vhost, .. } = uri;
    let address = format!("{}:{}", authority.host, authority.port);
    if vhost == "/" { address } else { format!("{address}, virtual host {vhost}") }
}

/// One connection; several stages may have channels on it.
#[derive(Debug)]
pub struct Link {
    url: SecretString,
    name: String,
    connection: Mutex<Option<Connection>>,
}

impl Link {
    /// Named after whose it is and what for, so that people can tell it from others.
    pub(super) fn new(url: &SecretString, (node, purpose): (&str, &str)) -> Self {
        let name = format!("calltaskd {node} {purpose}");
        Self { url: SecretString::clone(url), name, connection: Mutex::new(None) }
    }

    /// A new channel, on the connection there is or on a new one.
    pub async fn open_channel(&self) -> Result<Channel, BusError> {
        // A broker in need answers nothing at all on a connection that it has blocked.
        let opened = tokio::time::timeout(2 * PATIENCE, self.open()).await;
        opened.map_err(|_| BusError::Timeout("channel", PATIENCE))?
    }

    async fn open(&self) -> Result<Channel, BusError> {
        let mut connection = self.connection.lock().await;
        if let Some(open) = connection.as_ref().filter(|open| open.status().connected())
            && let Ok(channel) = open.create_channel().await
        {
            return Ok(channel);
        }
        let opened = self.connect().await?;
        let channel = opened.create_channel().await?;
        *connection = Some(opened);
        Ok(channel)
    }

    async fn connect(&self) -> Result<Connection, BusError> {
        let parsed = self.url.expose_secret().parse::<AMQPUri>();
        let mut uri = parsed.map_err(|error| lapin::Error::from(std::io::Error::other(error)))?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let properties = ConnectionProperties::default().with_connection_name(LongString::from(self.name.as_str()));
        let connect = tokio::time::timeout(PATIENCE, sieve::connect(uri, properties));
        Ok(connect.await.map_err(|_| BusError::Timeout("connection", PATIENCE))??)
    }

    /// Whether the broker takes nothing on this connection for now, because it is out of memory or disk.
    pub async fn is_blocked(&self) -> bool {
        self.connection.lock().await.as_ref().is_some_and(is_blocked)
    }

    /// Lets go of the connection, which may be dead without anybody knowing: the next channel is of another one.
    pub async fn abandon(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            let goodbye = async move { drop(connection.close(200, "bye".into()).await) };
            tokio::spawn(tokio::time::timeout(PATIENCE, goodbye));
        }
    }

    /// Closes the connection, if it is open. A broker in need does not read that.
    pub async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take().filter(|open| !is_blocked(open)) {
            // The peer may be gone already: then there is nothing to close.
            drop(tokio::time::timeout(PATIENCE, connection.close(200, "bye".into())).await);
        }
    }
}

fn is_blocked(connection: &Connection) -> bool {
    connection.status().connected() && connection.status().blocked()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_no_password() {
        let of = |url: &str| address(&SecretString::from(url));
        assert_eq!(of("amqp://user:secret@mq.example:5673/%2f"), "mq.example:5673");
        assert_eq!(of("amqps://user:secret@mq.example/calls"), "mq.example:5671, virtual host calls");
        assert!(!of("http://user:secret@mq.example").contains("secret"));
    }
}
