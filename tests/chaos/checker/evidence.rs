//! The files of a run, read into structs: each line once, and of each line only what is judged.
//!
//! A file that is missing is empty, and a last line without its end was being written when its writer died; any
//! other line that cannot be read ends the check, because evidence that is half understood proves nothing.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind};
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::aftermath::Aftermath;
use super::dump::Dump;
use super::events::Events;
use super::record::Records;

/// What the run was told to do.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub service_instances: Vec<ServiceInstance>,
    pub tasks: Vec<PlannedTask>,
    /// Counted attempts that a callee may have.
    pub attempts_allowed: usize,
    /// The kinds of faults that could come, and how often each had to.
    #[serde(default)]
    pub faults: Vec<FaultKind>,
    #[serde(default)]
    pub faults_of_a_kind: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceInstance {
    pub id: String,
    pub max_concurrent: usize,
    pub max_cps: usize,
    pub caller_numbers: Vec<CallerNumber>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallerNumber {
    pub number: String,
    pub max_concurrent: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedTask {
    pub task_id: Uuid,
    pub service_instance_id: String,
    pub concurrency: usize,
    /// In UTC; none: at any time.
    #[serde(default)]
    pub calling_times: Vec<CallingTime>,
}

/// A window of each day, half-open: `HH:MM` to `HH:MM`.
#[derive(Debug, Deserialize)]
pub struct CallingTime {
    pub start: String,
    pub end: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Sending {
    Sent,
    Confirmed,
}

/// A line of the producer's ledger.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandLine {
    what: Sending,
    message_id: String,
    command: String,
    batch_id: Option<String>,
    rows: Option<usize>,
}

/// All that the producer wrote down about one message id.
#[derive(Debug, Default)]
pub struct Command<'e> {
    pub command: &'e str,
    pub batch: Option<&'e str>,
    pub rows: usize,
    pub sent: usize,
    pub confirmed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum How {
    Kill,
    Exit,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProcessLine {
    process: String,
    holder: Option<Uuid>,
    port: Option<u16>,
    started_at: Option<i64>,
    misled: Option<bool>,
    ended_at: Option<i64>,
    how: Option<How>,
}

/// One run of a daemon.
#[derive(Debug, Default)]
pub struct Process {
    pub holder: Option<Uuid>,
    /// Its SIP address.
    pub port: Option<u16>,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub killed: bool,
    /// Its clock was wrong.
    pub misled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FaultKind {
    Kill,
    Stop,
    Term,
    Postgres,
    PostgresAway,
    Sessions,
    DiskFull,
    Rabbitmq,
    RabbitmqKill,
    Connections,
    MemoryAlarm,
    Unbound,
    Stall,
    Reset,
    TrunkOverloaded,
    TrunkDeaf,
    Rolling,
    Clock,
}

impl fmt::Display for FaultKind {
    /// As the ledger has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Something that was done to the run.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    pub at: i64,
    pub until: i64,
    #[serde(rename = "fault")]
    pub kind: FaultKind,
    pub process: Option<String>,
    #[serde(default)]
    pub in_the_air: u64,
    /// Of a fault of the network: whether it was that before Postgres.
    #[serde(default)]
    postgres: bool,
}

impl Fault {
    /// Whether nobody could record anything meanwhile, or not for sure.
    pub fn keeps_from_recording(&self) -> bool {
        match self.kind {
            FaultKind::Postgres | FaultKind::PostgresAway | FaultKind::Sessions | FaultKind::DiskFull => true,
            FaultKind::Stall | FaultKind::Reset => self.postgres,
            FaultKind::Kill | FaultKind::Stop | FaultKind::Term => false,
            FaultKind::Rabbitmq | FaultKind::RabbitmqKill | FaultKind::Connections => false,
            FaultKind::MemoryAlarm | FaultKind::Unbound => false,
            FaultKind::TrunkOverloaded | FaultKind::TrunkDeaf | FaultKind::Rolling | FaultKind::Clock => false,
        }
    }
}

/// All that a run left behind.
#[derive(Debug)]
pub struct Evidence {
    pub plan: Plan,
    pub command_lines: Vec<CommandLine>,
    pub events: Events,
    pub records: Records,
    pub processes: HashMap<String, Process>,
    pub faults: Vec<Fault>,
    pub dump: Dump,
    pub aftermath: Aftermath,
}

impl Evidence {
    /// The events are most of it, so the rest is read beside them.
    pub fn read(folder: &Path) -> Self {
        let path = |name: &str| folder.join(name);
        let plan = fs::read(path("plan.json")).expect("plan.json: without a plan there are no limits");
        thread::scope(|scope| {
            let events = scope.spawn(|| Events::read(&path("events.jsonl")));
            let (processes, dump) = (processes(&path("processes.jsonl")), Dump::read(&path("dump")));
            Self {
                plan: serde_json::from_slice(&plan).unwrap_or_else(|error| panic!("plan.json: {error}")),
                command_lines: lines(&path("commands.jsonl")),
                records: Records::read(folder, &processes, &dump),
                processes,
                faults: lines(&path("faults.jsonl")),
                dump,
                aftermath: Aftermath::read(folder),
                events: events.join().unwrap_or_else(|panicked| resume_unwind(panicked)),
            }
        })
    }

    /// What was sent, by message id.
    pub fn commands(&self) -> BTreeMap<&str, Command<'_>> {
        let mut commands: BTreeMap<&str, Command> = BTreeMap::new();
        for line in &self.command_lines {
            let command = commands.entry(&line.message_id).or_default();
            command.command = &line.command;
            command.batch = line.batch_id.as_deref().or(command.batch);
            command.rows = line.rows.unwrap_or(command.rows);
            command.sent += usize::from(line.what == Sending::Sent);
            command.confirmed |= line.what == Sending::Confirmed;
        }
        commands
    }

    /// When a process was killed, if it was.
    pub fn killed_at(&self, process: &str) -> Option<i64> {
        self.processes.get(process).filter(|process| process.killed).and_then(|process| process.ended_at)
    }
}

fn processes(path: &Path) -> HashMap<String, Process> {
    let mut processes: HashMap<String, Process> = HashMap::new();
    for line in lines::<ProcessLine>(path) {
        let process = processes.entry(line.process).or_default();
        process.holder = line.holder.or(process.holder);
        process.port = line.port.or(process.port);
        process.started_at = line.started_at.or(process.started_at);
        process.ended_at = line.ended_at.or(process.ended_at);
        process.misled |= line.misled == Some(true);
        process.killed |= line.how == Some(How::Kill);
    }
    processes
}

/// The lines of a file.
pub fn lines<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let mut all = Vec::new();
    each_line(path, |number, line| {
        let parsed = serde_json::from_slice(line);
        all.push(parsed.unwrap_or_else(|error| panic!("{}, line {}: {error}", path.display(), number + 1)));
    });
    all
}

/// Goes through the whole lines of a file, counted from 0.
pub fn each_line(path: &Path, mut take: impl FnMut(usize, &[u8])) {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        Err(error) => panic!("{}: {error}", path.display()),
    };
    let (mut reader, mut line) = (BufReader::new(file), Vec::new());
    for number in 0.. {
        line.clear();
        reader.read_until(b'\n', &mut line).unwrap();
        if line.pop() != Some(b'\n') {
            return;
        }
        take(number, &line);
    }
}
