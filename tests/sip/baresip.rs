//! baresip: a real phone, with audio, that answers by itself, plays a tone and records what it hears. It does not take
//! an address of the loopback, so it lives in a network namespace of its own, which a pair of interfaces joins to the
//! daemon's. Nothing else can reach it. Bounded in time, ended by its pid.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::patience::{SOON, until};
use crate::tone;

/// Longer than any call of these tests; it stops a phone that a killed test left behind.
const LIFE_SECONDS: &str = "90";

/// The beginning of each namespace's name; the number of the test's process follows.
const NAMES: &str = "calltaskd-phones-";

/// A network namespace with an address, and the address by which this side is reached from there.
pub struct Namespace {
    name: String,
    pub here: String,
    pub there: String,
}

impl Namespace {
    /// None where this process may not have one.
    pub fn open() -> Option<Self> {
        if Command::new("ip").arg("-V").output().is_err() {
            println!("skipped: there is no program ip");
            return None;
        }
        remove_forgotten();
        let process = std::process::id();
        let name = format!("{NAMES}{process}");
        let added = run_ip(&format!("netns add {name}"));
        if !added.status.success() {
            println!("skipped: no network namespace: {}", String::from_utf8_lossy(&added.stderr));
            return None;
        }
        // Four addresses of a private network for each process, so that tests side by side do not meet.
        let place = process % (1 << 14);
        let address = |last: u32| format!("10.211.{}.{}", place >> 6, ((place & 63) << 2) + last);
        let namespace = Self { name: name.clone(), here: address(1), there: address(2) };
        let outer = format!("ctd{process}");
        for arguments in [
            format!("link add {outer} type veth peer name inner netns {name}"),
            format!("addr add {}/30 dev {outer}", namespace.here),
            format!("link set {outer} up"),
            format!("-n {name} addr add {}/30 dev inner", namespace.there),
            format!("-n {name} link set lo up"),
            format!("-n {name} link set inner up"),
        ] {
            let output = run_ip(&arguments);
            if !output.status.success() {
                println!("skipped: ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
                return None;
            }
        }
        Some(namespace)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The pair of interfaces goes with the end that is in the namespace, but only once the system has got to it.
        run_ip(&format!("link del ctd{}", std::process::id()));
        run_ip(&format!("netns del {}", self.name));
    }
}

fn run_ip(arguments: &str) -> Output {
    Command::new("ip").args(arguments.split(' ')).stdin(Stdio::null()).output().unwrap()
}

/// Removes what a killed test could not.
fn remove_forgotten() {
    let listed = String::from_utf8(run_ip("netns list").stdout).unwrap();
    for name in listed.lines().filter_map(|line| line.split(' ').next()) {
        // Another name is somebody else's.
        let process = name.strip_prefix(NAMES).and_then(|process| process.parse::<u32>().ok());
        let Some(process) = process else { continue };
        if !Path::new("/proc").join(process.to_string()).exists() {
            run_ip(&format!("netns del {name}"));
        }
    }
}

/// Who a phone is.
#[derive(Clone, Copy)]
pub struct Account<'a> {
    pub user: &'a str,
    pub port: u16,
    /// The first of some ports for audio.
    pub audio: u16,
    pub hertz: f64,
}

/// A running baresip.
pub struct Phone {
    child: Child,
    folder: PathBuf,
}

impl Phone {
    /// Starts it and waits until it listens.
    pub async fn start(program: &str, folder: &Path, namespace: &Namespace, account: Account<'_>) -> Self {
        let Account { user, port, audio, hertz } = account;
        let address = &namespace.there;
        fs::create_dir_all(folder.join("heard")).unwrap();
        tone::write(&folder.join("tone.wav"), hertz, AMPLITUDE, 40);
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sip/baresip.conf");
        let mut settings = fs::read_to_string(template).unwrap();
        let named = [
            ("@LISTEN@", format!("{address}:{port}")),
            ("@AUDIO@", format!("{audio}-{}", audio + 99)),
            ("@FOLDER@", folder.display().to_string()),
        ];
        for (name, value) in named {
            settings = settings.replace(name, &value);
        }
        fs::write(folder.join("config"), settings).unwrap();
        let account = format!("<sip:{user}@{address}:{port}>;regint=0;answermode=auto;audio_codecs=pcmu,pcma\n");
        fs::write(folder.join("accounts"), account).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let child = Command::new("ip")
            .current_dir(folder)
            .args(["netns", "exec", &namespace.name, "timeout", "--kill-after=5", LIFE_SECONDS])
            // It would keep the lines of its log back.
            .args(["stdbuf", "-oL", program, "-4", "-s", "-f"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let phone = Self { child, folder: folder.to_owned() };
        let what = format!("baresip to be ready ({})", folder.display());
        let log = folder.join("log");
        until(&what, SOON, || fs::read_to_string(&log).unwrap().contains("baresip is ready").then_some(())).await;
        phone
    }

    /// The longest recording of what it has heard, once that has this many samples.
    pub async fn heard(&self, samples: usize) -> Vec<f64> {
        let folder = self.folder.join("heard");
        until(&format!("{samples} samples heard ({})", folder.display()), SOON, || {
            let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
            let heard = files.filter(|path| path.to_string_lossy().ends_with("-dec.wav"));
            heard.map(|path| tone::read(&path)).max_by_key(Vec::len).filter(|longest| longest.len() >= samples)
        })
        .await
    }
}

/// Of the tone that each phone plays.
pub const AMPLITUDE: f64 = 8_000.0;

impl Drop for Phone {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as good.
        kill_process(Pid::from_child(&self.child), Signal::TERM).ok();
        drop(self.child.wait());
    }
}

/// The path of baresip, which is installed when it is missing.
pub fn program() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/sip-tools.sh");
    let output = Command::new(script).arg("baresip").stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "scripts/sip-tools.sh baresip failed");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
