//! A network of its own for phones that send audio: a namespace of the kernel, tied to this machine by a pair of virtual
//! Ethernet interfaces and by nothing else. It goes with the test; what a killed run left behind goes with the next one.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::tools;

const PREFIX: &str = "calltaskd-test-";

/// Networks of four addresses in 10.213.0.0/16.
const NETWORKS: u32 = 1 << 14;

static OPENED: AtomicU16 = AtomicU16::new(0);

/// The namespace, which has to outlive what runs in it.
pub struct Namespace {
    name: String,
    /// The two ends: on this machine, and in the namespace.
    near: String,
    pub far: String,
    pub near_address: String,
    pub far_address: String,
}

impl Namespace {
    /// `None`, said aloud, where this user may not make any.
    pub fn open() -> Option<Self> {
        // With it comes the program `ip`.
        tools::path("baresip");
        sweep();
        let (process, opened) = (std::process::id(), OPENED.fetch_add(1, Ordering::Relaxed));
        let name = format!("{PREFIX}{process}-{opened}");
        let added = ip(&["netns", "add", &name]);
        if !added.status.success() {
            let why = String::from_utf8_lossy(&added.stderr);
            assert!(is_forbidden(&why), "ip netns add: {why}");
            // Past the test's own output, which nobody sees when it succeeds.
            let mut aloud = std::io::stderr().lock();
            writeln!(aloud, "skipped: this user may make no network namespace ({})", why.trim()).unwrap();
            return None;
        }
        let (near_address, far_address) = free_network(process.wrapping_add(u32::from(opened) << 7));
        let (near, far) = (format!("ct{process}n{opened}"), format!("ct{process}f{opened}"));
        let namespace = Self { name, near, far, near_address, far_address };
        namespace.connect();
        Some(namespace)
    }

    fn connect(&self) {
        let Self { name, near, far, .. } = self;
        let (here, there) = (format!("{}/30", self.near_address), format!("{}/30", self.far_address));
        run(&["link", "add", near, "type", "veth", "peer", "name", far, "netns", name]);
        run(&["address", "add", &here, "dev", near]);
        run(&["link", "set", near, "up"]);
        run(&["-n", name, "link", "set", "lo", "up"]);
        run(&["-n", name, "address", "add", &there, "dev", far]);
        run(&["-n", name, "link", "set", far, "up"]);
    }

    /// A command that runs in it; its process is the program itself.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
        // The interfaces go with the namespace, but only when the kernel finds the time.
        ip(&["link", "delete", &self.near]);
    }
}

fn ip(words: &[&str]) -> Output {
    Command::new("ip").args(words).output().unwrap()
}

fn run(words: &[&str]) -> String {
    let output = ip(words);
    assert!(output.status.success(), "ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn is_forbidden(why: &str) -> bool {
    ["Operation not permitted", "Permission denied"].iter().any(|reason| why.contains(reason))
}

/// Ends what runs in a namespace, and removes it.
fn remove(name: &str) {
    let inside = String::from_utf8(ip(&["netns", "pids", name]).stdout).unwrap();
    for process in inside.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        // Fails when it has ended already, which is as good.
        kill_process(process, Signal::KILL).ok();
    }
    ip(&["netns", "delete", name]);
}

/// Removes the namespaces of test processes that are no more.
fn sweep() {
    let listed = String::from_utf8(ip(&["netns", "list"]).stdout).unwrap();
    for name in listed.lines().filter_map(|line| line.split(' ').next()) {
        let Some(process) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else { continue };
        if !Path::new("/proc").join(process).exists() {
            remove(name);
        }
    }
}

/// Two addresses that this machine has no route to but the default one. Test processes begin at different places.
fn free_network(begin: u32) -> (String, String) {
    for number in (begin..).map(|number| number % NETWORKS).take(NETWORKS as usize) {
        let address = |host: u32| format!("10.213.{}.{}", number >> 6, ((number & 63) << 2) + host);
        let known = run(&["-4", "route", "show", "match", &address(1)]);
        if known.lines().all(|route| route.starts_with("default")) {
            return (address(1), address(2));
        }
    }
    panic!("no network of 10.213.0.0/16 is free");
}
