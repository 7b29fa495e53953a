//! `callees.import` and its receipt. Each row is judged by itself: a bad one never spoils the good ones.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::commands::{complete, task_ref};
use super::reading::{ID_LENGTH, Rules, is_key, text_map};
use crate::domain::callee::NewCallee;
use crate::domain::fields::{Fields, Parsed, boolean, excerpt, line, wrong_type};
use crate::domain::phone_number::{PhoneNumber, Region};
use crate::domain::problem::{Code, Problem, Problems};
use crate::domain::task::TaskRef;

const MOST_ROWS: usize = 5_000;

/// An import as it was read.
#[derive(Debug)]
pub struct Import {
    pub task: TaskRef,
    pub batch_id: Option<String>,
    pub allow_duplicate_numbers: bool,
    /// In the order of the command; a row that is wrong is so already.
    pub rows: Vec<Result<NewCallee, RejectedRow>>,
}

/// Why a row was not taken.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedRow {
    pub index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    called_number: Option<String>,
    code: &'static str,
    message: String,
}

/// What became of an import.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    pub task_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
    pub accepted: usize,
    pub duplicates: usize,
    pub rejected: Vec<RejectedRow>,
}

impl RejectedRow {
    /// 5,000 of these must stay below 1 MiB, whatever was sent: the contract cuts number and message to
    /// characters, and wide ones are cut earlier.
    pub fn new(index: usize, called_number: Option<&str>, problem: &Problem) -> Self {
        let named = match problem.field.as_str() {
            "" | "calledNumber" => problem.message.clone(),
            field => format!("{field}: {}", problem.message),
        };
        let called_number = called_number.map(|number| cut(number, 32));
        Self { index, called_number, code: problem.code.as_str(), message: cut(&named, 60) }
    }
}

/// At most so many characters, and at most 64 bytes of them.
fn cut(text: &str, characters: usize) -> String {
    let mut cut = excerpt(text, characters);
    while cut.len() > 64 {
        cut.pop();
    }
    cut
}

/// Reads an import with all its rows.
pub fn read(body: &Value, rules: &Rules) -> Parsed<Import> {
    let mut fields = Fields::of(body)?;
    let task = task_ref(&mut fields);
    let batch_id = fields.optional("batchId", line(ID_LENGTH));
    let allow_duplicate_numbers = fields.optional("allowDuplicateNumbers", boolean).unwrap_or(false);
    let rows = fields.required("callees", |value| rows(value, rules));
    let import = task.zip(rows).map(|(task, rows)| Import { task, batch_id, allow_duplicate_numbers, rows });
    complete(fields.finish(), import)
}

/// A row alone, or its first problem.
pub fn read_row(value: &Value, default_region: Option<Region>) -> Result<NewCallee, Problem> {
    row(value, default_region).map_err(first)
}

fn first(problems: Problems) -> Problem {
    let first = problems.into_iter().next();
    first.unwrap_or_else(|| Problem::new(Code::InvalidValue, "cannot be read"))
}

fn rows(value: &Value, rules: &Rules) -> Parsed<Vec<Result<NewCallee, RejectedRow>>> {
    let rows = value.as_array().ok_or_else(|| wrong_type("a list", value))?;
    if !(1..=MOST_ROWS).contains(&rows.len()) {
        let message = format!("has {} rows; send 1 to {MOST_ROWS} at a time", rows.len());
        return Err(Problem::new(Code::OutOfRange, message).into());
    }
    let judged = rows.iter().enumerate().map(|(index, value)| {
        row(value, rules.default_region).map_err(|problems| {
            let number = value.get("calledNumber").and_then(Value::as_str);
            RejectedRow::new(index, number, &first(problems))
        })
    });
    Ok(judged.collect())
}

fn row(value: &Value, default_region: Option<Region>) -> Parsed<NewCallee> {
    let mut fields = Fields::of(value)?;
    let has_number = fields.has("calledNumber");
    let number = fields.optional("calledNumber", |value| called_number(value, default_region));
    if !has_number {
        fields.problem(Problem::of("calledNumber", Code::NumberMissing, "give calledNumber"));
    }
    let out_id = fields.optional("outId", line(1..=128));
    let variables = fields.optional("variables", text_map(50, is_key, 1_024)).unwrap_or_default();
    let callee = number.map(|called_number| NewCallee { called_number, out_id, variables });
    complete(fields.finish(), callee)
}

/// The number of a callee, in one of the ways that it may be written.
pub(super) fn called_number(value: &Value, default_region: Option<Region>) -> Parsed<PhoneNumber> {
    let text = value.as_str().ok_or_else(|| wrong_type("a string", value))?.trim();
    if text.is_empty() {
        return Err(Problem::new(Code::NumberMissing, "give calledNumber").into());
    }
    let invalid = |error: crate::domain::phone_number::NumberError| {
        Problems::from(Problem::new(Code::NumberInvalid, error.to_string()))
    };
    PhoneNumber::parse(text, default_region).map_err(invalid)
}
