//! An export: which callees of a task go into a file, what stands in each row, and the states on the way.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::call::{talk_seconds, wire_enum};
use super::ids::{CallId, CalleeId, ExportId, TaskId};
use super::task::TaskRef;

wire_enum!(
    /// What kind of file it is.
    ExportFormat { Csv = "CSV", Xlsx = "XLSX" }
);

wire_enum!(
    /// Which callees are exported, by their state.
    ExportStatus { Completed = "COMPLETED", Failed = "FAILED", All = "ALL" }
);

wire_enum!(
    /// How far an export is.
    ExportState {
        /// Nobody has begun it.
        Initializing = "INITIALIZING",
        /// A daemon writes it, or did so when it died.
        Running = "RUNNING",
        Succeeded = "SUCCEEDED",
        Failed = "FAILED",
    }
);

impl ExportFormat {
    /// What the file's name ends with.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
        }
    }
}

/// Everything that `export.create` decides.
#[derive(Debug, Clone)]
pub struct NewExport {
    pub id: Option<ExportId>,
    pub task: TaskRef,
    pub name: String,
    pub format: ExportFormat,
    pub status: ExportStatus,
}

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportFile {
    /// Without the line of column names.
    pub callees: u64,
    pub bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
    pub location: String,
}

/// An export as it is stored.
#[derive(Debug, Clone)]
pub struct Export {
    /// Orders the exports by age; never shown outside but as a page mark.
    pub no: i64,
    pub id: ExportId,
    pub task: TaskId,
    pub name: String,
    pub format: ExportFormat,
    pub status: ExportStatus,
    pub state: ExportState,
    pub file: Option<ExportFile>,
    /// Why it failed.
    pub reason: Option<String>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Which exports to list.
#[derive(Debug, Clone)]
pub struct ExportFilter {
    pub task: Option<TaskRef>,
    /// Only exports older than this one.
    pub before: Option<i64>,
    pub most: i64,
}

/// The last attempt to reach a callee, as far as an export tells of it.
#[derive(Debug, Clone)]
pub struct LastAttempt {
    pub attempt: u32,
    pub caller_number: String,
    pub started_at: DateTime<Utc>,
    pub answered_at: Option<DateTime<Utc>>,
    pub ended_at: DateTime<Utc>,
    pub hangup_by: Option<String>,
}

/// What the agent platform reported of the last call.
#[derive(Debug, Clone, Default)]
pub struct Reported {
    pub major_intent: Option<String>,
    pub recording: Option<String>,
    pub tags: BTreeMap<String, String>,
}

/// One callee with what became of it.
#[derive(Debug, Clone)]
pub struct ExportRow {
    pub seq: i64,
    pub out_id: Option<String>,
    pub batch_id: Option<String>,
    pub called_number: String,
    pub state: String,
    pub result: Option<String>,
    pub failed_reason: Option<String>,
    pub attempts: u32,
    pub last: Option<LastAttempt>,
    pub reported: Reported,
    pub variables: BTreeMap<String, String>,
}

/// One cell of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Empty,
    Text(String),
    Number(u32),
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Empty, Self::Text)
    }
}

/// The columns that every export has, before those of the task's own variables and tags.
const COLUMNS: [&str; 17] = [
    "calleeId",
    "outId",
    "batchId",
    "calledNumber",
    "state",
    "result",
    "failedReason",
    "attempts",
    "callId",
    "callerNumber",
    "startedAt",
    "answeredAt",
    "endedAt",
    "talkSeconds",
    "hangupBy",
    "majorIntent",
    "recording",
];

/// The columns of one file.
#[derive(Debug, Clone)]
pub struct Columns {
    pub task: TaskId,
    pub variables: Vec<String>,
    pub tags: Vec<String>,
}

impl Columns {
    /// The names, which are the first line.
    pub fn names(&self) -> Vec<String> {
        let variables = self.variables.iter().map(|key| format!("variable.{key}"));
        let tags = self.tags.iter().map(|name| format!("tag.{name}"));
        COLUMNS.iter().map(ToString::to_string).chain(variables).chain(tags).collect()
    }

    /// A callee's cells, in the order of the names. `instant` writes a moment.
    pub fn cells(&self, mut row: ExportRow, instant: impl Fn(&DateTime<Utc>) -> String) -> Vec<Cell> {
        let at = |at: Option<DateTime<Utc>>| Cell::from(at.map(|at| instant(&at)));
        let last = row.last.as_ref();
        let call = last.map(|last| CallId::of(self.task, row.seq, last.attempt).to_string());
        let talk = last.and_then(|last| Some(talk_seconds(last.answered_at?, last.ended_at)));
        let mut cells = vec![
            Cell::Text(CalleeId::of(self.task, row.seq).to_string()),
            row.out_id.into(),
            row.batch_id.into(),
            Cell::Text(row.called_number),
            Cell::Text(row.state),
            row.result.into(),
            row.failed_reason.into(),
            Cell::Number(row.attempts),
            call.into(),
            last.map(|last| last.caller_number.clone()).into(),
            at(last.map(|last| last.started_at)),
            at(last.and_then(|last| last.answered_at)),
            at(last.map(|last| last.ended_at)),
            talk.map_or(Cell::Empty, Cell::Number),
            last.and_then(|last| last.hangup_by.clone()).into(),
            row.reported.major_intent.into(),
            row.reported.recording.into(),
        ];
        cells.extend(self.variables.iter().map(|key| Cell::from(row.variables.remove(key))));
        cells.extend(self.tags.iter().map(|name| Cell::from(row.reported.tags.remove(name))));
        cells
    }
}

/// A text that no spreadsheet takes for a formula when it opens a CSV file. A phone number stays as it is: a plus sign
/// and digits alone compute nothing.
pub fn harmless(text: &str) -> std::borrow::Cow<'_, str> {
    let begins_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let is_number = text
        .strip_prefix('+')
        .is_some_and(|rest| (1..=15).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_digit()));
    if begins_formula && !is_number { format!("'{text}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_would_be_a_formula_becomes_text_and_a_phone_number_stays() {
        for text in ["=1+1", "+1+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "+49 30", "+", "+4930x"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        for text in ["+493023125000", "Ada", "", "1=1", "'=1", " =1"] {
            assert_eq!(harmless(text), text);
        }
    }

    #[test]
    fn a_row_has_a_cell_for_each_column() {
        let (variables, tags) = (vec!["a".to_owned(), "b".to_owned()], vec!["outcome".to_owned()]);
        let columns = Columns { task: TaskId(Uuid::from_u128(1)), variables, tags };
        let row = ExportRow {
            seq: 1,
            out_id: None,
            batch_id: None,
            called_number: "+493023125000".to_owned(),
            state: "PENDING".to_owned(),
            result: None,
            failed_reason: None,
            attempts: 0,
            last: None,
            reported: Reported::default(),
            variables: BTreeMap::from([("b".to_owned(), "B".to_owned()), ("unknown".to_owned(), String::new())]),
        };
        let (names, cells) = (columns.names(), columns.cells(row, ToString::to_string));
        assert_eq!(names.len(), cells.len());
        assert_eq!((names[18].as_str(), &cells[18]), ("variable.b", &Cell::Text("B".to_owned())));
        assert_eq!((names[19].as_str(), &cells[17]), ("tag.outcome", &Cell::Empty));
    }
}
