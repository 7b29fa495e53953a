//! Kamailio: a real SIP proxy that plays the carrier's border, by `proxy.cfg`. Ended by its pid.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::patience::{SOON, until};
use crate::{ports, tools};

/// How the lines begin that `proxy.cfg` writes of each call.
const NOTES: [&str; 4] = ["RELAYED ", "WITHIN ", "MATCHED ", "REFUSED "];

/// A running Kamailio; its children end with it.
pub struct Kamailio {
    child: Child,
    folder: PathBuf,
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as good.
        kill_process(Pid::from_child(&self.child), Signal::TERM).ok();
        drop(self.child.wait());
    }
}

/// The ports that it listens on without TLS.
pub struct Ports {
    pub udp: u16,
    pub tcp: u16,
    /// For the phones.
    inside: u16,
}

impl Ports {
    pub fn free() -> Self {
        Self { udp: ports::free(), tcp: ports::free(), inside: ports::free() }
    }
}

/// A port that it listens on over TLS.
#[derive(Debug, Clone, Copy)]
pub struct Door {
    pub port: u16,
    /// The files with the certificate that it shows, and with its key, by their common name.
    pub certificate: &'static str,
    /// Whoever comes has to show a certificate that `ca.pem` has signed.
    pub wants_certificate: bool,
    /// The versions that it speaks, as Kamailio names them.
    pub versions: &'static str,
}

impl Door {
    /// One that takes everybody.
    pub fn free() -> Self {
        Self { port: ports::free(), certificate: "server", wants_certificate: false, versions: "TLSv1.2+" }
    }

    fn settings(&self) -> String {
        self.settings_of(&format!("127.0.0.1:{}", self.port))
    }

    fn settings_of(&self, listener: &str) -> String {
        let Self { certificate, wants_certificate, versions, .. } = self;
        let wanted = if *wants_certificate { "yes" } else { "no" };
        format!(
            "[server:{listener}]\nmethod = {versions}\ncertificate = {certificate}.pem\n\
             private_key = {certificate}.key\nca_list = ca.pem\n\
             verify_certificate = {wanted}\nrequire_certificate = {wanted}\n"
        )
    }
}

impl Kamailio {
    /// Starts it in a folder where the certificates of its doors are.
    pub async fn start(folder: &Path, ports: &Ports, doors: &[Door]) -> Self {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sip/proxy.cfg");
        let mut settings = fs::read_to_string(template).unwrap();
        for (name, port) in [("@UDP@", ports.udp), ("@TCP@", ports.tcp), ("@INSIDE@", ports.inside)] {
            settings = settings.replace(name, &port.to_string());
        }
        let listens: Vec<_> = doors.iter().map(|door| format!("listen=tls:127.0.0.1:{}", door.port)).collect();
        let settings = settings.replace("@SECURE@", &listens.join("\n"));
        // It does not begin without a default.
        let without = [Door::free().settings_of("default")];
        fs::write(folder.join("tls.cfg"), doors.iter().map(Door::settings).chain(without).collect::<String>()).unwrap();
        fs::write(folder.join("proxy.cfg"), settings).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let child = Command::new(tools::path("kamailio"))
            .current_dir(folder)
            .args(["-f", "proxy.cfg", "-m", "32", "-M", "8", "-P", "pid", "-Y", ".", "-w", ".", "-DD", "-E"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let kamailio = Self { child, folder: folder.to_owned() };
        let listens = || std::net::TcpStream::connect(("127.0.0.1", ports.tcp)).ok();
        until(&format!("Kamailio to listen ({})", folder.display()), SOON, listens).await;
        kamailio
    }

    /// What it wrote down of the call with this id.
    pub fn noted(&self, call: &str) -> Vec<String> {
        let log = fs::read_to_string(self.folder.join("log")).unwrap();
        let about = |line: &&str| line.contains(call) && NOTES.iter().any(|note| line.contains(note));
        let note = |line: &str| {
            let from = NOTES.iter().find_map(|note| line.find(note)).unwrap_or_default();
            line[from..].trim_end().trim_end_matches(call).trim_end().to_owned()
        };
        log.lines().filter(about).map(note).collect()
    }
    /// How many calls it has passed on.
    pub fn calls(&self) -> usize {
        let log = fs::read_to_string(self.folder.join("log")).unwrap();
        log.lines().filter(|line| line.contains("RELAYED ")).count()
    }
}
