//! One process of the daemon: started, waited for, ended by its pid. It never outlives the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::patience::{SOON, until};

/// A running daemon. Its log stays in the test's folder.
pub struct Daemon {
    child: Child,
    log: PathBuf,
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
        Self { child, log }
    }

    /// Starts it and waits until it says that it is ready.
    pub async fn start(settings: &Path, log: PathBuf) -> Self {
        let mut daemon = Self::launch(settings, log);
        let what = format!("the daemon to be ready ({})", daemon.log.display());
        until(&what, SOON, || {
            let exit = daemon.child.try_wait().unwrap();
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
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"] == message)
    }

    /// Suspends it, as a paused virtual machine is: it neither runs nor knows of it.
    pub fn suspend(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    /// Lets it go on after [`suspend`](Self::suspend).
    pub fn resume(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    /// Its exit, if it has ended.
    pub fn try_exit(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Asks it to stop, as systemd does.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Ends it without any warning, as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub async fn exit(&mut self, within: Duration) -> ExitStatus {
        let what = format!("the daemon's end ({})", self.log.display());
        let child = &mut self.child;
        until(&what, within, || child.try_wait().unwrap()).await
    }

    /// Stops it, which must succeed.
    pub async fn stop(&mut self, within: Duration) {
        self.terminate();
        let status = self.exit(within).await;
        assert_eq!(status.code(), Some(0), "the exit code after a stop ({})", self.log.display());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
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
