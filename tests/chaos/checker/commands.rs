//! Whether each command took effect, and once: a message id may be sent and confirmed many times.
//!
//! A confirm is the broker's, not the daemon's: from it on, the command must not get lost. What was sent and never
//! confirmed may have taken effect or not, but not twice. Nothing in an import is a duplicate of anything else
//! and no number is checked twice, so a batch that is applied again shows as that many callees more.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use uuid::Uuid;

use super::dump::InboxRow;
use super::events::What;
use super::evidence::Evidence;
use super::names;
use super::report::Invariant;

/// What became of a batch.
#[derive(Debug, Default)]
struct Batch {
    sent: usize,
    callees: usize,
    events: usize,
}

/// How often a task was stopped or started.
#[derive(Debug, Default)]
struct Change {
    accepted: usize,
    events: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    status: String,
    task_id: Option<Uuid>,
}

pub fn not_applied(evidence: &Evidence) -> Invariant {
    let inbox: BTreeSet<&str> = evidence.dump.inbox.iter().map(|row| row.message_id.as_str()).collect();
    let batches = batches(evidence);
    let mut found = Vec::new();
    for (id, command) in evidence.commands().into_iter().filter(|(_, command)| command.confirmed) {
        if !inbox.contains(id) {
            found.push(format!("{} {id} is not in the inbox", command.command));
        }
        let Some((name, batch)) = command.batch.and_then(|name| Some((name, batches.get(name)?))) else { continue };
        if batch.callees < batch.sent {
            found.push(format!("{} of the {} rows of the batch {name} are callees", batch.callees, batch.sent));
        }
        if batch.events == 0 {
            found.push(format!("nobody heard of the import of the batch {name}"));
        }
    }
    let lacking = changes(evidence).into_iter().filter(|(_, change)| change.events < change.accepted);
    found.extend(lacking.map(describe));
    Invariant::none(names::NOT_APPLIED, found)
}

pub fn applied_twice(evidence: &Evidence) -> Invariant {
    let mut found = Vec::new();
    for (name, batch) in batches(evidence) {
        if batch.callees > batch.sent {
            found.push(format!("the {} rows of the batch {name} are {} callees", batch.sent, batch.callees));
        }
        if batch.events > 1 {
            found.push(format!("the batch {name} was imported {} times by its events", batch.events));
        }
    }
    let excessive = changes(evidence).into_iter().filter(|(_, change)| change.events > change.accepted);
    found.extend(excessive.map(describe));
    Invariant::none(names::APPLIED_TWICE, found)
}

fn describe(((command, task), change): ((&str, Uuid), Change)) -> String {
    format!("{command} was accepted {} times for {task}, and {} events tell of it", change.accepted, change.events)
}

/// By name; each belongs to one message id. A batch that nobody sent has no rows.
fn batches(evidence: &Evidence) -> BTreeMap<&str, Batch> {
    let mut batches: BTreeMap<&str, Batch> = BTreeMap::new();
    for command in evidence.commands().into_values() {
        if let Some(name) = command.batch {
            batches.entry(name).or_default().sent += command.rows;
        }
    }
    for name in evidence.dump.callees.iter().filter_map(|callee| callee.batch_id.as_deref()) {
        batches.entry(name).or_default().callees += 1;
    }
    for event in evidence.events.distinct() {
        if let What::Imported { batch } = &event.what {
            batches.entry(batch).or_default().events += 1;
        }
    }
    batches
}

/// By command and task. The replies in the inbox say what was accepted: a command that came when there was nothing to
/// stop or to start was rejected, rightly.
fn changes(evidence: &Evidence) -> BTreeMap<(&'static str, Uuid), Change> {
    let mut changes: BTreeMap<(&str, Uuid), Change> = BTreeMap::new();
    for row in &evidence.dump.inbox {
        let Some(command) = ["task.stop", "task.start"].into_iter().find(|command| row.command == *command) else {
            continue;
        };
        if let Some(task) = accepted_task(row) {
            changes.entry((command, task)).or_default().accepted += 1;
        }
    }
    for event in evidence.events.distinct() {
        let change = match event.what {
            What::Stopped { task } => ("task.stop", task),
            What::Started { task } => ("task.start", task),
            _ => continue,
        };
        changes.entry(change).or_default().events += 1;
    }
    changes
}

fn accepted_task(row: &InboxRow) -> Option<Uuid> {
    let reply = serde_json::from_str::<Reply>(&row.reply);
    let reply = reply.unwrap_or_else(|error| panic!("the reply to {} in dump/inbox.jsonl: {error}", row.message_id));
    reply.task_id.filter(|_| reply.status == "ACCEPTED")
}
