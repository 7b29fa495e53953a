//! One test's whole installation: servers, settings, a daemon, and a system at each end of the bus.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use calltaskd::clock::Clock;
use serde_json::{Value, json};

use super::agreement;
use super::daemon::{Daemon, command};
use super::downstream::Ledger;
use super::orders;
use super::patience::SOON;
use super::plan::Plan;
use super::record::Record;
use super::servers::{Place, Servers};
use super::upstream::Upstream;

/// The fields are dropped in this order: the daemon before its servers.
pub struct Site {
    pub daemon: Daemon,
    pub upstream: Upstream,
    pub ledger: Ledger,
    folder: PathBuf,
    daemons: u32,
    servers: Servers,
}

/// A further daemon of the same installation.
pub struct Beside {
    pub daemon: Daemon,
    record: PathBuf,
}

impl Beside {
    /// What its carrier wrote down so far.
    pub fn record(&self) -> Record {
        Record::read(&self.record)
    }
}

impl Site {
    /// Starts a daemon whose events all reach the ledger. Its files stay in a folder of this name.
    pub async fn start(name: &str, plan: &Plan) -> Self {
        Self::listening(name, plan, &["#"]).await
    }

    /// Starts a daemon; only events of these routing keys find a queue.
    pub async fn listening(name: &str, plan: &Plan, patterns: &[&str]) -> Self {
        Self::around(name, patterns, async |servers, folder| {
            start_daemon(folder, 1, plan.toml(&servers.place, &record_path(folder))).await
        })
        .await
    }

    /// Starts a daemon that goes by a clock of the test, within the test's process.
    pub async fn on_clock(name: &str, plan: &Plan, clock: &Arc<impl Clock + 'static>) -> Self {
        Self::around(name, &["#"], async |servers, folder| {
            let (settings, _) = files(folder, 1, plan.toml(&servers.place, &record_path(folder)));
            Daemon::inside(&settings, &servers.place, clock.clone()).await
        })
        .await
    }

    /// Starts one more daemon beside the first, by the same clock.
    pub async fn one_more(&self, plan: &Plan, clock: &Arc<impl Clock + 'static>) -> Daemon {
        let (settings, _) = files(&self.folder, self.daemons + 1, plan.toml(self.place(), &record_path(&self.folder)));
        Daemon::inside(&settings, self.place(), clock.clone()).await
    }

    /// Starts a daemon that finds its servers at a place before theirs, which is made with what makes it one.
    pub async fn behind<R>(name: &str, plan: &Plan, before: impl AsyncFnOnce(&Place) -> (Place, R)) -> (Self, R) {
        let mut relay = None;
        let site = Self::around(name, &["#"], async |servers, folder| {
            let (place, made) = before(&servers.place).await;
            relay = Some(made);
            start_daemon(folder, 1, plan.toml(&place, &record_path(folder))).await
        })
        .await;
        (site, relay.unwrap())
    }

    async fn around(name: &str, patterns: &[&str], daemon: impl AsyncFnOnce(&Servers, &Path) -> Daemon) -> Self {
        let folder = folder(name);
        println!("the settings, the log and the record of this test: {}", folder.display());
        let servers = Servers::fresh().await;
        let ledger = Ledger::open(&servers.place, patterns).await;
        let daemon = daemon(&servers, &folder).await;
        let upstream = Upstream::connect(&servers.place).await;
        Self { daemon, upstream, ledger, folder, daemons: 1, servers }
    }

    pub fn place(&self) -> &Place {
        &self.servers.place
    }

    /// The program with the settings of this site's first daemon, as its operator would run it.
    pub fn command(&self, words: &[&str]) -> Command {
        command(words, &self.settings())
    }

    /// The settings file of this site's first daemon.
    pub fn settings(&self) -> PathBuf {
        self.folder.join("calltaskd-1.toml")
    }

    /// Starts another daemon in the place of the last one, which must have ended, on the same record.
    pub async fn start_again(&mut self, plan: &Plan) {
        self.daemons += 1;
        let settings = plan.toml(self.place(), &record_path(&self.folder));
        self.daemon = start_daemon(&self.folder, self.daemons, settings).await;
    }

    /// Starts another daemon without waiting for anything.
    pub fn launch(&mut self, plan: &Plan) -> Daemon {
        self.daemons += 1;
        let settings = plan.toml(self.place(), &record_path(&self.folder));
        let (settings, log) = files(&self.folder, self.daemons, settings);
        Daemon::launch(&settings, log)
    }

    /// Starts another daemon beside the first, with a record of its own: both go by one node name, which must do no harm.
    pub async fn start_beside(&mut self, plan: &Plan) -> Beside {
        self.daemons += 1;
        let record = self.folder.join(format!("record-{}.jsonl", self.daemons));
        let daemon = start_daemon(&self.folder, self.daemons, plan.toml(self.place(), &record)).await;
        Beside { daemon, record }
    }

    /// Starts a daemon that has the database and no broker; it is never ready.
    pub fn launch_deaf(&mut self, plan: &Plan) -> Beside {
        self.daemons += 1;
        let record = self.folder.join(format!("record-{}.jsonl", self.daemons));
        let nowhere = Place { amqp_url: "amqp://guest:guest@127.0.0.1:1/%2f".to_owned(), ..self.place().clone() };
        let (settings, log) = files(&self.folder, self.daemons, plan.toml(&nowhere, &record));
        Beside { daemon: Daemon::launch(&settings, log), record }
    }

    /// A new session at the upstream end, after the broker was away.
    pub async fn connect_again(&mut self) {
        self.upstream = Upstream::connect(self.place()).await;
    }

    /// What the carrier wrote down so far.
    pub fn record(&self) -> Record {
        Record::read(&record_path(&self.folder))
    }

    /// Puts the agent and the service instance that tasks name by default.
    pub async fn put_line(&self, max_concurrent: u32, max_cps: u32) {
        self.upstream.accept("agent.put", &orders::agent(orders::AGENT)).await;
        let line = orders::line(orders::LINE, max_concurrent, max_cps);
        self.upstream.accept("service-instance.put", &line).await;
    }

    /// The same with a line that has no caller number, so that no task gets beyond `START_FAILED`.
    pub async fn put_mute_line(&self) {
        self.upstream.accept("agent.put", &orders::agent(orders::AGENT)).await;
        let line = orders::with(orders::line(orders::LINE, 10, 10), "callerNumbers", json!([]));
        self.upstream.accept("service-instance.put", &line).await;
    }

    /// Creates a task and gives its id.
    pub async fn create(&self, name: &str, concurrency: u32) -> String {
        self.create_as(&orders::task(name, concurrency)).await
    }

    /// Creates the task of this body and gives its id.
    pub async fn create_as(&self, body: &Value) -> String {
        let reply = self.upstream.accept("task.create", body).await;
        assert_eq!((&reply["name"], &reply["state"]), (&body["name"], &json!("INITIALIZING")), "{reply}");
        reply["taskId"].as_str().unwrap().to_owned()
    }

    /// Imports rows, all of which must be accepted.
    pub async fn import(&self, task: &str, rows: &[Value]) {
        for rows in rows.chunks(5_000) {
            let receipt = self.upstream.accept("callees.import", &json!({"taskId": task, "callees": rows})).await;
            assert_eq!(receipt["accepted"], rows.len(), "{receipt}");
        }
    }

    /// The task as `task.get` tells it.
    pub async fn task(&self, task: &str) -> Value {
        let mut answer = self.upstream.query("task.get", &json!({"taskId": task})).await;
        assert_eq!(answer["status"], "OK", "{answer}");
        answer["task"].take()
    }

    /// Stops the daemon, which empties its outbox last, takes in the last event, and compares what the events
    /// tell with the carrier's record, call by call.
    pub async fn stop_and_compare(&mut self, accepted: usize) {
        self.daemon.stop(SOON).await;
        self.ledger.settle().await;
        agreement::assert_agree(&self.record(), &self.ledger.events(), accepted);
    }
}

/// An empty folder in cargo's target folder, where the files of a test stay until it runs again.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn record_path(folder: &Path) -> PathBuf {
    folder.join("record.jsonl")
}

async fn start_daemon(folder: &Path, number: u32, settings: String) -> Daemon {
    let (settings, log) = files(folder, number, settings);
    Daemon::start(&settings, log).await
}

/// Writes the settings of a daemon; gives their path and that of its log.
fn files(folder: &Path, number: u32, settings: String) -> (PathBuf, PathBuf) {
    let path = folder.join(format!("calltaskd-{number}.toml"));
    fs::write(&path, settings).unwrap();
    (path, folder.join(format!("calltaskd-{number}.log")))
}
