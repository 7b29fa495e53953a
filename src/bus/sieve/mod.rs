//! Between the broker's bytes and the library that reads them: what a sender may put into a message and the library does
//! not survive is taken out before.
//!
//! Anybody who may publish a command chooses its properties, and a broker passes them on as they are. lapin ends the
//! connection at a short string that is no UTF-8, so that the message comes again and again and nothing behind it ever
//! does; it walks nested tables of headers on its stack, which can end the process; and it keeps a body of any size whole,
//! as many at once as are prefetched. So short strings are made UTF-8, visibly ([`SUBSTITUTE`]), headers are left out, which
//! nothing here reads, and of a message that is too large only what a dead letter keeps is passed on, with its size and its
//! SHA-256 in headers of ours.

mod content;
mod frames;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Stream;
use lapin::tcp::{AMQPUriTcpExt, AsyncTcpStream};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};

pub use content::SUBSTITUTE;
use frames::Frames;
pub use frames::{KEPT_BYTES, MOST_BYTES, SHA256, SIZE, hexadecimal};

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

type Socket = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

/// Connects as the library does, with a sieve in between.
pub async fn connect(uri: AMQPUri, properties: ConnectionProperties) -> Result<Connection, lapin::Error> {
    let tokio = Tokio::current();
    let sieved = Runtime::new(RuntimeParts::new(tokio.clone(), Sockets(tokio.clone())));
    let plain = Runtime::new(tokio);
    let connect = async move |uri: AMQPUri, _| {
        let socket = uri.connect_async(&plain).await?;
        Ok(AsyncTcpStream::Plain(Sieve::over(socket)))
    };
    Connection::connector(uri, sieved, connect, properties).await
}

/// A connection whose bytes come in through [`Frames`].
pub struct Sieve {
    socket: Socket,
    frames: Frames,
    chunk: Box<[u8]>,
    has_ended: bool,
}

impl Sieve {
    fn over(socket: Socket) -> Self {
        Self { socket, frames: Frames::default(), chunk: vec![0; CHUNK].into(), has_ended: false }
    }
}

impl AsyncRead for Sieve {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        loop {
            let taken = this.frames.take(into);
            if taken > 0 || this.has_ended || into.is_empty() {
                return Poll::Ready(Ok(taken));
            }
            match ready!(Pin::new(&mut this.socket).poll_read(context, &mut this.chunk))? {
                0 => {
                    this.frames.end();
                    this.has_ended = true;
                }
                read => this.frames.put(&this.chunk[..read]),
            }
        }
    }
}

impl AsyncWrite for Sieve {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, parts)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context)
    }
}

/// Tokio's own, but for the type of its sockets: the library takes no other than those of its runtime.
#[derive(Debug, Clone)]
struct Sockets(Tokio);

impl Reactor for Sockets {
    type TcpStream = Sieve;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: io::Read + io::Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        // Nothing asks for it: connections are made by `connect`.
        Err::<Sieve, _>(io::Error::from(io::ErrorKind::Unsupported))
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(&self, address: SocketAddr) -> impl Future<Output = io::Result<Sieve>> + Send + 'static {
        let socket = self.0.tcp_connect_addr(address);
        async move { Ok(Sieve::over(AsyncTcpStream::Plain(socket.await?))) }
    }
}
