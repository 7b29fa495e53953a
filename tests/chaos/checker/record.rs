//! The carrier's record: one file for each run of a daemon, so that it is known whose call each was.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use uuid::Uuid;

use super::evidence::lines;

/// A call set-up that was handed to the carrier; instants are microseconds.
#[derive(Debug)]
pub struct Placing {
    pub call: Uuid,
    pub task: Uuid,
    pub called: String,
    pub caller: String,
    /// The place in [`Records::processes`] of the process that placed it.
    pub process: usize,
    pub at: i64,
    pub end: Option<End>,
}

#[derive(Debug)]
pub struct End {
    pub result: String,
    pub at: i64,
}

/// Every record of a run.
#[derive(Debug, Default)]
pub struct Records {
    pub placings: Vec<Placing>,
    pub processes: Vec<String>,
    /// What is wrong with the records themselves.
    pub faults: Vec<String>,
}

#[derive(Deserialize)]
#[serde(try_from = "Fields")]
enum Line {
    Placed { call: Uuid, task: Uuid, called: String, caller: String, at: i64 },
    Ended { call: Uuid, end: End },
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    Placed,
    Ended,
}

/// A line as it is written. A tagged enum would be read twice, and these files are long.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    event: Kind,
    call_id: Uuid,
    task_id: Option<Uuid>,
    called_number: Option<String>,
    caller_number: Option<String>,
    result: Option<String>,
    at: i64,
}

impl TryFrom<Fields> for Line {
    type Error = &'static str;
    fn try_from(fields: Fields) -> Result<Self, &'static str> {
        let Fields { event, call_id: call, at, .. } = fields;
        match (event, fields.task_id, fields.called_number, fields.caller_number, fields.result) {
            (Kind::Placed, Some(task), Some(called), Some(caller), _) => {
                Ok(Self::Placed { call, task, called, caller, at })
            }
            (Kind::Ended, .., Some(result)) => Ok(Self::Ended { call, end: End { result, at } }),
            _ => Err("a field is missing"),
        }
    }
}

impl Records {
    pub fn read(folder: &Path) -> Self {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let process = |name: &str| Some(name.strip_prefix("record-")?.strip_suffix(".jsonl")?.to_owned());
        let mut processes: Vec<String> = names.filter_map(|name| process(name.to_str()?)).collect();
        processes.sort_unstable();
        let mut records = Self { processes, ..Self::default() };
        for process in 0..records.processes.len() {
            let path = folder.join(format!("record-{}.jsonl", records.processes[process]));
            records.add(process, lines(&path));
        }
        records
    }

    /// An end belongs to the placing before it in the same record: a call lives in one process.
    fn add(&mut self, process: usize, lines: Vec<Line>) {
        let mut places: HashMap<Uuid, usize> = HashMap::new();
        for line in lines {
            match line {
                Line::Placed { call, task, called, caller, at } => {
                    places.insert(call, self.placings.len());
                    self.placings.push(Placing { call, task, called, caller, process, at, end: None });
                }
                Line::Ended { call, end } => match places.get(&call).map(|place| &mut self.placings[*place].end) {
                    Some(unended @ None) => *unended = Some(end),
                    Some(Some(_)) => self.faults.push(format!("{call} ended twice")),
                    None => self.faults.push(format!("{call} ended and was never placed")),
                },
            }
        }
    }

    /// Whose call it was.
    pub fn process(&self, placing: &Placing) -> &str {
        &self.processes[placing.process]
    }
}
