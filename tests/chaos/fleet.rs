//! The daemons: processes that are started, suspended, stopped and killed. Each place has an address of its own, which its
//! next process has again.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use calltaskd::safeguards::Safeguard;
use serde_json::{Value, json};

use super::book::{Book, now};
use super::carrier::{self, Carrier};
use super::harness::daemon::{Daemon, WITHOUT};
use super::harness::patience::{SOON, until};
use super::harness::servers::Place;
use super::plan::{DAEMONS, settings};
use super::ports;

/// How long a daemon may take to end after it was asked to: its grace, and what an outage of a server adds.
const LONGEST_STOP: Duration = Duration::from_secs(120);

/// How long a daemon goes by a wrong clock: longer than a lease of somebody who is gone.
const MISLED_FOR: Duration = Duration::from_secs(20);
/// Debian's libfaketime; the loader finds the path by itself. What measures time passing goes on as it is.
const AN_HOUR_AHEAD: [(&str, &str); 3] =
    [("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1"), ("FAKETIME", "+1h"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
/// What it says then.
const ALARM: &str = "ALARM: this machine's clock is ahead of the database's by so much; no call is started";

/// What is being done to a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Healthy,
    Suspended {
        until: Instant,
    },
    Leaving {
        since: Instant,
    },
    Gone {
        until: Instant,
        then: Clock,
    },
    /// Its clock is wrong: it may do no harm until it goes.
    Misled {
        until: Instant,
    },
}

/// What a daemon takes the time to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    Right,
    /// By an hour.
    Ahead,
}

/// One place of the fleet, and the process that has it now.
pub struct Member {
    place: usize,
    starts: u32,
    process: String,
    /// Its SIP address.
    port: u16,
    launched: Instant,
    pub daemon: Daemon,
    air: Air,
    pub condition: Condition,
}

/// All daemons of a run.
pub struct Fleet {
    folder: PathBuf,
    servers: Place,
    carrier: u16,
    without: Option<Safeguard>,
    book: Book,
    pub members: Vec<Member>,
    /// Those that are yet to be stopped, one when the one before it is back.
    rolling: Vec<usize>,
}

impl Fleet {
    /// Starts them all and waits until they are ready.
    pub async fn start(folder: &Path, servers: &Place, carrier: &Carrier, without: Option<Safeguard>) -> Self {
        let book = Book::open(folder, "processes.jsonl");
        let (folder, servers, carrier) = (folder.to_owned(), servers.clone(), carrier.port);
        let (members, rolling) = (Vec::new(), Vec::new());
        let mut fleet = Self { folder, servers, carrier, without, book, members, rolling };
        for place in 1..=DAEMONS {
            let air = Air::new(fleet.folder.join(carrier::LEDGER), ports::free());
            let member = fleet.launch((place, 1), air, Clock::Right).await;
            fleet.members.push(member);
        }
        for member in &fleet.members {
            until("a daemon to be ready", SOON, || member.daemon.has_logged("ready").then_some(())).await;
        }
        fleet
    }

    async fn launch(&self, (place, starts): (usize, u32), air: Air, clock: Clock) -> Member {
        let process = format!("daemon-{place}-{starts}");
        let file = |ending: &str| self.folder.join(format!("{process}.{ending}"));
        let (port, launched, started_at) = (air.port, Instant::now(), now());
        let toml = settings(&self.servers, (self.carrier, port), &self.folder.join("unused.jsonl"));
        fs::write(file("toml"), toml).unwrap();
        let mut environment = if clock == Clock::Ahead { AN_HOUR_AHEAD.to_vec() } else { Vec::new() };
        environment.extend(self.without.map(|safeguard| (WITHOUT, safeguard.name())));
        let daemon = Daemon::launch_in(&environment, &file("toml"), file("log"));
        let holder = until("the daemon to say who it is", SOON, || daemon.logged("starting")).await;
        let mut line = json!({"process": process, "holder": holder["holder"], "port": port, "startedAt": started_at});
        line["misled"] = json!(clock == Clock::Ahead);
        self.book.write(&[line]);
        let condition = match clock {
            Clock::Right => Condition::Healthy,
            Clock::Ahead => Condition::Misled { until: launched + MISLED_FOR },
        };
        Member { place, starts, process, port, launched, daemon, air, condition }
    }

    fn note_end(&self, member: &Member, how: &str) {
        self.book.write(&[json!({"process": member.process, "endedAt": now(), "how": how})]);
    }

    /// Calls that are up in daemons that are not suspended.
    pub fn in_the_air(&mut self) -> usize {
        self.members.iter_mut().map(Member::in_the_air).sum()
    }

    /// Kills without warning; another takes its place after `pause`.
    pub fn kill(&mut self, which: usize, pause: Duration, then: Clock) {
        self.members[which].daemon.kill();
        self.note_end(&self.members[which], "KILL");
        self.members[which].condition = Condition::Gone { until: Instant::now() + pause, then };
    }

    /// Stops and replaces all of them, one after the other, as an upgrade does.
    pub fn roll(&mut self) {
        self.rolling = (0..self.members.len()).collect();
    }

    /// Whether nothing is being done to anybody.
    pub fn is_well(&self) -> bool {
        self.rolling.is_empty() && self.members.iter().all(|member| member.condition == Condition::Healthy)
    }

    /// Suspends, as a machine without memory or a paused virtual machine does.
    pub fn suspend(&mut self, which: usize, duration: Duration) {
        self.members[which].daemon.suspend();
        self.members[which].condition = Condition::Suspended { until: Instant::now() + duration };
    }

    /// Asks to stop, as systemd does.
    pub fn terminate(&mut self, which: usize) {
        self.members[which].daemon.terminate();
        self.members[which].condition = Condition::Leaving { since: Instant::now() };
    }

    /// Resumes whose time has come, and replaces who is gone.
    pub async fn tend(&mut self) {
        if self.members.iter().all(|member| member.condition == Condition::Healthy)
            && let Some(next) = self.rolling.pop()
        {
            self.terminate(next);
        }
        for which in 0..self.members.len() {
            let member = &mut self.members[which];
            match member.condition {
                Condition::Suspended { until } if until <= Instant::now() => {
                    member.daemon.resume();
                    member.condition = Condition::Healthy;
                }
                Condition::Leaving { since } => match member.daemon.try_exit() {
                    Some(status) => {
                        println!("      {} left with {status}", member.process);
                        member.condition = Condition::Gone { until: Instant::now(), then: Clock::Right };
                        self.note_end(&self.members[which], "EXIT");
                    }
                    None => assert!(since.elapsed() < LONGEST_STOP, "{} does not stop", member.process),
                },
                Condition::Misled { until } if until <= Instant::now() => {
                    assert!(
                        member.daemon.has_logged(ALARM),
                        "{} does not know that its clock is wrong",
                        member.process
                    );
                    self.terminate(which);
                }
                Condition::Gone { until, then } if until <= Instant::now() => {
                    let (place, starts) = (member.place, member.starts + 1);
                    let air = std::mem::replace(&mut member.air, Air::new(PathBuf::new(), member.port));
                    self.members[which] = self.launch((place, starts), air, then).await;
                }
                Condition::Healthy => {
                    let exit = member.daemon.try_exit();
                    assert!(exit.is_none(), "{} ended by itself: {exit:?}", member.process);
                }
                _ => {}
            }
        }
    }

    /// Stops them all, which must succeed: nothing stands in their way any more, unless they had to do without a safeguard.
    pub async fn stop(&mut self) {
        self.members.iter().for_each(|member| member.daemon.terminate());
        for which in 0..self.members.len() {
            let status = self.members[which].daemon.exit(LONGEST_STOP).await;
            let is_clean = status.success() || self.without.is_some();
            assert!(is_clean, "{} after a stop without a fault: {status}", self.members[which].process);
            self.note_end(&self.members[which], "EXIT");
        }
    }
}

impl Member {
    pub fn process(&self) -> &str {
        &self.process
    }

    /// Calls that are up at its address, by the carrier's ledger: also those of its predecessors there.
    pub fn in_the_air(&mut self) -> usize {
        self.air.look()
    }

    /// How long its process has been there.
    pub fn age(&self) -> Duration {
        self.launched.elapsed()
    }
}

/// Follows the carrier's ledger to know at any time how many calls are up at an address, without reading it from the beginning each
/// time.
struct Air {
    ledger: PathBuf,
    port: u16,
    reader: Option<BufReader<File>>,
    half_line: String,
    up: HashSet<String>,
}

impl Air {
    fn new(ledger: PathBuf, port: u16) -> Self {
        Self { ledger, port, reader: None, half_line: String::new(), up: HashSet::new() }
    }

    fn look(&mut self) -> usize {
        if self.reader.is_none() {
            self.reader = File::open(&self.ledger).ok().map(BufReader::new);
        }
        let Some(reader) = &mut self.reader else { return 0 };
        while reader.read_line(&mut self.half_line).unwrap() > 0 && self.half_line.ends_with('\n') {
            let line: Value = serde_json::from_str(&self.half_line).unwrap();
            let id = || line["callId"].as_str().unwrap().to_owned();
            let _changed = match line["event"].as_str() {
                Some("INVITE") if line["from"] == self.port => self.up.insert(id()),
                Some("ENDED") => self.up.remove(&id()),
                _ => false,
            };
            self.half_line.clear();
        }
        self.up.len()
    }
}
