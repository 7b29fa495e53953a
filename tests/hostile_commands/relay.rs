//! The way of a daemon to the broker, on which replies can be lost.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use lapin::uri::AMQPUri;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::servers::Place;

/// With what the routing key of a direct reply begins, and of one to a queue that the broker named. On its way to the daemon
/// it is in a property, and nobody looks.
pub const DIRECT: &[u8] = b"amq.rabbitmq.reply-to.g";
pub const QUEUE: &[u8] = b"amq.gen-";

/// What befalls a reply.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    /// It is lost, and its connection ends.
    Cut,
    /// It is lost with all that follows it, and nobody hears of it.
    Swallowed,
    /// The broker has it, but its connection ends, so that the confirm is lost.
    Unconfirmed,
}

/// Passes on everything but replies that have a fate.
#[derive(Clone)]
pub struct Relay {
    port: u16,
    /// What only replies have.
    mark: &'static [u8],
    server: String,
    fates: Arc<Mutex<VecDeque<Fate>>>,
}

impl Relay {
    pub async fn before(place: &Place, mark: &'static [u8]) -> Self {
        let uri: AMQPUri = place.amqp_url.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self {
            port: listener.local_addr().unwrap().port(),
            mark,
            server: format!("{}:{}", uri.authority.host, uri.authority.port),
            fates: Arc::default(),
        };
        tokio::spawn(relay.clone().serve(listener));
        relay
    }

    /// The same place, by way of the relay.
    pub fn place(&self, place: &Place) -> Place {
        let amqp_url = place.amqp_url.replace(&self.server, &format!("127.0.0.1:{}", self.port));
        assert_ne!(amqp_url, place.amqp_url);
        Place { amqp_url, ..place.clone() }
    }

    /// What befalls the next replies, one after the other.
    pub fn plan(&self, fates: &[Fate]) {
        self.fates.lock().unwrap().extend(fates);
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((client, _)) = listener.accept().await {
            let relay = self.clone();
            tokio::spawn(async move {
                let server = TcpStream::connect(&relay.server).await?;
                let (mut from_server, to_server) = server.into_split();
                let (from_client, mut to_client) = client.into_split();
                // Whichever ends first ends both, and so the connection.
                tokio::select! {
                    ended = relay.pass(from_client, to_server) => ended,
                    ended = copy(&mut from_server, &mut to_client) => ended.map(drop),
                }
            });
        }
    }

    async fn pass(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        // With the end of the last piece: what is looked for may lie in two.
        let (mut piece, mut seen) = (vec![0; 64 * 1024], Vec::new());
        loop {
            let read = match from.read(&mut piece).await? {
                0 => return to.shutdown().await,
                read => &piece[..read],
            };
            seen.extend_from_slice(read);
            let is_reply = seen.windows(self.mark.len()).any(|window| window == self.mark);
            seen.drain(..seen.len().saturating_sub(self.mark.len() - 1));
            let fate = if is_reply { self.fates.lock().unwrap().pop_front() } else { None };
            match fate {
                None => to.write_all(read).await?,
                Some(Fate::Cut) => return Ok(()),
                Some(Fate::Swallowed) => loop {
                    if from.read(&mut piece).await? == 0 {
                        return Ok(());
                    }
                },
                Some(Fate::Unconfirmed) => {
                    to.write_all(read).await?;
                    return to.shutdown().await;
                }
            }
        }
    }
}
