//! One connection that another opened to us, from its first byte to its close.
//!
//! One task reads and writes in turns: who does not take what we say is not listened to any longer, so that nothing
//! piles up. It must not decide what a message means: whatever can be read goes to the stack.

use std::net::SocketAddr;
use std::time::Duration;

use rsipstack::sip::{SipMessage, Transport as Via};
use rsipstack::transaction::endpoint::EndpointInnerRef;
use rsipstack::transport::channel::ChannelConnection;
use rsipstack::transport::{SipAddr, SipConnection, TransportEvent};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::framing::{Frame, Framer, bad_request};

/// A message that has begun has to come to its end within this, and so has the first one of a connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A connection over which nothing comes for so long is closed; who needs it opens another.
const SILENCE: Duration = Duration::from_secs(300);

/// What is sent has to be taken within this.
const SENDING: Duration = Duration::from_secs(5);

/// How long a close waits for the other side's: what it sent meanwhile would make the system throw away our last word.
const CLOSING: Duration = Duration::from_secs(1);

const AT_A_TIME: usize = 8_192;

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guest {
    pub from: SocketAddr,
    pub transport: Via,
}

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
enum Over {
    #[error("the daemon ends")]
    Ends,
    #[error("the other side closed it")]
    Left,
    #[error("nothing came over it")]
    Silent,
    #[error("a message did not come to its end")]
    Slow,
    #[error("what was sent was not taken")]
    Deaf,
    #[error("{0}")]
    Lost(#[from] super::framing::Lost),
    #[error("{0}")]
    Broken(#[from] std::io::Error),
}

struct Visit<S> {
    stream: S,
    guest: Guest,
    /// What the stack knows this connection by.
    connection: SipConnection,
    address: SipAddr,
    to_stack: UnboundedSender<TransportEvent>,
    from_stack: UnboundedReceiver<TransportEvent>,
    framer: Framer,
    /// The first message came.
    heard: bool,
    /// When the message began that is not whole, or else when something came last.
    since: Instant,
}

/// Lives one connection to its end.
pub(super) async fn attend<S>(stream: S, guest: Guest, endpoint: EndpointInnerRef, end: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let address = SipAddr { r#type: Some(guest.transport), addr: guest.from.into() };
    let (to_stack, from_guest) = mpsc::unbounded_channel();
    let (to_guest, from_stack) = mpsc::unbounded_channel();
    let channel = ChannelConnection::create_connection(from_guest, to_guest, address.clone(), Some(end.clone())).await;
    let Ok(channel) = channel else { return };
    let connection = SipConnection::Channel(channel);
    endpoint.transport_layer.add_connection(connection.clone());
    let (framer, since) = (Framer::default(), Instant::now());
    let mut visit = Visit { stream, guest, connection, address, to_stack, from_stack, framer, heard: false, since };
    let over = visit.live(&end).await;
    // Nobody sends over it from now on.
    end.cancel();
    visit.close(&over).await;
    tracing::debug!(from = %guest.from, %over, "a connection was closed");
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Visit<S> {
    async fn live(&mut self, end: &CancellationToken) -> Over {
        let mut bytes = vec![0; AT_A_TIME];
        loop {
            let waits = self.heard && !self.framer.has_begun();
            let deadline = self.since + if waits { SILENCE } else { PATIENCE };
            let done = tokio::select! {
                biased;
                () = end.cancelled() => Err(Over::Ends),
                () = tokio::time::sleep_until(deadline) => Err(if waits { Over::Silent } else { Over::Slow }),
                Some(event) = self.from_stack.recv() => match event {
                    TransportEvent::Incoming(message, ..) => self.say(&message.to_bytes()).await,
                    _ => Ok(()),
                },
                read = self.stream.read(&mut bytes) => match read {
                    Ok(0) => Err(Over::Left),
                    Ok(length) => self.take_in(&bytes[..length]).await,
                    Err(error) => Err(error.into()),
                },
            };
            if let Err(over) = done {
                return over;
            }
        }
    }

    async fn take_in(&mut self, bytes: &[u8]) -> Result<(), Over> {
        let began = self.framer.has_begun();
        self.framer.take_in(bytes);
        let mut complete = false;
        while let Some(frame) = self.framer.next()? {
            complete = true;
            match frame {
                Frame::Ping => self.say(b"\r\n").await?,
                Frame::Message(message) => self.hear(&message).await?,
            }
        }
        // A message has its time from its first byte on, however its bytes are spread over it.
        if complete || (self.heard && !began) {
            self.since = Instant::now();
        }
        Ok(())
    }

    /// Hands a message to the stack. One that cannot be read does no harm to those that follow it.
    async fn hear(&mut self, bytes: &[u8]) -> Result<(), Over> {
        let Guest { from, transport } = self.guest;
        let read = SipMessage::try_from(bytes).map_err(|error| error.to_string());
        let read = read.and_then(|message| {
            SipConnection::update_msg_received(message, from, transport).map_err(|error| error.to_string())
        });
        match read {
            Ok(message) => {
                self.heard = true;
                let event = TransportEvent::Incoming(message, self.connection.clone(), self.address.clone());
                self.to_stack.send(event).map_err(|_| Over::Ends)
            }
            Err(error) => {
                tracing::debug!(%from, error, "a message could not be read");
                match bad_request(bytes) {
                    Some(answer) => self.say(&answer).await,
                    None => Ok(()),
                }
            }
        }
    }

    async fn say(&mut self, bytes: &[u8]) -> Result<(), Over> {
        let sending = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(SENDING, sending).await.map_err(|_| Over::Deaf)?.map_err(Over::from)
    }

    async fn close(&mut self, over: &Over) {
        let last = match over {
            Over::Lost(_) => bad_request(self.framer.rest()),
            _ => None,
        };
        if let Some(last) = last {
            drop(self.say(&last).await);
        }
        let leaving = async {
            self.stream.shutdown().await?;
            let mut rest = vec![0; AT_A_TIME];
            while self.stream.read(&mut rest).await? > 0 {}
            std::io::Result::Ok(())
        };
        drop(tokio::time::timeout(CLOSING, leaving).await);
    }
}
