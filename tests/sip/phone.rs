//! A phone with audio: baresip, in a network of its own. It takes every call, plays a tone and writes down what it hears.
//! Bounded in time, ended by its pid.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::patience::{SOON, until, within};
use crate::namespace::Namespace;
use crate::{tone, tools};

/// Longer than any call of these tests.
const LIFE_SECONDS: u32 = 90;

/// How loud a tone has to be that was heard: half as loud as it was played.
const LOUD: f64 = tone::AMPLITUDE / 2.0;

/// How much of the sound has to have it.
const LISTENING: usize = 2 * tone::RATE as usize;

/// A phone that sends does so every 20 ms.
const SILENCE: Duration = Duration::from_millis(700);

/// How many reports both phones may send meanwhile.
const REPORTS: u64 = 4;

/// Who somebody is.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    pub name: &'static str,
    /// The user part of the SIP URI.
    pub user: &'a str,
    pub port: u16,
    /// The tone that it plays.
    pub hertz: f64,
}

/// A running baresip.
pub struct Phone {
    child: Child,
    folder: PathBuf,
    name: &'static str,
    /// Where it takes orders.
    desk: (String, u16),
}

/// RTP packets of a call, as baresip counts them at its end.
#[derive(Debug, Clone, Copy)]
pub struct Packets {
    pub sent: u32,
    pub received: u32,
}

impl Phone {
    /// Starts it and waits until it takes calls.
    pub async fn start(network: &Namespace, folder: &Path, owner: Owner<'_>) -> Self {
        let folder = folder.join(owner.name);
        let program = tools::path("baresip");
        configure(network, &folder, owner);
        let log = File::create(folder.join("log")).unwrap();
        let child = network
            .command(&program)
            .args(["-4", "-s"])
            .args(["-f".as_ref(), folder.as_os_str()])
            .args(["-t", &LIFE_SECONDS.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let phone = Self { child, folder, name: owner.name, desk: (network.far_address.clone(), desk(owner.port)) };
        phone.says("baresip is ready.").await;
        phone
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }

    async fn says(&self, text: &str) {
        let what = format!("the {} to say {text:?} ({})", self.name, self.folder.display());
        until(&what, SOON, || self.log().contains(text).then_some(())).await;
    }

    /// Presses a key, which baresip calls a command; it must be done.
    pub async fn press(&self, key: &str) {
        let what = format!("the {} to take {key:?}", self.name);
        let answer = within(&what, SOON, self.order(key)).await.unwrap();
        assert!(answer.contains("\"ok\":true"), "{key}: {answer}");
    }

    async fn order(&self, key: &str) -> std::io::Result<String> {
        let mut desk = TcpStream::connect((self.desk.0.as_str(), self.desk.1)).await?;
        let order = format!("{{\"command\":{key:?}}}");
        // A netstring: the length, a colon, the text, a comma.
        desk.write_all(format!("{}:{order},", order.len()).as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"},") {
            if desk.read_buf(&mut answer).await? == 0 {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Hangs up, and goes.
    pub fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Everything that it heard so far, in the order of time.
    pub fn heard(&self) -> Vec<i16> {
        let files = fs::read_dir(self.folder.join("heard")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = files.filter(|file| file.to_string_lossy().ends_with("-dec.wav")).collect();
        files.sort();
        files.iter().flat_map(|file| tone::read(file)).collect()
    }

    /// Waits until it has heard this tone for a while, loud enough.
    pub async fn hears(&self, hertz: f64) {
        let what = format!("the {} to hear {hertz} Hz ({})", self.name, self.folder.display());
        until(&what, SOON, || {
            let heard = self.heard();
            let last = heard.len().checked_sub(LISTENING).map(|from| &heard[from..])?;
            (tone::amplitude(last, hertz) >= LOUD).then_some(())
        })
        .await;
    }

    /// How many packets went between the phones of its network: everything else comes from outside.
    fn packets_between(&self) -> u64 {
        let interfaces = fs::read_to_string(format!("/proc/{}/net/dev", self.child.id())).unwrap();
        let loopback = interfaces.lines().find_map(|line| line.trim().strip_prefix("lo:")).unwrap();
        loopback.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Waits until this many packets have gone between the phones from now on.
    pub async fn carries(&self, packets: u64) {
        let before = self.packets_between();
        let what = format!("{packets} packets between the phones ({})", self.folder.display());
        until(&what, SOON, || (self.packets_between() >= before + packets).then_some(())).await;
    }

    /// Waits until nothing has gone between the phones for a while, but perhaps a report (RTCP).
    pub async fn is_silent(&self) {
        let what = format!("silence between the phones ({})", self.folder.display());
        let (mut before, mut since) = (self.packets_between(), Instant::now());
        until(&what, SOON, || {
            let now = self.packets_between();
            if now > before + REPORTS {
                (before, since) = (now, Instant::now());
            }
            (since.elapsed() >= SILENCE).then_some(())
        })
        .await;
    }

    /// Waits for the end of its call, and gives what went to and fro.
    pub async fn finish(&self) -> Packets {
        let what = format!("the end of the {}'s call ({})", self.name, self.folder.display());
        until(&what, SOON, || {
            let log = self.log();
            let (_, counted) = log.split_once("\npackets:")?;
            let mut numbers = counted.lines().next()?.split_whitespace().map(|word| word.parse().ok());
            Some(Packets { sent: numbers.next()??, received: numbers.next()?? })
        })
        .await
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Away from the port for SIP: the next one is that of SIP over TLS.
const fn desk(port: u16) -> u16 {
    port + 1_000
}

fn configure(network: &Namespace, folder: &Path, owner: Owner<'_>) {
    let Owner { name, user, port, hertz } = owner;
    let address = &network.far_address;
    fs::create_dir_all(folder.join("heard")).unwrap();
    tone::write(&folder.join("tone.wav"), hertz, LIFE_SECONDS);
    let account = format!("<sip:{user}@{address}:{port}>;regint=0;answermode=auto;audio_codecs=pcmu,pcma\n");
    fs::write(folder.join("accounts"), account).unwrap();
    let (interface, folder_text) = (&network.far, folder.display());
    // The bridge of audio has nobody at its other end: it plays to nobody, and the recorder in front of it hears.
    let config = format!(
        "sip_listen {address}:{port}\nnet_interface {interface}\n\
         audio_source aufile,{folder_text}/tone.wav\naudio_player aubridge,{name}\naudio_alert aubridge,{name}-bell\n\
         ausrc_srate {rate}\nauplay_srate {rate}\nausrc_channels 1\nauplay_channels 1\n\
         rtp_ports {first}-{last}\nrtp_stats yes\nsnd_path {folder_text}/heard\n\
         module_path {modules}\nmodule g711.so\nmodule aufile.so\nmodule aubridge.so\nmodule sndfile.so\n\
         ctrl_tcp_listen {address}:{desk}\nmodule_app ctrl_tcp.so\n\
         module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\n",
        rate = tone::RATE,
        desk = desk(port),
        first = port * 4,
        last = port * 4 + 30,
        modules = "/usr/lib/baresip/modules",
    );
    fs::write(folder.join("config"), config).unwrap();
}
