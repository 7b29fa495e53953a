//! The trunks of the settings: their names and kinds. What a kind has of its own stands in its own file.
//!
//! Must not start with a trunk that it cannot serve: a kind that is not known is a problem, never replaced by
//! another.

use std::collections::BTreeMap;

use serde_json::Value;

use super::reader::{Reader, Section};
use super::simulated::SimulatedTrunk;
use super::sip_trunk::SipTrunk;
use crate::domain::fields::{self, Parsed, excerpt};
use crate::domain::ids::TrunkName;
use crate::domain::problem::{Code, Problem};
use crate::domain::service_instance::TrunkCapacity;

/// A way to place calls.
#[derive(Debug, Clone)]
pub enum Trunk {
    Simulated(SimulatedTrunk),
    Sip(SipTrunk),
}

impl Trunk {
    /// What the trunk carries in all.
    pub fn capacity(&self) -> TrunkCapacity {
        match self {
            Self::Simulated(trunk) => trunk.capacity,
            Self::Sip(trunk) => trunk.capacity,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Simulated,
    Sip,
}

/// The trunk that exists without any settings, and its kind.
const SIMULATED: &str = "simulated";

pub(super) fn read(reader: &mut Reader<'_>) -> BTreeMap<TrunkName, Trunk> {
    let mut trunks = BTreeMap::new();
    let mut spelled = BTreeMap::new();
    let table = reader.table("trunks").and_then(Value::as_object);
    for (name, value) in table.into_iter().flatten() {
        let path = format!("trunks.{}", excerpt(name, 64));
        let trunk = TrunkName::new(name);
        let wrong_name = problem_of_name(name).or_else(|| same(&trunk, &spelled));
        if let Some(problem) = wrong_name {
            reader.problem(Problem { field: path.clone(), ..problem });
        }
        if !value.is_object() {
            let message = "must be a table, written [trunks.NAME]";
            reader.problem(Problem::of(path, Code::WrongType, message));
            continue;
        }
        let mut section = reader.nested(path, value);
        if let Some(read) = read_one(&trunk, &mut section) {
            trunks.insert(trunk.clone(), read);
        }
        reader.take(section);
        spelled.insert(trunk, name);
    }
    let simulated = TrunkName::new(SIMULATED);
    trunks.entry(simulated).or_insert_with(|| Trunk::Simulated(SimulatedTrunk::default()));
    trunks
}

fn problem_of_name(name: &str) -> Option<Problem> {
    let problem = fields::line(1..=64)(&name.into()).err()?.into_iter().next()?;
    Some(Problem::new(problem.code, format!("the trunk's name {}", problem.message)))
}

fn same(trunk: &TrunkName, spelled: &BTreeMap<TrunkName, &String>) -> Option<Problem> {
    let other = spelled.get(trunk)?;
    let message = format!("differs only in case from trunks.{other}, and case does not count; rename one");
    Some(Problem::new(Code::InvalidValue, message))
}

fn read_one(name: &TrunkName, section: &mut Section<'_>) -> Option<Trunk> {
    // Taken as it stands first: a kind that is wrong must not be treated like one that is left out.
    let kind = match section.optional("kind", Ok) {
        None if name.0 == SIMULATED => Some(Kind::Simulated),
        None => {
            let message = "give the trunk's kind: simulated or sip";
            section.problem(Problem::of("kind", Code::Required, message));
            None
        }
        Some(value) => section.note("kind", kind(value)),
    };
    match kind {
        Some(Kind::Simulated) => {
            let capacity = capacity(section);
            Some(Trunk::Simulated(SimulatedTrunk::read(section, capacity)))
        }
        Some(Kind::Sip) => {
            let capacity = capacity(section);
            Some(Trunk::Sip(SipTrunk::read(section, capacity)))
        }
        None => {
            section.leave_the_rest();
            None
        }
    }
}

fn kind(value: &Value) -> Parsed<Kind> {
    match fields::line(1..=64)(value)?.as_str() {
        SIMULATED => Ok(Kind::Simulated),
        "sip" => Ok(Kind::Sip),
        _ => Err(Problem::new(Code::InvalidValue, "must be simulated or sip").into()),
    }
}

/// What a trunk of any kind carries in all.
fn capacity(section: &mut Section<'_>) -> TrunkCapacity {
    TrunkCapacity {
        max_channels: section.count("max_channels", 1..=1_000_000),
        max_cps: section.count("max_cps", 1..=1_000_000),
    }
}
