//! What is done to the servers, and to the network before them; one at a time.
//!
//! Each outage is a task that ends when everything is as it was. When it comes is the nemesis' business.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::consumer;
use super::faults::Fault;
use super::harness::servers::Place;
use super::proxy::Network;
use super::sessions;

const AWAY_SECONDS: &str = "30";
const FULL_SECONDS: &str = "8";
const BLOCKED_SECONDS: &str = "10";
const UNBOUND: Duration = Duration::from_secs(8);

/// One that is going on.
pub struct Outage {
    over: JoinHandle<()>,
    /// What its line in the ledger has besides.
    pub note: Value,
}

impl Outage {
    /// Whether everything is as it was.
    ///
    /// # Panics
    ///
    /// When it cannot be brought back.
    pub async fn is_over(&mut self) -> bool {
        self.over.is_finished() && {
            (&mut self.over).await.unwrap();
            true
        }
    }
}

/// Who does them.
pub struct Outages {
    /// The script that has the servers.
    services: OsString,
    /// Where they are, not through the network.
    servers: Place,
    network: Arc<Network>,
}

impl Outages {
    pub fn new(services: OsString, servers: &Place, network: Arc<Network>) -> Self {
        Self { services, servers: servers.clone(), network }
    }

    pub fn begin(&self, fault: Fault, dice: &mut StdRng) -> Outage {
        let mut note = json!({});
        let over = match fault {
            Fault::Kill | Fault::Stop | Fault::Term | Fault::Clock | Fault::Rolling => panic!("{fault:?} is no outage"),
            Fault::TrunkOverloaded | Fault::TrunkDeaf => panic!("{fault:?} is no outage of a server"),
            Fault::Postgres => self.script(&["restart-postgres", "immediate"]),
            Fault::PostgresAway => self.script(&["restart-postgres", "fast", AWAY_SECONDS]),
            Fault::DiskFull => self.script(&["fill-disk", FULL_SECONDS]),
            Fault::Rabbitmq => self.script(&["restart-rabbitmq", "fast"]),
            Fault::RabbitmqKill => self.script(&["restart-rabbitmq", "immediate"]),
            Fault::Connections => self.script(&["close-connections"]),
            Fault::MemoryAlarm => self.script(&["block-publishers", BLOCKED_SECONDS]),
            Fault::Sessions => {
                let (servers, seed) = (self.servers.clone(), dice.gen_range(-1.0..1.0));
                tokio::spawn(async move { sessions::terminate_some(&servers, seed).await })
            }
            Fault::Unbound => {
                let servers = self.servers.clone();
                tokio::spawn(async move { consumer::leave_unbound(&servers, UNBOUND).await })
            }
            Fault::Stall | Fault::Reset => {
                let struck = Struck::draw(dice);
                note = struck.note();
                let network = self.network.clone();
                match fault {
                    Fault::Reset => tokio::spawn(async move { struck.reset(&network) }),
                    _ => {
                        let lasts = Duration::from_millis(dice.gen_range(1_000..20_000));
                        tokio::spawn(async move { struck.stall(&network, lasts).await })
                    }
                }
            }
        };
        Outage { over, note }
    }

    /// Lets the script do it, which must succeed.
    fn script(&self, words: &[&str]) -> JoinHandle<()> {
        let mut command = Command::new(&self.services);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        tokio::task::spawn_blocking(move || {
            let status = command.status().unwrap();
            assert!(status.success(), "{command:?}: {status}");
        })
    }
}

/// Whose network is struck: one server's, or both.
#[derive(Debug, Clone, Copy)]
struct Struck {
    postgres: bool,
    rabbitmq: bool,
}

impl Struck {
    fn draw(dice: &mut StdRng) -> Self {
        let which = dice.gen_range(0..3);
        Self { postgres: which != 1, rabbitmq: which != 0 }
    }

    fn note(self) -> Value {
        json!({"postgres": self.postgres, "rabbitmq": self.rabbitmq})
    }

    async fn stall(self, network: &Network, lasts: Duration) {
        let one = async |struck: bool, proxy: &super::proxy::Proxy| {
            if struck {
                proxy.stall(lasts).await;
            }
        };
        tokio::join!(one(self.postgres, &network.postgres), one(self.rabbitmq, &network.rabbitmq));
    }

    fn reset(self, network: &Network) {
        if self.postgres {
            network.postgres.reset();
        }
        if self.rabbitmq {
            network.rabbitmq.reset();
        }
    }
}
