//! What systemd is told: ready, alive, stopping; in this order, over a real notification socket.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod harness;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};

use harness::daemon::command;
use harness::patience::{SOON, until, within};
use harness::plan::Plan;
use harness::servers::Servers;
use harness::site::folder;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixDatagram;

/// A ping each half second is wanted then.
const WATCHDOG_MICROS: &str = "1000000";

/// Kills the daemon when the test ends early.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as good.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn launch(folder: &Path, settings: &Path, socket: &Path) -> Killed {
    let child = command(&["run"], settings)
        .env("NOTIFY_SOCKET", socket)
        .env("WATCHDOG_USEC", WATCHDOG_MICROS)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(folder.join("calltaskd.log")).unwrap())
        .spawn();
    Killed(child.unwrap())
}

async fn told(socket: &UnixDatagram, state: &str) {
    let mut message = [0; 256];
    within(&format!("systemd to be told {state}"), SOON, async {
        loop {
            let length = socket.recv(&mut message).await.unwrap();
            if String::from_utf8_lossy(&message[..length]).lines().any(|line| line == state) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn systemd_is_told_ready_alive_and_stopping() {
    let folder = folder("notified");
    let servers = Servers::fresh().await;
    let settings = folder.join("calltaskd.toml");
    fs::write(&settings, Plan::default().toml(&servers.place, &folder.join("record.jsonl"))).unwrap();
    // A socket's path must be short, which the folder's need not be.
    let path = std::env::temp_dir().join(format!("calltaskd-{}.notify", servers.place.prefix));
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut daemon = launch(&folder, &settings, &path);
    told(&socket, "READY=1").await;
    told(&socket, "WATCHDOG=1").await;
    told(&socket, "WATCHDOG=1").await;
    kill_process(Pid::from_child(&daemon.0), Signal::TERM).unwrap();
    told(&socket, "STOPPING=1").await;
    let exit = until("the daemon's end", SOON, || daemon.0.try_wait().unwrap()).await;
    assert_eq!(exit.code(), Some(0));
    fs::remove_file(path).unwrap();
}
