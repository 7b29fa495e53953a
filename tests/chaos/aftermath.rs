//! What is left when it is over: nothing may be held any more, no message may lie in a queue, and no daemon may have grown.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use serde_json::{Value, json};

use super::book::{Book, hexadecimal, now};
use super::fleet::{Condition, Fleet, Member};
use super::harness::operator::Operator;
use super::harness::servers::Place;
use super::plan::{LONG, LONGEST_WARM_UP, Scale, WARM_UP};

/// After so long without a fault and without a callee left to be called, nothing may be held.
const QUIET_WITHIN: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
/// A younger daemon is still growing.
const GROWN_UP: Duration = Duration::from_secs(20);

/// Gauges that are zero when all calls are over.
const GAUGES: [&str; 4] =
    ["calltaskd_slots_held", "calltaskd_sip_calls", "calltaskd_sip_dialogs", "calltaskd_sip_transactions"];

/// Who looks.
pub struct Aftermath {
    folder: PathBuf,
    book: Book,
    warm_up: Option<Duration>,
    was_seen: Cell<bool>,
}

impl Aftermath {
    pub fn of(folder: &Path, scale: &Scale) -> Self {
        let warm_up = (scale.faults_for >= LONG).then(|| scale.faults_for.mul_f64(WARM_UP).min(LONGEST_WARM_UP));
        Self {
            folder: folder.to_owned(),
            book: Book::open(folder, "aftermath.jsonl"),
            warm_up,
            was_seen: Cell::new(false),
        }
    }

    /// Writes down how large the daemons are, as long as they warm up, and until one was old enough. One look says nothing: their sessions with the database
    /// and the broker come and go with the faults, and so do half of their descriptors.
    pub fn watch_the_warm_up(&self, fleet: &mut Fleet, elapsed: Duration) {
        if self.warm_up.is_some_and(|warm_up| elapsed < warm_up || !self.was_seen.get()) {
            let seen = self.measure("WARM_UP", fleet);
            self.was_seen.set(self.was_seen.get() || seen > 0);
        }
    }

    /// Gives how many daemons could be measured.
    fn measure(&self, when: &str, fleet: &mut Fleet) -> usize {
        let well = fleet.members.iter_mut().filter(|member| member.condition == Condition::Healthy);
        let lines: Vec<Value> =
            well.filter(|member| member.age() > GROWN_UP).map(|member| size(when, member)).collect();
        self.book.write(&lines);
        lines.len()
    }

    /// Waits until nothing is held, and writes down what is held when that is so or the time is over.
    pub async fn wait_for_quiet(&self, fleet: &mut Fleet, calm_since: Instant) {
        let deadline = Instant::now().max(calm_since) + QUIET_WITHIN;
        loop {
            let mut lines = Vec::new();
            for member in &mut fleet.members {
                lines.push(held(member).await);
            }
            let is_quiet = lines.iter().all(|line| GAUGES.iter().all(|gauge| line[*gauge] == 0));
            if is_quiet || Instant::now() >= deadline {
                self.book.write(&lines);
                break;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        if self.warm_up.is_some() {
            self.measure("END", fleet);
        }
    }

    /// Takes the dead letters, and writes down what is left in the daemons' queues, which nobody consumes any more.
    pub async fn look_into_queues(&self, place: &Place) {
        let (_connection, channel) = place.channel().await.unwrap();
        let dead = Book::open(&self.folder, "dead.jsonl");
        let mut letters = Vec::new();
        let options = BasicGetOptions { no_ack: true };
        while let Some(letter) = channel.basic_get(place.name("dead").into(), options).await.unwrap() {
            letters.push(json!({"body": hexadecimal(&letter.data)}));
        }
        dead.write(&letters);
        for queue in ["commands", "queries", "ledger"] {
            let passive = QueueDeclareOptions { passive: true, ..Default::default() };
            let name = place.name(queue);
            let found = channel.queue_declare(name.as_str().into(), passive, FieldTable::default()).await.unwrap();
            self.book.write(&[json!({"at": now(), "queue": queue, "messages": found.message_count()})]);
        }
    }
}

async fn held(member: &mut Member) -> Value {
    let scrape = Operator::of(&member.daemon).await.scrape();
    let mut line = json!({"at": now(), "process": member.process()});
    for gauge in GAUGES {
        // Counted things: no fraction is lost.
        line[gauge] = json!(scrape.sum(gauge, &[]).round() as u64);
    }
    line
}

fn size(when: &str, member: &mut Member) -> Value {
    let process = format!("/proc/{}", member.daemon.id());
    let status = fs::read_to_string(format!("{process}/status")).unwrap_or_default();
    let figure = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
    };
    let descriptors = fs::read_dir(format!("{process}/fd")).map_or(0, Iterator::count);
    json!({
        "at": now(), "size": when, "process": member.process(), "memoryKib": figure("VmRSS:"),
        "descriptors": descriptors, "threads": figure("Threads:"),
    })
}
