//! The carrier's ledger: what it was asked for over SIP, and how each call ended on its side. It is one for all daemons; whose call
//! each was follows from the address that it came from and from who had that address then.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use uuid::Uuid;

use super::dump::Dump;
use super::evidence::{Process, lines};
use super::history::call_id;

/// An INVITE of its own transaction; instants are microseconds.
#[derive(Debug)]
pub struct Placing {
    pub call: Uuid,
    /// Of the attempt with this id; `None` where there is none.
    pub task: Option<Uuid>,
    pub called: String,
    pub caller: String,
    /// The place in [`Records::processes`] of the process that placed it.
    pub process: usize,
    /// When it came first.
    pub at: i64,
    /// It was dealt with: it did not come while the carrier heard nothing, or it came again afterwards.
    pub heard: bool,
    /// It came first while the carrier heard nothing.
    pub missed: bool,
    branch: Option<String>,
    pub end: Option<End>,
    /// When the daemon took it back, maybe too late.
    pub cancelled_at: Option<i64>,
    /// When the agent's side of the call had been set up.
    pub agent_at: Option<i64>,
    /// It came when the one before it had no last response yet.
    pub after_silence: bool,
}

#[derive(Debug)]
pub struct End {
    pub result: String,
    pub at: i64,
    /// When the daemon is known to have heard of it; `None`: it never said so.
    pub heard_at: Option<i64>,
}

impl Placing {
    /// The carrier had missed it.
    fn is_repeated_by(&self, line: &Line) -> bool {
        !self.heard && self.branch.is_some() && self.branch == line.branch
    }
}

/// The ledger.
#[derive(Debug, Default)]
pub struct Records {
    pub placings: Vec<Placing>,
    pub processes: Vec<String>,
    /// What is wrong with the ledger itself.
    pub faults: Vec<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
enum Kind {
    #[serde(rename = "INVITE")]
    Invite,
    #[serde(rename = "ENDED")]
    Ended,
    #[serde(rename = "CANCEL")]
    Cancel,
    #[serde(rename = "AGENT_ACKED")]
    AgentJoined,
    #[serde(rename = "ACKED", alias = "SETTLED")]
    Heard,
    /// Nothing that is judged.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    event: Kind,
    call_id: Uuid,
    called_number: Option<String>,
    caller_number: Option<String>,
    from: Option<u16>,
    branch: Option<String>,
    result: Option<String>,
    /// Who ended it, or the refusal.
    how: Option<String>,
    /// It was never heard.
    unheard: Option<String>,
    at: i64,
}

/// Who had an address from when on.
type Tenancies = HashMap<u16, Vec<(i64, usize)>>;

impl Records {
    pub fn read(folder: &Path, processes: &HashMap<String, Process>, dump: &Dump) -> Self {
        let mut names: Vec<String> = processes.keys().cloned().collect();
        names.sort_unstable();
        let mut tenancies = Tenancies::new();
        for (number, process) in names.iter().map(|name| &processes[name]).enumerate() {
            if let (Some(port), Some(from)) = (process.port, process.started_at) {
                tenancies.entry(port).or_default().push((from, number));
            }
        }
        tenancies.values_mut().for_each(|tenants| tenants.sort_unstable());
        let mut records = Self { processes: names, ..Self::default() };
        records.add(lines(&folder.join("carrier.jsonl")), &tenancies);
        let tasks = tasks(dump);
        for placing in &mut records.placings {
            placing.task = tasks.get(&placing.call).copied();
        }
        records
    }

    /// An end belongs to the last INVITE of the call before it.
    fn add(&mut self, lines: Vec<Line>, tenancies: &Tenancies) {
        let mut places: HashMap<Uuid, usize> = HashMap::new();
        for line in lines {
            let last = places.get(&line.call_id).copied();
            match line.event {
                Kind::Invite if last.is_some_and(|place| self.placings[place].is_repeated_by(&line)) => {
                    last.map(|place| &mut self.placings[place]).unwrap().heard = true;
                }
                Kind::Invite => {
                    let after_silence = last.is_some_and(|place| self.placings[place].end.is_none());
                    places.insert(line.call_id, self.placings.len());
                    self.invite(line, tenancies, after_silence);
                }
                Kind::Ended => self.end(line, last),
                Kind::Cancel | Kind::AgentJoined => {
                    let Some(placing) = last.map(|place| &mut self.placings[place]) else { continue };
                    placing.cancelled_at = placing.cancelled_at.or((line.event == Kind::Cancel).then_some(line.at));
                    placing.agent_at = placing.agent_at.or((line.event == Kind::AgentJoined).then_some(line.at));
                }
                Kind::Heard => {
                    let end = last.and_then(|place| self.placings[place].end.as_mut());
                    if let Some(end) = end.filter(|end| end.heard_at.is_none() && line.unheard.is_none()) {
                        end.heard_at = Some(line.at);
                    }
                }
                Kind::Other => {}
            }
        }
    }

    fn invite(&mut self, line: Line, tenancies: &Tenancies, after_silence: bool) {
        let Line { call_id: call, at, .. } = line;
        let (Some(called), Some(caller), Some(from)) = (line.called_number, line.caller_number, line.from) else {
            panic!("carrier.jsonl: the INVITE of {call} lacks something");
        };
        let tenants = tenancies.get(&from).map_or(&[][..], Vec::as_slice);
        let Some((_, process)) = tenants.iter().rev().find(|(since, _)| *since <= at) else {
            return self.faults.push(format!("{call} came at {at} from {from}, where no daemon was"));
        };
        let (task, end, cancelled_at, agent_at) = (None, None, None, None);
        let (process, heard, branch) = (*process, line.unheard.is_none(), line.branch);
        self.placings.push(Placing {
            call,
            task,
            called,
            caller,
            process,
            at,
            heard,
            missed: !heard,
            branch,
            end,
            cancelled_at,
            agent_at,
            after_silence,
        });
    }

    fn end(&mut self, line: Line, last: Option<usize>) {
        let Line { call_id: call, at, .. } = line;
        let Some(result) = line.result else { panic!("carrier.jsonl: the end of {call} lacks its result") };
        // What the daemon ended itself it knows.
        let heard_at = line.how.is_none_or(|how| how == "DAEMON").then_some(at);
        // Its INVITE is among the faults already when it came from nobody's address.
        match last.and_then(|place| self.placings.get_mut(place)).map(|placing| &mut placing.end) {
            Some(unended @ None) => *unended = Some(End { result, at, heard_at }),
            Some(Some(_)) => self.faults.push(format!("{call} ended twice")),
            None => self.faults.push(format!("{call} ended and was never placed")),
        }
    }

    /// Whose call it was.
    pub fn process(&self, placing: &Placing) -> &str {
        &self.processes[placing.process]
    }
}

/// The task of each attempt, by the id of its call.
fn tasks(dump: &Dump) -> HashMap<Uuid, Uuid> {
    let claimed = dump.claims.iter().map(|row| (row.task_no, row.seq, row.attempt));
    let logged = dump.attempts.iter().map(|row| (row.task_no, row.seq, row.attempt));
    let entry = |(task_no, seq, attempt)| {
        let task = dump.task(task_no);
        (call_id(task, seq, attempt), task)
    };
    claimed.chain(logged).map(entry).collect()
}
