//! One daemon: a process, started, waited for, ended by its pid; or, where a test sets the clock, a part of the
//! test's own process. It never outlives the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use calltaskd::clock::Clock;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::patience::{self, SOON, until, within};
use super::servers::Place;

/// A running daemon. The log of a process stays in the test's folder.
pub struct Daemon {
    body: Body,
    log: PathBuf,
}

enum Body {
    Process(Child),
    Inside { stop: CancellationToken, ended: JoinHandle<bool> },
}

impl Daemon {
    /// Starts `calltaskd run` without waiting for anything.
    pub fn launch(settings: &Path, log: PathBuf) -> Self {
        let child = command(&["run"], settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { body: Body::Process(child), log }
    }

    /// Starts it within this process, by another clock, and waits until it consumes.
    pub async fn inside(settings: &Path, place: &Place, clock: Arc<dyn Clock>) -> Self {
        let settings = calltaskd::settings::load(Some(settings), []).unwrap();
        // Commands have one consumer at a time, however many daemons there are.
        let before = consumers(place, "queries").await;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let ended =
            tokio::spawn(async move { calltaskd::daemon::run_inside(&settings, clock, stopped).await.unwrap() });
        let consumes = async {
            while consumers(place, "queries").await <= before || consumers(place, "commands").await == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within("the daemon to consume commands and queries", SOON, consumes).await;
        Self { body: Body::Inside { stop, ended }, log: PathBuf::new() }
    }

    fn child(&mut self) -> &mut Child {
        match &mut self.body {
            Body::Process(child) => child,
            Body::Inside { .. } => panic!("this daemon is no process of its own"),
        }
    }

    /// Starts it and waits until it says that it is ready.
    pub async fn start(settings: &Path, log: PathBuf) -> Self {
        let mut daemon = Self::launch(settings, log);
        let what = format!("the daemon to be ready ({})", daemon.log.display());
        until(&what, SOON, || {
            let exit = daemon.child().try_wait().unwrap();
            assert!(exit.is_none(), "{what}; it ended instead: {exit:?}");
            daemon.has_logged("ready").then_some(())
        })
        .await;
        daemon
    }

    /// Whether a whole line of the log has this message.
    pub fn has_logged(&self, message: &str) -> bool {
        self.logged(message).is_some()
    }

    /// The first whole line of the log that has this message.
    pub fn logged(&self, message: &str) -> Option<Value> {
        self.all_logged(message).into_iter().next()
    }

    /// All whole lines of the log that have this message.
    pub fn all_logged(&self, message: &str) -> Vec<Value> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"] == message).collect()
    }

    /// Suspends it, as a paused virtual machine is: it neither runs nor knows of it.
    pub fn suspend(&mut self) {
        kill_process(Pid::from_child(self.child()), Signal::STOP).unwrap();
    }

    /// Lets it go on after [`suspend`](Self::suspend).
    pub fn resume(&mut self) {
        kill_process(Pid::from_child(self.child()), Signal::CONT).unwrap();
    }

    /// Its exit, if it has ended.
    pub fn try_exit(&mut self) -> Option<ExitStatus> {
        self.child().try_wait().unwrap()
    }

    /// The most memory that it has had so far.
    pub fn peak_memory_kib(&mut self) -> u64 {
        peak_memory_kib(self.id()).unwrap()
    }

    /// The number of its process.
    pub fn id(&mut self) -> u32 {
        self.child().id()
    }

    /// Asks it to stop, as systemd does.
    pub fn terminate(&self) {
        match &self.body {
            Body::Process(child) => kill_process(Pid::from_child(child), Signal::TERM).unwrap(),
            Body::Inside { stop, .. } => stop.cancel(),
        }
    }

    /// Ends it without any warning, as a crash does.
    pub fn kill(&mut self) {
        self.child().kill().unwrap();
        self.child().wait().unwrap();
    }

    /// Waits for its end.
    pub async fn exit(&mut self, within: Duration) -> ExitStatus {
        let what = format!("the daemon's end ({})", self.log.display());
        let child = self.child();
        until(&what, within, || child.try_wait().unwrap()).await
    }

    /// Stops it, which must succeed.
    pub async fn stop(&mut self, within: Duration) {
        self.terminate();
        if let Body::Inside { ended, .. } = &mut self.body {
            let clean = patience::within("the daemon's end", within, ended).await.unwrap();
            return assert!(clean, "the daemon did not end as it should");
        }
        let status = self.exit(within).await;
        assert_eq!(status.code(), Some(0), "the exit code after a stop ({})", self.log.display());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        match &mut self.body {
            Body::Process(child) => {
                // Fails when it has ended already, which is as good.
                drop(child.kill());
                drop(child.wait());
            }
            Body::Inside { stop, .. } => stop.cancel(),
        }
    }
}

/// How many daemons consume this queue of the contract; none, while it is not there.
async fn consumers(place: &Place, queue: &str) -> u32 {
    let Ok((_connection, channel)) = place.channel().await else { return 0 };
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    let queue = channel.queue_declare(place.name(queue).into(), passive, FieldTable::default()).await;
    queue.map_or(0, |queue| queue.consumer_count())
}

/// The most memory that a process has had so far; `None` when it has ended.
pub fn peak_memory_kib(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().trim_end_matches(" kB").parse().ok()
}

/// The program with its settings, and without any that this process's environment has for it.
pub fn command(words: &[&str], settings: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_calltaskd"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CALLTASKD__")) {
        command.env_remove(name);
    }
    command.args(words).arg("--config").arg(settings);
    command
}
