//! Who may look at the endpoint at one time, and for how long: connections cost file descriptors, which dialling needs more.
//!
//! Whoever comes when the room is full is turned away at once, and everybody has to come again after a while, so that those who
//! only sit there cannot keep the others out for ever. Must not look at what is asked.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// Connections at one time: a few scrapers and probes, each with some to spare.
const MOST: usize = 64;
/// How long one is open, however much it is used: a scraper opens another.
const STAY: Duration = Duration::from_secs(30);
/// Most likely there are no file descriptors left, and there will not be one in this very moment.
const AFTER_AN_ERROR: Duration = Duration::from_millis(200);

/// A socket that is listened on.
pub(super) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    stay: Duration,
}

impl Door {
    pub fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(MOST)), stay: STAY }
    }
}

impl Listener for Door {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visit, SocketAddr) {
        loop {
            let (stream, from) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "a connection to the operator's endpoint was not taken");
                    tokio::time::sleep(AFTER_AN_ERROR).await;
                    continue;
                }
            };
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                tracing::debug!(%from, "a connection to the operator's endpoint was refused: there are too many");
                continue;
            };
            return (Visit { stream, over: Box::pin(tokio::time::sleep(self.stay)), _place: place }, from);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails when its time is over.
pub(super) struct Visit {
    stream: TcpStream,
    over: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Visit {
    /// Its time, polled so that whoever waits for the peer is woken when it is over.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.over.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Visit {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Visit {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const QUESTION: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

    /// An endpoint that lets its guests stay so long.
    async fn open(stay: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = axum::Router::new().route("/", axum::routing::get(async || "here"));
        let door = Door { stay, ..Door::new(listener) };
        tokio::spawn(async move { axum::serve(door, routes).await });
        address
    }

    /// What whoever asks there gets; nothing when turned away.
    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = Vec::new();
        drop(stream.write_all(QUESTION).await);
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn whoever_comes_when_the_room_is_full_is_turned_away_and_those_who_sit_there_must_go() {
        let address = open(Duration::from_secs(2)).await;
        let mut sitting = Vec::new();
        for _ in 0..MOST {
            sitting.push(TcpStream::connect(address).await.unwrap());
        }
        assert_eq!(ask(address).await, "", "there is no place");
        for mut guest in sitting {
            assert_eq!(guest.read_to_end(&mut Vec::new()).await.unwrap_or(0), 0, "it was never spoken to");
        }
        assert!(ask(address).await.ends_with("here"), "all places are free again");
    }
}
