//! Exports on the wire: the command, the queries, their replies and their events.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::commands::{complete, optional_task_ref, task_ref};
use super::events::{About, EventWriter};
use super::reading::uuid;
use super::{instant, optional_instant};
use crate::domain::event::Event;
use crate::domain::export::{Export, ExportFile, ExportFilter, ExportFormat, ExportStatus, NewExport};
use crate::domain::fields::{Fields, Parsed, count, line, text};
use crate::domain::ids::{EventId, ExportId, TaskId};
use crate::domain::problem::{Code, Problem};

/// Reads `export.create`.
pub fn read_create(body: &Value) -> Parsed<NewExport> {
    let mut fields = Fields::of(body)?;
    let id = fields.optional("exportId", uuid).map(ExportId);
    let task = task_ref(&mut fields);
    let name = fields.required("name", line(1..=128));
    let format = fields.required("format", |value| named::<ExportFormat>(value, "must be CSV or XLSX"));
    let status = fields.optional("status", |value| named(value, "must be COMPLETED, FAILED or ALL"));
    let status = status.unwrap_or(ExportStatus::Completed);
    let export = (|| Some(NewExport { id, task: task?, name: name?, format: format?, status }))();
    complete(fields.finish(), export)
}

fn named<T: std::str::FromStr>(value: &Value, invalid: &str) -> Parsed<T> {
    text(1..=16)(value)?.parse().map_err(|_| Problem::new(Code::InvalidValue, invalid).into())
}

/// Reads `export.get`.
pub fn read_get(body: &Value) -> Parsed<ExportId> {
    let mut fields = Fields::of(body)?;
    let id = fields.required("exportId", uuid).map(ExportId);
    complete(fields.finish(), id)
}

/// Reads `export.list`: of one task, or of all.
pub fn read_list(body: &Value) -> Parsed<ExportFilter> {
    let mut fields = Fields::of(body)?;
    let task = optional_task_ref(&mut fields);
    let limit = fields.optional("limit", count(1..=1_000)).unwrap_or(100);
    let before = fields.optional("after", |value| {
        let invalid = || Problem::new(Code::InvalidValue, "must be the next of an earlier answer");
        let place = text(1..=32)(value)?.strip_prefix('e').and_then(|no| no.parse().ok());
        Ok(place.ok_or_else(invalid)?)
    });
    fields.finish().unless_any(ExportFilter { task, before, most: i64::from(limit) })
}

/// Where the next page begins, for `after`.
pub fn page_mark(export: &Export) -> String {
    format!("e{}", export.no)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileData<'e> {
    rows: u64,
    bytes: u64,
    sha256: &'e str,
    location: &'e str,
}

impl<'e> From<&'e ExportFile> for FileData<'e> {
    fn from(file: &'e ExportFile) -> Self {
        Self { rows: file.callees, bytes: file.bytes, sha256: &file.sha256, location: &file.location }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportData<'e> {
    export_id: Uuid,
    task_id: Uuid,
    name: &'e str,
    format: ExportFormat,
    status: ExportStatus,
    state: &'static str,
    #[serde(flatten)]
    file: Option<FileData<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'e str>,
    #[serde(serialize_with = "instant")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "optional_instant", skip_serializing_if = "Option::is_none")]
    finished_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "optional_instant", skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
}

/// One item of `export.list`.
pub fn item(export: &Export) -> Value {
    json!(ExportData {
        export_id: export.id.0,
        task_id: export.task.0,
        name: &export.name,
        format: export.format,
        status: export.status,
        state: export.state.as_str(),
        file: export.file.as_ref().map(FileData::from),
        reason: export.reason.as_deref(),
        created_at: export.created_at,
        finished_at: export.finished_at,
        expires_at: export.expires_at,
    })
}

/// The answer to `export.get`.
pub fn answer(export: &Export) -> String {
    json!({"status": "OK", "export": item(export)}).to_string()
}

/// An export that is final, with its file or the reason why there is none.
#[derive(Debug, Clone, Copy)]
pub struct ExportEvent<'e> {
    pub id: ExportId,
    pub task: TaskId,
    pub name: &'e str,
    pub format: ExportFormat,
    pub outcome: Result<&'e ExportFile, &'e str>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndedData<'e> {
    export_id: Uuid,
    task_id: Uuid,
    name: &'e str,
    format: ExportFormat,
    #[serde(flatten)]
    file: Option<FileData<'e>>,
    #[serde(serialize_with = "optional_instant", skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'e str>,
}

impl EventWriter {
    /// `export.ready` or `export.failed`: once in the life of an export, so its id can be computed.
    pub fn export_ended(&self, export: ExportEvent, about: About) -> Event {
        let event_type = if export.outcome.is_ok() { "export.ready" } else { "export.failed" };
        let data = EndedData {
            export_id: export.id.0,
            task_id: export.task.0,
            name: export.name,
            format: export.format,
            file: export.outcome.ok().map(FileData::from),
            expires_at: export.outcome.is_ok().then_some(export.expires_at),
            reason: export.outcome.err(),
        };
        self.write(event_type, About { id: EventId::once(export.id.0, event_type), ..about }, data)
    }
}
