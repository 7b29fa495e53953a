//! SIPp: a real SIP user agent that plays a carrier, a phone or a voice agent by a scenario, and fails when the daemon
//! does not do what the scenario expects. Bounded in time, ended by its pid.

use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::patience::{SOON, until};
use crate::ports;

/// Longer than any call of these tests.
const LIFE_SECONDS: u32 = 90;

/// How one SIPp is to behave.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// A file of `tests/sip/scenarios`.
    pub scenario: &'static str,
    /// The status line that the scenario leaves open.
    pub status: &'static str,
    /// A header that the scenario leaves open.
    pub more: &'static str,
    /// How long its pauses are that it leaves open.
    pub pause_millis: u32,
    /// How many calls it has.
    pub calls: u32,
    pub tcp: bool,
}

/// Plays this scenario once.
pub const fn play(scenario: &'static str) -> Script {
    Script { scenario, status: "200 OK", more: "X-Nothing: 1", pause_millis: 100, calls: 1, tcp: false }
}

impl Script {
    pub const fn saying(self, status: &'static str) -> Self {
        Self { status, ..self }
    }

    pub const fn with(self, more: &'static str) -> Self {
        Self { more, ..self }
    }

    pub const fn pausing(self, pause_millis: u32) -> Self {
        Self { pause_millis, ..self }
    }

    pub const fn times(self, calls: u32) -> Self {
        Self { calls, ..self }
    }

    /// Whether the phone never rings.
    pub fn is_mute(&self) -> bool {
        ["refuses", "challenges_twice"].contains(&self.scenario) || self.status.starts_with("100")
    }

    pub const fn over_tcp(self) -> Self {
        Self { tcp: true, ..self }
    }

    /// The scenario without gaps: SIPp wants to see every status in the file.
    fn write(&self, to: &Path, port: u16) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sip/scenarios").join(self.scenario);
        let text = fs::read_to_string(file.with_extension("xml")).unwrap();
        let contact = format!("Contact: <sip:[local_ip]:{port}>");
        let text = text.replace("Contact: <sip:[local_ip]:[local_port]>", &contact);
        fs::write(to, text.replace("[status]", self.status).replace("[more]", self.more)).unwrap();
    }
}

/// The port that it has, and the one that it tells its peer; 0 where it does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    pub own: u16,
    pub told: u16,
}

/// A running SIPp.
pub struct Sipp {
    script: Script,
    child: Child,
    folder: PathBuf,
    pub port: u16,
}

/// What it counted.
#[derive(Debug, PartialEq, Eq)]
pub struct Counted {
    pub successful: u32,
    pub failed: u32,
}

impl Sipp {
    /// Starts it, on a port of its own where none is given.
    pub fn launch(program: &str, folder: &Path, script: Script, ports: Ports) -> Self {
        fs::create_dir_all(folder).unwrap();
        let chosen = |port: u16, otherwise: u16| if port == 0 { otherwise } else { port };
        let (port, media) = (chosen(ports.own, ports::free()), ports::free());
        script.write(&folder.join("scenario.xml"), chosen(ports.told, port));
        let log = File::create(folder.join("screen")).unwrap();
        let child = Command::new(program)
            .current_dir(folder)
            .args([
                "-sf",
                "scenario.xml",
                "-i",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "-mp",
                &media.to_string(),
                "-nostdin",
            ])
            .args(if script.tcp { ["-t", "t1"] } else { ["-t", "u1"] })
            // By itself it looks for a port to be controlled by among sixty, which all of them share.
            .args(["-cp", &(media + 6).to_string()])
            .args(["-m", &script.calls.to_string(), "-d", &script.pause_millis.to_string()])
            .args(["-timeout", &LIFE_SECONDS.to_string(), "-timeout_error"])
            .args(["-trace_err", "-error_file", "errors", "-trace_stat", "-stf", "counters", "-fd", "1"])
            .args(["-trace_msg", "-message_file", "messages"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { script, child, folder: folder.to_owned(), port }
    }

    /// Waits until it listens.
    pub async fn listening(&self) {
        let what = format!("{} to listen ({})", self.script.scenario, self.folder.display());
        until(&what, SOON, || self.is_listening().then_some(())).await;
    }

    fn is_listening(&self) -> bool {
        match self.script.tcp {
            true => TcpListener::bind(("127.0.0.1", self.port)).is_err(),
            false => UdpSocket::bind(("127.0.0.1", self.port)).is_err(),
        }
    }

    /// Waits for its end; everything must have gone by its scenario. Gives what it counted.
    pub async fn finish(mut self, within: Duration) -> Counted {
        let what = format!("the end of {} ({})", self.script.scenario, self.folder.display());
        let status = until(&what, within, || self.child.try_wait().unwrap()).await;
        let errors = fs::read_to_string(self.folder.join("errors")).unwrap_or_default();
        let folder = self.folder.display();
        assert_eq!(status.code(), Some(0), "{} in {folder}: {errors}", self.script.scenario);
        self.counted()
    }

    /// The last line of its counters, which begins with the names of the columns.
    fn counted(&self) -> Counted {
        let table = fs::read_to_string(self.folder.join("counters")).unwrap();
        let mut lines = table.lines().filter(|line| !line.is_empty());
        let names: Vec<&str> = lines.next().unwrap().split(';').collect();
        let last: Vec<&str> = lines.next_back().unwrap().split(';').collect();
        let value = |name: &str| {
            let column = names.iter().position(|column| *column == name).unwrap();
            last[column].parse().unwrap()
        };
        Counted { successful: value("SuccessfulCall(C)"), failed: value("FailedCall(C)") }
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
