//! The way back to whoever asked.
//!
//! A reply is handed over, and a task of its lane sees to it that the broker takes it: whoever applies commands waits neither
//! for a connection that is dead nor for a broker in need. A reply address is the sender's to choose. One of the broker's
//! own kind, `amq.rabbitmq.reply-to.…`, can end the connection on which the reply comes, so that such replies have a lane
//! of their own ([`direct`]) and nobody else's reply is on it.
//!
//! Replies are kept in memory alone. What is lost with the daemon can be asked for again: the effect of a command is
//! committed, and the same `message_id` gets the same reply.

mod direct;
mod lane;
mod ordinary;

use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation};
use tokio::sync::OwnedSemaphorePermit;

use crate::bus::{Bus, BusError, Envelope, Link, reply_properties};
use crate::domain::fields::excerpt;
use direct::DirectReplies;
use lane::Lane;
use ordinary::OrdinaryReplies;

/// As much of an address as the log shows: all of a true direct one.
const SHOWN: usize = 96;

/// The replies to what comes by one queue; they outlive its sessions.
pub(super) struct Replies {
    ordinary: Lane,
    direct: Lane,
}

impl Replies {
    /// Connects when there is something to send.
    pub fn open(bus: &Bus, queue: &str) -> Self {
        let patience = bus.publish_timeout;
        let ordinary = OrdinaryReplies::new(bus.link(&format!("replying to {queue}")), patience);
        let direct = DirectReplies::new(bus.link(&format!("replying directly to {queue}")), patience);
        Self {
            ordinary: Lane::open(patience, |replies| ordinary.run(replies)),
            direct: Lane::open(patience, |replies| direct.run(replies)),
        }
    }

    /// Sends a reply to whoever wants one. To a queue that is gone it is dropped by the broker.
    pub async fn send(&self, envelope: &Envelope, body: String) {
        match envelope.reply_to.as_deref() {
            None => {}
            Some(to) if DirectReplies::are_for(to) => self.direct.put((envelope, to), body).await,
            Some(to) => self.ordinary.put((envelope, to), body).await,
        }
    }

    /// Returns when all are sent, or given up because the broker is away.
    pub async fn close(self) {
        tokio::join!(self.ordinary.close(), self.direct.close());
    }
}

/// One reply on its way.
struct Reply {
    to: String,
    correlation_id: Option<String>,
    body: String,
    /// Connections that ended, or were silent, before they had confirmed it.
    tries: usize,
    /// Its part of the memory of its lane, given back with it.
    _room: OwnedSemaphorePermit,
}

impl Reply {
    /// Its address, for the log.
    fn address(&self) -> String {
        excerpt(&self.to, SHOWN)
    }
}

async fn open_channel(link: &Link) -> Result<Channel, BusError> {
    let channel = link.open_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Publishes it and waits for the confirm.
async fn publish(channel: &Channel, reply: &Reply) -> Result<Confirmation, lapin::Error> {
    let properties = reply_properties(reply.correlation_id.as_deref());
    let (to, options) = (reply.to.as_str().into(), BasicPublishOptions::default());
    channel.basic_publish("".into(), to, options, reply.body.as_bytes(), properties).await?.await
}

/// Waits for a step of the broker's as long as `patience`, and for as long as it is in need: out of memory or disk, it takes
/// nothing and loses nothing. Must be polled meanwhile.
async fn in_time<T>(
    (link, patience): (&Link, Duration),
    step: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, BusError> {
    tokio::pin!(step);
    let mut was_blocked = false;
    loop {
        match tokio::time::timeout(patience, &mut step).await {
            Ok(done) => return done.map_err(BusError::ChannelEnded),
            Err(_) if link.is_blocked().await => was_blocked = true,
            // It is in need no more, and what was held back is only now on its way.
            Err(_) if was_blocked => was_blocked = false,
            Err(_) => return Err(BusError::Timeout("reply", patience)),
        }
    }
}
