//! What a run consists of: how long, how many, which service instances and tasks, which daemons' settings.

use std::path::Path;
use std::time::Duration;

use calltaskd::safeguards::Safeguard;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use super::aimed::Aim;
use super::book::now;
use super::faults::Fault;
use super::harness::orders;
use super::harness::plan::Plan;
use super::harness::servers::Place;

/// The daemons that are up when all is well; all go by one node name, which must do no harm.
pub const DAEMONS: usize = 3;
const SERVICE_INSTANCES: usize = 3;
const TASKS_EACH: usize = 2;
/// Limits that are reached all the time, so that one call too many would show.
const SLOTS: u32 = 400;
const TASK_SLOTS: u32 = 250;
const NUMBER_SLOTS: u32 = 220;
/// By so much the limits are lower where they must be reached on a machine that is slow as well.
const SCARCE: u32 = 4;
const PACE: u32 = 110;
/// The limits of a call.
const RING_AND_TALK_SECONDS: u32 = 10;
/// The task that may call in every second minute only, from the one in which the run begins.
const NARROW_TASK: usize = 0;
/// How long a phone rings, and how long a call lasts: some beyond the task's limit.
pub const RING_MILLIS: [u64; 2] = [200, 2_000];
pub const TALK_MILLIS: [u64; 2] = [500, 10_500];
/// The trunk of all service instances.
const TRUNK: &str = "carrier";
/// Such a part of the run is a warm-up, but no more than five minutes.
pub const WARM_UP: f64 = 0.4;
pub const LONGEST_WARM_UP: Duration = Duration::from_secs(300);
/// A shorter run says nothing about memory.
pub const LONG: Duration = Duration::from_secs(290);
/// Each kind of fault comes so often in a run of so long; in shorter ones it comes once.
pub const FAULTS_OF_A_KIND: usize = 3;
pub const VERY_LONG: Duration = Duration::from_secs(1_190);
/// What a run has if nobody says otherwise.
const MINUTES: f64 = 1.0;
const SEED: u64 = 20_261_125;
const CALLEES_A_MINUTE: f64 = 4_000.0;
/// Callees of one import.
const ROWS: usize = 100;

/// What becomes of a call at the carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Answers,
    RingsOn,
    IsBusy,
    IsUnknown,
}

/// How often each is drawn.
pub const ENDINGS: [(Ending, u32); 4] =
    [(Ending::Answers, 70), (Ending::RingsOn, 15), (Ending::IsBusy, 10), (Ending::IsUnknown, 5)];

/// The size of a run.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub faults_for: Duration,
    pub seed: u64,
    pub callees: usize,
    pub slots_are_scarce: bool,
    /// The faults that may come; all of them where none are named.
    pub faults: Option<&'static [Fault]>,
    /// What goes on beside them.
    pub aimed: Option<Aim>,
    /// The safeguard that the run is about, and whether every daemon has to do without it.
    pub about: Option<Safeguard>,
    pub is_without: bool,
}

impl Scale {
    /// `CALLTASKD_CHAOS_MINUTES`, `_SEED` and `_CALLEES`, which `make chaos` sets.
    pub fn from_environment() -> Self {
        let given = |name: &str| std::env::var(format!("CALLTASKD_CHAOS_{name}")).ok().filter(|text| !text.is_empty());
        let minutes: f64 = given("MINUTES").map_or(MINUTES, |text| text.parse().expect("MINUTES is a number"));
        let seed = given("SEED").map_or(SEED, |text| text.parse().expect("SEED is a whole number"));
        let usual = format!("{:.0}", minutes * CALLEES_A_MINUTE);
        let callees = given("CALLEES").unwrap_or(usual).parse().expect("CALLEES is a whole number");
        let faults_for = Duration::from_secs_f64(minutes * 60.0);
        Self {
            faults_for,
            seed,
            callees,
            slots_are_scarce: false,
            faults: None,
            aimed: None,
            about: None,
            is_without: false,
        }
    }

    /// What its folder is called.
    pub fn name(&self) -> String {
        let kind = if self.is_without { "without" } else { "with" };
        self.about.map_or("run".to_owned(), |safeguard| format!("{kind}-{safeguard}"))
    }

    /// What every daemon has to do without.
    pub fn without(&self) -> Option<Safeguard> {
        self.about.filter(|_| self.is_without)
    }

    /// So many imports between one whose callees are cancelled at once and the next: while they are being called. More cancels are
    /// more events of another kind among the ends of calls.
    pub fn between_cancels(&self) -> usize {
        if self.aimed == Some(Aim::TheQueueOfEvents) { 2 } else { 6 }
    }

    /// How often each kind of fault has to come.
    pub fn faults_of_a_kind(&self) -> usize {
        if self.faults_for >= VERY_LONG { FAULTS_OF_A_KIND } else { 1 }
    }

    /// A source of chance for one part of the run; parts do not disturb each other's draws.
    pub fn dice(&self, part: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_add(part.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// One import to come.
#[derive(Debug, Clone)]
pub struct Batch {
    pub task: Uuid,
    pub id: String,
    pub rows: usize,
}

/// The service instances and tasks of a run.
#[derive(Debug)]
pub struct World {
    lines: Vec<Value>,
    tasks: Vec<(Uuid, Value)>,
}

impl World {
    pub fn new(scale: &Scale) -> Self {
        let slots = |usual: u32| if scale.slots_are_scarce { usual / SCARCE } else { usual };
        let line = |number: usize| {
            let numbers = json!([
                {"number": format!("+49305550{number}01"), "maxConcurrent": slots(NUMBER_SLOTS)},
                {"number": format!("+49305550{number}02")},
            ]);
            let line = orders::with(orders::line(&format!("line-{number}"), slots(SLOTS), PACE), "trunk", json!(TRUNK));
            orders::with(line, "callerNumbers", numbers)
        };
        let task = |number: usize| {
            let id = Uuid::new_v4();
            let mut body = orders::task(&format!("task {number}"), slots(TASK_SLOTS));
            body["taskId"] = json!(id);
            body["serviceInstanceId"] = json!(format!("line-{}", number % SERVICE_INSTANCES));
            body["ringTimeoutSeconds"] = json!(RING_AND_TALK_SECONDS);
            body["maxTalkSeconds"] = json!(RING_AND_TALK_SECONDS);
            // Or all, so that whatever is claimed at the end of a window matters.
            if number == NARROW_TASK || scale.aimed == Some(Aim::TheEndOfAMinute) {
                body["callingTimes"] = every_second_minute();
            }
            (id, body)
        };
        Self {
            lines: (0..SERVICE_INSTANCES).map(line).collect(),
            tasks: (0..SERVICE_INSTANCES * TASKS_EACH).map(task).collect(),
        }
    }

    /// The commands that make it, in order.
    pub fn orders(&self, agent_port: u16) -> Vec<(&'static str, Value)> {
        let uri = json!(format!("sip:voice@127.0.0.1:{agent_port}"));
        let agent = ("agent.put", orders::with(orders::agent(orders::AGENT), "sipUri", uri));
        let lines = self.lines.iter().map(|line| ("service-instance.put", line.clone()));
        let tasks = self.tasks.iter().map(|(_, task)| ("task.create", task.clone()));
        std::iter::once(agent).chain(lines).chain(tasks).collect()
    }

    pub fn tasks(&self) -> Vec<Uuid> {
        self.tasks.iter().map(|(id, _)| *id).collect()
    }

    /// The imports, each of its own task by chance.
    pub fn batches(&self, scale: &Scale) -> Vec<Batch> {
        let mut dice = scale.dice(1);
        let mut left = scale.callees;
        let mut batches = Vec::new();
        while left > 0 {
            let rows = left.min(ROWS);
            let task = self.tasks[dice.gen_range(0..self.tasks.len())].0;
            batches.push(Batch { task, id: format!("batch-{}", batches.len()), rows });
            left -= rows;
        }
        batches
    }

    /// What the checker measures by.
    pub fn for_the_checker(&self) -> Value {
        let line = |line: &Value| {
            json!({"id": line["serviceInstanceId"], "maxConcurrent": line["maxConcurrent"], "maxCps": line["maxCps"],
                   "callerNumbers": line["callerNumbers"]})
        };
        let task = |(id, task): &(Uuid, Value)| {
            json!({"taskId": id, "serviceInstanceId": task["serviceInstanceId"], "concurrency": task["concurrency"],
                   "callingTimes": task["callingTimes"]})
        };
        json!({
            "serviceInstances": self.lines.iter().map(line).collect::<Vec<_>>(),
            "tasks": self.tasks.iter().map(task).collect::<Vec<_>>(),
            "attemptsAllowed": 1,
        })
    }
}

/// Windows of a minute each, in UTC, from now on: as many as a task may have, which is enough for an hour and a half.
fn every_second_minute() -> Value {
    let minute = now() / 60_000_000;
    let clock = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
    let opens = (0..48).map(|window| (minute + 2 * window) % (24 * 60));
    json!(opens.map(|of_day| json!({"start": clock(of_day), "end": clock(of_day + 1)})).collect::<Vec<_>>())
}

/// The settings of the processes at one place of the fleet: its address is the place's own, so that whoever is next there goes on
/// with the calls.
pub fn settings(place: &Place, (carrier, own): (u16, u16), unused: &Path) -> String {
    let all = u32::try_from(SERVICE_INSTANCES).unwrap();
    let (channels, pace) = (SLOTS * all, PACE * all);
    let plan = Plan {
        // Too short for some calls: who was only rung is called again, and who talks is handed over.
        grace_seconds: 1,
        admin: "127.0.0.1:0",
        more: format!(
            "[sip]\nbind = \"udp:127.0.0.1:{own}\"\n\
             [trunks.{TRUNK}]\nkind = \"sip\"\naddress = \"127.0.0.1:{carrier}\"\noptions_seconds = 0\n\
             max_channels = {channels}\nmax_cps = {pace}\n"
        ),
        ..Plan::default()
    };
    plan.toml(place, unused)
}
