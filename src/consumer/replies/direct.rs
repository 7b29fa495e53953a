//! Replies to the broker's own kind of address, `amq.rabbitmq.reply-to.…`.
//!
//! Such an address names a process of the broker. Of one that is forged, or whose node is down, RabbitMQ before 4.1 can
//! close the whole connection that the reply came by; missed heartbeats and people end connections, too, and nothing
//! tells one from the other. So whoever replies has a connection of its own with one reply in the air: when it ends, no
//! other is lost. That one is sent once more, by a new connection, and can then arrive twice: the confirm may have been
//! lost, not the reply.

use std::time::{Duration, Instant};

use lapin::Channel;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Reply, in_time, open_channel, publish};
use crate::bus::{BusError, Link};
use crate::retry::Delays;

/// What all such addresses begin with.
const DIRECT: &str = "amq.rabbitmq.reply-to";

/// Connections that may leave a reply unconfirmed.
const MOST_TRIES: usize = 2;

pub(super) struct DirectReplies {
    link: Link,
    patience: Duration,
    /// Opened with the first reply.
    channel: Option<Channel>,
}

impl DirectReplies {
    /// By a connection that is nobody else's; opening it, and each confirm, may take as long as `patience`.
    pub fn new(link: Link, patience: Duration) -> Self {
        Self { link, patience, channel: None }
    }

    pub fn are_for(address: &str) -> bool {
        address.starts_with(DIRECT)
    }

    /// Sends what comes, one after the other, until nothing comes any more.
    pub async fn run(mut self, mut replies: UnboundedReceiver<Reply>) {
        while let Some(reply) = replies.recv().await {
            self.send(reply).await;
        }
        self.link.close().await;
    }

    /// Returns when the broker has it, or when it is given up, which the log tells.
    async fn send(&mut self, mut reply: Reply) {
        let to = reply.address();
        if !can_be_minted(&reply.to) {
            tracing::warn!(to, "a direct reply is not sent: RabbitMQ gives out no such address");
            return;
        }
        while reply.tries < MOST_TRIES {
            let channel = match self.channel().await {
                Ok(channel) => channel,
                Err(error) => {
                    tracing::warn!(%error, to, "a direct reply is given up: there was no connection to send it by");
                    return;
                }
            };
            let Err(error) = in_time((&self.link, self.patience), publish(&channel, &reply)).await else {
                self.channel = Some(channel);
                return;
            };
            self.link.abandon().await;
            reply.tries += 1;
            if reply.tries < MOST_TRIES {
                tracing::warn!(%error, to, "a direct reply was not confirmed and is sent once more, by a new connection");
            } else {
                tracing::warn!(%error, to, "a direct reply is given up: it was sent by two connections, and neither confirmed it");
            }
        }
    }

    /// The channel there is, or one of a new connection, for which it tries as long as it has patience.
    async fn channel(&mut self) -> Result<Channel, BusError> {
        if let Some(kept) = self.channel.take().filter(|channel| channel.status().connected()) {
            return Ok(kept);
        }
        let (deadline, mut delays) = (Instant::now() + self.patience, Delays::up_to(Duration::from_secs(1)));
        loop {
            let opened = tokio::time::timeout(self.patience, open_channel(&self.link)).await;
            let error = match opened.unwrap_or(Err(BusError::Timeout("request for a channel", self.patience))) {
                Ok(channel) => return Ok(channel),
                Err(error) => error,
            };
            self.link.abandon().await;
            let pause = delays.next_delay();
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// Whether this can be an address of the broker's. All its versions from 3.4 to 4.3 write `amq.rabbitmq.reply-to.`, a
/// process in Erlang's external format, a dot and a random key, the last two in Base64. Anything else would end the
/// connection or go nowhere. What is in the process is not judged: that differs from version to version.
fn can_be_minted(address: &str) -> bool {
    let parts = address.strip_prefix(DIRECT).and_then(|rest| rest.strip_prefix('.')?.split_once('.'));
    parts.is_some_and(|(process, key)| is_base64(process) && is_base64(key) && begins_as_a_term(process))
}

fn is_base64(text: &str) -> bool {
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    text.len().is_multiple_of(4) && !digits.is_empty() && digits.bytes().all(is_digit)
}

/// Whether the first byte is 131, with which Erlang begins whatever it writes.
fn begins_as_a_term(base64: &str) -> bool {
    matches!(base64.as_bytes(), [b'g', b'w'..=b'z' | b'0'..=b'9' | b'+' | b'/', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: &str = "g1h2AA5yZXBseUAxNjM1OTE4OAAAArEAAAAAawheqw==";
    const KEY: &str = "nkulMZFSnCEbjbV4+dtVsg==";

    #[test]
    fn what_rabbitmq_gives_out_can_be_minted() {
        // The tag of the process is `X` since Erlang 23 and was `g` before; the name of the node may be short or long.
        let old = "g2dkAA5yYWJiaXRAbG9jYWxob3N0AAABGAAAAAAD";
        let addresses = [PROCESS, old].map(|process| format!("{DIRECT}.{process}.{KEY}"));
        assert!(addresses.iter().all(|address| can_be_minted(address)), "{addresses:?}");
    }

    #[test]
    fn what_is_certainly_none_cannot() {
        let url_safe = KEY.replace('+', "-");
        let none = [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            ".forged1.x".to_owned(),
            ".g1h2AA.forged".to_owned(),
            format!(".{PROCESS}"),
            format!(".{PROCESS}."),
            format!("..{KEY}"),
            format!(".{PROCESS}.{KEY}.{KEY}"),
            format!("..{PROCESS}.{KEY}"),
            format!("-{PROCESS}.{KEY}"),
            format!(".{}.{KEY}", PROCESS.trim_end_matches('=')),
            format!(".{PROCESS}.{url_safe}"),
            format!(".====.{KEY}"),
            format!(".AAAA.{KEY}"),
            format!(".{KEY}.{KEY}"),
            format!(".{PROCESS}.{}é", &KEY[..22]),
        ];
        for rest in none {
            assert!(!can_be_minted(&format!("{DIRECT}{rest}")), "{rest}");
        }
    }
}
