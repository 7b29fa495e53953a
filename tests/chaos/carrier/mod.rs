//! The carrier and the voice agents of all daemons: one process that speaks SIP over UDP and writes down every INVITE and
//! every end, on the disk before anybody hears of it.
//!
//! It is this test's own executable, started again: so it outlives no run, and is ended by its pid. Nothing in here may use the
//! daemon's code or the library that it speaks SIP with, so that the two cannot be wrong alike.

mod ear;
mod exchange;
mod leg;
#[path = "../../loss/message.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod message;
mod repeats;
mod timers;

use std::fs::File;
use std::io::{BufRead, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::book::Book;
use super::harness::patience::{SOON, until};
use exchange::Exchange;

/// Its ledger.
pub const LEDGER: &str = "carrier.jsonl";
/// The file in which it says at which ports it is: the carrier's and the agents'.
const PORTS: &str = "carrier-ports.json";
/// Says where a process that is to be the carrier writes, and from which seed it draws.
const FOLDER: &str = "CALLTASKD_CHAOS_CARRIER";
const SEED: &str = "CALLTASKD_CHAOS_CARRIER_SEED";

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// It refuses every call, and says so.
    Overloaded,
    /// Nothing that is sent to it arrives.
    Deaf,
}

impl Mood {
    const ALL: [(Self, &str); 3] = [(Self::Well, "well"), (Self::Overloaded, "overloaded"), (Self::Deaf, "deaf")];

    fn named(name: &str) -> Self {
        Self::ALL.iter().find(|(_, its)| *its == name).unwrap_or_else(|| panic!("{name} is no mood")).0
    }
}

/// Where it is told how it is.
#[derive(Clone)]
pub struct Moods(Arc<Mutex<Option<ChildStdin>>>);

impl Moods {
    /// Tells it how it is from now on.
    pub fn set(&self, mood: Mood) {
        let name = Mood::ALL.iter().find(|(its, _)| *its == mood).unwrap().1;
        writeln!(self.0.lock().unwrap().as_mut().unwrap(), "{name}").unwrap();
    }
}

/// The process.
pub struct Carrier {
    process: Child,
    pub moods: Moods,
    pub port: u16,
    pub agent_port: u16,
}

impl Carrier {
    pub async fn start(folder: &Path, seed: u64) -> Self {
        let log = File::create(folder.join("carrier.log")).unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "carrier::plays_when_it_is_asked_to", "--nocapture"])
            .env(FOLDER, folder)
            .env(SEED, seed.to_string())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let ports = folder.join(PORTS);
        let read = || serde_json::from_slice::<[u16; 2]>(&std::fs::read(&ports).ok()?).ok();
        let [port, agent_port] = until("the carrier to say where it is", SOON, read).await;
        let moods = Moods(Arc::new(Mutex::new(process.stdin.take())));
        Self { process, moods, port, agent_port }
    }

    /// Ends it, which must succeed: its ledger is whole then.
    pub async fn stop(&mut self) {
        drop(self.moods.0.lock().unwrap().take());
        let process = &mut self.process;
        let status = until("the carrier's end", SOON, || process.try_wait().unwrap()).await;
        assert!(status.success(), "the carrier: {status}, see its log");
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as good.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// No test: what the process above does, until nobody holds the other end of its standard input any more.
#[test]
fn plays_when_it_is_asked_to() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    // A carrier has machines of its own; what it writes down late would look like calls too close together.
    if let Err(error) = rustix::process::nice(-15) {
        println!("it goes no faster than others: {error}");
    }
    let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let ports = [0, 1].map(|side: usize| sockets[side].local_addr().unwrap().port());
    let exchange = Exchange::open(sockets, Book::open(&folder, LEDGER), seed);
    let order = exchange.orders();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines();
        lines.map_while(Result::ok).for_each(|line| order(Some(Mood::named(&line))));
        order(None);
    });
    std::fs::write(folder.join("carrier-ports.new"), json!(ports).to_string()).unwrap();
    std::fs::rename(folder.join("carrier-ports.new"), folder.join(PORTS)).unwrap();
    exchange.play();
}

/// How long it waits when there is nothing to be done.
const IDLE: Duration = Duration::from_secs(1);
