//! The settings of a simulated trunk: how its calls go, by chance or by order.
//!
//! Must not simulate anything: that is the dialer's. A number's ending can be given its results in advance, so
//! that a test knows what it gets.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::reader::Section;
use crate::domain::call::CallResult;
use crate::domain::fields::{self, Parsed, excerpt};
use crate::domain::problem::{Code, Problem, Problems};
use crate::domain::service_instance::TrunkCapacity;

/// A trunk whose calls are made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedTrunk {
    pub capacity: TrunkCapacity,
    /// How long a call rings.
    pub ring: RangeInclusive<Duration>,
    /// How long an answered call lasts.
    pub talk: RangeInclusive<Duration>,
    /// The results with their weights, in the order of the contract; at least one weight is above 0.
    pub results: Vec<(CallResult, u32)>,
    pub seed: u64,
    /// What becomes of numbers with these last digits: their attempts in order, the last repeats. Never empty lists.
    pub force: BTreeMap<String, Vec<Forced>>,
    /// The file that each call is written to.
    pub record: Option<PathBuf>,
}

/// What becomes of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forced {
    Result(CallResult),
    /// The trunk refuses to dial the number at all.
    NotDiallable,
}

const NOT_DIALLABLE: &str = "NOT_DIALLABLE";

impl Default for SimulatedTrunk {
    fn default() -> Self {
        Self {
            capacity: TrunkCapacity::default(),
            ring: Duration::from_millis(100)..=Duration::from_millis(800),
            talk: Duration::from_millis(200)..=Duration::from_millis(2_000),
            results: vec![
                (CallResult::Answered, 70),
                (CallResult::UserBusy, 10),
                (CallResult::InvalidNumber, 5),
                (CallResult::NoAnswer, 15),
            ],
            seed: 0,
            force: BTreeMap::new(),
            record: None,
        }
    }
}

impl SimulatedTrunk {
    pub(super) fn read(section: &mut Section<'_>, capacity: TrunkCapacity) -> Self {
        let default = Self::default();
        Self {
            capacity,
            ring: section.optional("ring_millis", span).unwrap_or(default.ring),
            talk: section.optional("talk_millis", span).unwrap_or(default.talk),
            results: section.optional("results", weights).unwrap_or(default.results),
            seed: section.optional("seed", seed).unwrap_or(default.seed),
            force: section.optional("force", force).unwrap_or(default.force),
            record: section.optional("record", fields::line(1..=4_096)).map(PathBuf::from),
        }
    }
}

fn seed(value: &Value) -> Parsed<u64> {
    fields::integer(0..=i64::MAX)(value).map(i64::unsigned_abs)
}

/// The least and the most milliseconds.
fn span(value: &Value) -> Parsed<RangeInclusive<Duration>> {
    let millis = fields::list(2..=2, fields::count(0..=86_400_000))(value)?;
    let length = |index: usize| Duration::from_millis(millis.get(index).copied().unwrap_or(0).into());
    let (least, most) = (length(0), length(1));
    if least > most {
        let message = "its first number is above its second; write the smaller one first";
        return Err(Problem::new(Code::InvalidValue, message).into());
    }
    Ok(least..=most)
}

fn weights(value: &Value) -> Parsed<Vec<(CallResult, u32)>> {
    let mut problems = Problems::none();
    let mut weights = BTreeMap::new();
    for (name, weight) in table(value)? {
        let weight = fields::count(0..=1_000_000)(weight).map_err(|found| {
            problems.append(found.under(&excerpt(name, 64)));
        });
        match result(name) {
            Err(problem) => problems.add(Problem { field: excerpt(name, 64), ..problem }),
            Ok(result) => {
                // A weight that is wrong is noted already, and must not count as a sum of 0 too.
                if weights.insert(result, weight.unwrap_or(1)).is_some() {
                    let message = "is given twice, because case does not count; remove one";
                    problems.add(Problem::of(excerpt(name, 64), Code::InvalidValue, message));
                }
            }
        }
    }
    if problems.is_empty() && weights.values().all(|weight| *weight == 0) {
        let message = "no result has a weight above 0; give one of them a weight";
        problems.add(Problem::new(Code::InvalidValue, message));
    }
    problems.unless_any(weights.into_iter().collect())
}

fn force(value: &Value) -> Parsed<BTreeMap<String, Vec<Forced>>> {
    let mut problems = Problems::none();
    let mut force = BTreeMap::new();
    for (ending, results) in table(value)? {
        if !(1..=15).contains(&ending.len()) || !ending.bytes().all(|byte| byte.is_ascii_digit()) {
            let message = "must be the last digits of a number, 1 to 15 of them";
            problems.add(Problem::of(excerpt(ending, 64), Code::InvalidValue, message));
        }
        match forced(results) {
            Ok(results) => _ = force.insert(ending.clone(), results),
            Err(found) => problems.append(found.under(&excerpt(ending, 64))),
        }
    }
    problems.unless_any(force)
}

fn forced(value: &Value) -> Parsed<Vec<Forced>> {
    let text = fields::line(1..=4_096)(value)?;
    let mut problems = Problems::none();
    let mut results = Vec::new();
    for name in text.split(',').map(str::trim) {
        if name.eq_ignore_ascii_case(NOT_DIALLABLE) {
            results.push(Forced::NotDiallable);
            continue;
        }
        match result(name) {
            Ok(result) => results.push(Forced::Result(result)),
            Err(problem) => problems.add(problem),
        }
    }
    problems.unless_any(results)
}

/// A result by its name, in any case. How a call ended that nobody saw end cannot be simulated.
fn result(name: &str) -> Result<CallResult, Problem> {
    let simulated = |result: &CallResult| *result != CallResult::UnknownOutcome;
    let parsed = name.to_ascii_uppercase().parse::<CallResult>().ok().filter(simulated);
    parsed.ok_or_else(|| {
        let known = CallResult::ALL.iter().copied().filter(simulated).map(CallResult::as_str);
        let (name, known) = (excerpt(name, 64), known.collect::<Vec<_>>().join(", "));
        let message = format!("\"{name}\" is no result of a call here; the known ones are {known}");
        Problem::new(Code::InvalidValue, message)
    })
}

fn table(value: &Value) -> Parsed<&Map<String, Value>> {
    value.as_object().ok_or_else(|| fields::wrong_type("a table", value))
}
