//! The simulated carrier's record: a witness that shares nothing with the daemon's own counting.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// One second in the unit of the record.
const SECOND: i64 = 1_000_000;

/// A call from its placing on; instants are microseconds.
#[derive(Debug, Clone)]
pub struct Call {
    pub id: String,
    pub task: String,
    pub called: String,
    pub caller: String,
    pub placed_at: i64,
    /// Result and instant, when it has ended.
    pub end: Option<(String, i64)>,
}

impl Call {
    /// When its slot comes free: a second after the placing at the earliest, and not before its end.
    fn slot_end(&self) -> i64 {
        self.end.as_ref().map_or(i64::MAX, |(_, at)| *at.max(&(self.placed_at + SECOND)))
    }
}

/// All calls in the order of their lines, and what is wrong with the record itself.
#[derive(Debug, Default)]
pub struct Record {
    pub calls: Vec<Call>,
    pub faults: Vec<String>,
}

impl Record {
    /// Reads the whole lines; one that is being written counts next time.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        Self::of(whole.lines().map(|line| serde_json::from_str(line).unwrap()))
    }

    /// Reads lines that are parsed already.
    pub fn of(lines: impl Iterator<Item = Value>) -> Self {
        let mut record = Self::default();
        let mut places: HashMap<String, usize> = HashMap::new();
        for line in lines {
            let text = |field: &str| line[field].as_str().unwrap().to_owned();
            let (id, at) = (text("callId"), line["at"].as_i64().unwrap());
            if line["event"] == "PLACED" {
                let (task, called, caller) = (text("taskId"), text("calledNumber"), text("callerNumber"));
                if places.insert(id.clone(), record.calls.len()).is_some() {
                    record.faults.push(format!("{id} was placed twice"));
                }
                record.calls.push(Call { id, task, called, caller, placed_at: at, end: None });
            } else {
                match places.get(&id).map(|place| &mut record.calls[*place].end) {
                    Some(end @ None) => *end = Some((text("result"), at)),
                    _ => record.faults.push(format!("{id} ended twice or was never placed")),
                }
            }
        }
        record
    }

    /// Both as one carrier would have written them. Whoever is killed leaves calls without an end.
    pub fn and(mut self, other: Self) -> Self {
        self.calls.extend(other.calls);
        self.faults.extend(other.faults);
        self
    }

    /// The calls that have no end got one at this moment: their process was killed.
    pub fn cut_at(mut self, at: i64) -> Self {
        for call in self.calls.iter_mut().filter(|call| call.end.is_none()) {
            call.end = Some(("CUT".to_owned(), at));
        }
        self
    }

    /// How many calls are up.
    pub fn in_the_air(&self) -> usize {
        self.calls.iter().filter(|call| call.end.is_none()).count()
    }

    /// How many calls have ended.
    pub fn ended(&self) -> usize {
        self.calls.len() - self.in_the_air()
    }

    /// The part of one task.
    pub fn of_task(&self, task: &str) -> Self {
        self.only(|call| call.task == task)
    }

    /// The part of one caller number.
    pub fn of_caller(&self, caller: &str) -> Self {
        self.only(|call| call.caller == caller)
    }

    /// The calls that fulfil a condition.
    pub fn only(&self, holds: impl Fn(&Call) -> bool) -> Self {
        Self { calls: self.calls.iter().filter(|call| holds(call)).cloned().collect(), faults: Vec::new() }
    }

    /// The most slots that were held at any instant.
    pub fn most_slots(&self) -> usize {
        let mut changes: Vec<(i64, i32)> = Vec::new();
        for call in &self.calls {
            changes.extend([(call.placed_at, 1), (call.slot_end(), -1)]);
        }
        // A slot that comes free at an instant is free for a placing at that instant: -1 sorts first.
        changes.sort_unstable();
        let (mut held, mut most) = (0, 0);
        for (_, change) in changes {
            held += change;
            most = most.max(held);
        }
        usize::try_from(most).unwrap()
    }

    /// How many slots are held at an instant, with those of the calls placed at it.
    pub fn slots_at(&self, at: i64) -> usize {
        self.calls.iter().filter(|call| (call.placed_at..call.slot_end()).contains(&at)).count()
    }

    /// The most placings in any second, half-open, wherever it begins.
    pub fn most_placings_in_a_second(&self) -> usize {
        let mut placings: Vec<i64> = self.calls.iter().map(|call| call.placed_at).collect();
        placings.sort_unstable();
        let within = |(first, at): (usize, &i64)| placings[first..].partition_point(|other| *other < at + SECOND);
        placings.iter().enumerate().map(within).max().unwrap_or(0)
    }
}
