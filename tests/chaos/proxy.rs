//! The network between the daemons and their servers: everything goes through a proxy of each server, which can stand still
//! or lose all its connections.
//!
//! Nothing is thrown away while it stands still: as on a network that is congested or fails over, what was sent arrives late, also from those
//! who have given up or died since. The run's own tools do not come this way.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::harness::servers::Place;

/// What is read at a time.
const PIECE: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, Default)]
struct Gate {
    stands_still: bool,
    /// How often all connections were lost.
    resets: u64,
}

/// The way to one server.
pub struct Proxy {
    port: u16,
    gate: watch::Sender<Gate>,
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, gate) = (listener.local_addr().unwrap().port(), watch::Sender::new(Gate::default()));
        let accepting = tokio::spawn(accept(listener, server, gate.clone()));
        Self { port, gate, accepting }
    }

    /// Lets nothing pass for so long.
    pub async fn stall(&self, lasts: Duration) {
        self.gate.send_modify(|gate| gate.stands_still = true);
        tokio::time::sleep(lasts).await;
        self.gate.send_modify(|gate| gate.stands_still = false);
    }

    /// Loses every connection, as a firewall does that forgets them.
    pub fn reset(&self) {
        self.gate.send_modify(|gate| gate.resets += 1);
    }
}

async fn accept(listener: TcpListener, server: String, gate: watch::Sender<Gate>) {
    // Ends the connections when it is dropped.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(carry(client, server.clone(), gate.subscribe()));
    }
}

/// Carries both ways until both ends are closed, either breaks, or the connection is lost.
async fn carry(mut client: TcpStream, address: String, mut gate: watch::Receiver<Gate>) {
    let resets = gate.borrow().resets;
    let mut server = None;
    let lost = {
        let mut watched = gate.clone();
        async move { drop(watched.wait_for(|gate| gate.resets > resets).await) }
    };
    let carried = async {
        passage(&mut gate).await;
        client.set_nodelay(true)?;
        let server = server.insert(TcpStream::connect(address).await?);
        server.set_nodelay(true)?;
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        tokio::try_join!(pass(from_client, to_server, gate.clone()), pass(from_server, to_client, gate.clone()))
    };
    let whole = tokio::select! {
        carried = carried => carried.is_ok(),
        () = lost => false,
    };
    if !whole {
        for stream in [Some(&client), server.as_ref()].into_iter().flatten() {
            // Its end is an RST then. Fails when the other side has said so already.
            drop(stream.set_zero_linger());
        }
    }
}

async fn pass(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut gate: watch::Receiver<Gate>) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        passage(&mut gate).await;
        let read = from.read(&mut piece).await?;
        // What was on its way when everything came to a stand.
        passage(&mut gate).await;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..read]).await?;
    }
}

async fn passage(gate: &mut watch::Receiver<Gate>) {
    // An error would mean that the proxy is gone, and its connections with it.
    drop(gate.wait_for(|gate| !gate.stands_still).await);
}

/// Both ways.
pub struct Network {
    pub postgres: Proxy,
    pub rabbitmq: Proxy,
}

impl Network {
    pub async fn before(servers: &Place) -> Self {
        let (postgres, rabbitmq) = (address(&servers.database_url), address(&servers.amqp_url));
        Self { postgres: Proxy::before(postgres.to_owned()).await, rabbitmq: Proxy::before(rabbitmq.to_owned()).await }
    }

    /// The same servers, as whoever is behind the network reaches them.
    pub fn place(&self, servers: &Place) -> Place {
        let through = |url: &str, proxy: &Proxy| url.replacen(address(url), &format!("127.0.0.1:{}", proxy.port), 1);
        Place {
            database_url: through(&servers.database_url, &self.postgres),
            amqp_url: through(&servers.amqp_url, &self.rabbitmq),
            prefix: servers.prefix.clone(),
        }
    }
}

/// Host and port of a URL.
fn address(url: &str) -> &str {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split_once('/').unwrap().0
}
