//! What was left when it was over: dead letters against the poison, what daemons still held, what lay in queues, and how large
//! the daemons had become.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::evidence::{Sending, lines};
use super::names;
use super::report::Invariant;

#[derive(Debug, Deserialize)]
pub struct PoisonLine {
    what: Sending,
    /// The body, hexadecimal.
    poison: String,
}

#[derive(Debug, Deserialize)]
pub struct DeadLetter {
    body: String,
}

/// The ledgers of it.
#[derive(Debug)]
pub struct Aftermath {
    poison: Vec<PoisonLine>,
    dead: Vec<DeadLetter>,
    /// Of three kinds: what a process holds, how large it is, what a queue has.
    lines: Vec<Value>,
}

/// What may not grow by more than a fifth.
const SIZES: [&str; 3] = ["memoryKib", "descriptors", "threads"];

impl Aftermath {
    pub fn read(folder: &Path) -> Self {
        let path = |name: &str| folder.join(name);
        Self {
            poison: lines(&path("poison.jsonl")),
            dead: lines(&path("dead.jsonl")),
            lines: lines(&path("aftermath.jsonl")),
        }
    }

    /// Distinct by body, since one may be repeated on either side. What was sent and never confirmed may have arrived.
    pub fn dead_letters(&self) -> Invariant {
        let bodies = |confirmed: bool| {
            let lines = self.poison.iter().filter(move |line| !confirmed || line.what == Sending::Confirmed);
            lines.map(|line| line.poison.as_str()).collect::<BTreeSet<_>>()
        };
        let dead: BTreeSet<&str> = self.dead.iter().map(|letter| letter.body.as_str()).collect();
        let (sent, confirmed) = (bodies(false), bodies(true));
        let lost = confirmed.difference(&dead).map(|body| format!("no dead letter has the poison {body}"));
        let healthy = dead.difference(&sent).map(|body| format!("the dead letter {body} was no poison"));
        Invariant::none(names::DEAD_LETTERS, lost.chain(healthy).collect())
    }

    pub fn held(&self) -> Invariant {
        let is_held = |(name, value): &(&String, &Value)| name.starts_with("calltaskd_") && value.as_u64() != Some(0);
        let held =
            self.lines.iter().flat_map(|line| line.as_object().into_iter().flatten().map(move |pair| (line, pair)));
        let found = held.filter(|(_, pair)| is_held(pair));
        Invariant::none(
            names::HELD,
            found.map(|(line, (name, value))| format!("{name} {value} of {}", line["process"])).collect(),
        )
    }

    pub fn queues(&self) -> Invariant {
        let filled = self.lines.iter().filter(|line| line["messages"].as_u64().is_some_and(|messages| messages > 0));
        Invariant::none(names::QUEUES, filled.map(Value::to_string).collect())
    }

    /// The largest of the daemons at the end against the largest while they warmed up; nothing where nobody looked.
    pub fn growth(&self) -> Invariant {
        let (before, after) = (self.largest("WARM_UP"), self.largest("END"));
        let found = after.iter().filter_map(|(name, after)| {
            let before = *before.get(name)?;
            (after * 10 > before * 12).then(|| format!("{name}: {before} after the warm-up, {after} at the end"))
        });
        Invariant::none(names::GROWTH, found.collect())
    }

    fn largest(&self, when: &str) -> BTreeMap<&'static str, u64> {
        let lines = || self.lines.iter().filter(|line| line["size"] == when);
        let most = |name: &'static str| Some((name, lines().filter_map(|line| line[name].as_u64()).max()?));
        SIZES.into_iter().filter_map(most).collect()
    }

    pub fn poison_sent(&self) -> usize {
        self.poison.iter().map(|line| line.poison.as_str()).collect::<BTreeSet<_>>().len()
    }
}
