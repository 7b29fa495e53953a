//! SIPp: a real SIP user agent that plays a carrier, a phone or a voice agent by a scenario, and fails when the daemon
//! does not do what the scenario expects. Bounded in time, ended by its pid.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::patience::{SOON, until};
use crate::ports;

/// Longer than any call of a usual length.
const LIFE_SECONDS: u32 = 90;

/// The same of a SIPp under load.
const LONG_LIFE_SECONDS: u32 = 300;

/// With many calls answers are repeated late: an ACK that crosses a repeated one would end SIPp's call.
const ANSWER: &str = "<send retrans=\"500\"><![CDATA[\n\n      SIP/2.0 200";
const LATE_ANSWER: &str = "<send retrans=\"2000\"><![CDATA[\n\n      SIP/2.0 200";

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
    /// How long it talks, at least and at most, before it hangs up.
    pub talk_millis: (u32, u32),
    /// When it gives up.
    pub life_seconds: u32,
    /// How many calls it has.
    pub calls: u32,
    pub tcp: bool,
    /// Its address, one of the loopback's.
    pub address: Ipv4Addr,
    /// It has thousands of calls: it keeps no messages, and lives longer.
    pub under_load: bool,
}

/// Plays this scenario once.
pub const fn play(scenario: &'static str) -> Script {
    Script {
        scenario,
        status: "200 OK",
        more: "X-Nothing: 1",
        pause_millis: 100,
        talk_millis: (700, 700),
        life_seconds: LIFE_SECONDS,
        calls: 1,
        tcp: false,
        address: Ipv4Addr::LOCALHOST,
        under_load: false,
    }
}

#[allow(dead_code, reason = "each test binary uses its own part")]
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

    pub const fn talking(self, talk_millis: (u32, u32)) -> Self {
        Self { talk_millis, ..self }
    }

    /// Goes on for this much longer than others.
    pub const fn living(self, more_seconds: u32) -> Self {
        Self { life_seconds: self.life_seconds + more_seconds, ..self }
    }

    pub const fn times(self, calls: u32) -> Self {
        Self { calls, ..self }
    }

    #[allow(dead_code, reason = "the load test alone needs it")]
    pub const fn under_load(self) -> Self {
        Self { under_load: true, life_seconds: LONG_LIFE_SECONDS, ..self }
    }

    /// Whether the phone never rings.
    pub fn is_mute(&self) -> bool {
        ["refuses", "refuses_after_a_while", "challenges_twice"].contains(&self.scenario)
            || self.status.starts_with("100")
    }

    pub const fn over_tcp(self) -> Self {
        Self { tcp: true, ..self }
    }

    pub const fn at(self, address: Ipv4Addr) -> Self {
        Self { address, ..self }
    }

    /// What depends on how many calls it has. Its own limit on calls at once would stop it at thousands.
    fn amount(&self) -> Vec<String> {
        let amount: &[&str] = match self.under_load {
            true => &["-l", "100000", "-buff_size", "4000000"],
            false => &["-trace_msg", "-message_file", "messages"],
        };
        let life = ["-timeout".to_owned(), self.life_seconds.to_string()];
        amount.iter().map(|word| (*word).to_owned()).chain(life).collect()
    }

    /// The scenario without gaps: SIPp wants to see every status in the file.
    fn write(&self, to: &Path, port: u16) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sip/scenarios").join(self.scenario);
        let text = fs::read_to_string(file.with_extension("xml")).unwrap();
        let contact = format!("Contact: <sip:[local_ip]:{port}>");
        let text = text.replace("Contact: <sip:[local_ip]:[local_port]>", &contact);
        let text = text.replace("[status]", self.status).replace("[more]", self.more);
        let text = if self.calls > 1 { text.replace(ANSWER, LATE_ANSWER) } else { text };
        let (least, most) = self.talk_millis;
        let text = text.replace("[least_talk]", &least.to_string()).replace("[most_talk]", &most.to_string());
        fs::write(to, text).unwrap();
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
                &script.address.to_string(),
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
            .args(["-timeout_error", "-trace_err", "-error_file", "errors"])
            .args(["-trace_stat", "-stf", "counters", "-fd", "1"])
            .args(script.amount())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { script, child, folder: folder.to_owned(), port }
    }

    /// The number of its process.
    #[allow(dead_code, reason = "the load test alone needs it")]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it listens.
    pub async fn listening(&self) {
        let what = format!("{} to listen ({})", self.script.scenario, self.folder.display());
        until(&what, SOON, || self.is_listening().then_some(())).await;
    }

    /// By the system's tables: to try the port would be to take it away for that moment.
    fn is_listening(&self) -> bool {
        let (table, state) = if self.script.tcp { ("/proc/net/tcp", "0A") } else { ("/proc/net/udp", "07") };
        let address = u32::from_le_bytes(self.script.address.octets());
        let local = format!("{address:08X}:{:04X} 00000000:0000 {state}", self.port);
        fs::read_to_string(table).unwrap().contains(&local)
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
