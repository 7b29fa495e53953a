//! Exports: their records, who writes them, and the rows that go into them.

mod rows;
mod runs;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::schema::exports;
use super::{Store, StoreError, Transaction};
use crate::domain::export::{Export, ExportFile, ExportFilter, ExportFormat, ExportState, ExportStatus, NewExport};
use crate::domain::ids::{ExportId, TaskId};
use crate::domain::task::{Task, TaskRef};

pub use runs::ExportRun;

#[derive(Queryable, Selectable)]
#[diesel(table_name = exports)]
struct Row {
    export_no: i64,
    export_id: Uuid,
    task_id: Uuid,
    name: String,
    format: String,
    status: String,
    state: String,
    callees: Option<i64>,
    bytes: Option<i64>,
    sha256: Option<String>,
    location: Option<String>,
    reason: Option<String>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Unreadable(format!("{text} of an export")))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl Row {
    fn file(&self) -> Option<ExportFile> {
        Some(ExportFile {
            callees: unsigned(self.callees?),
            bytes: unsigned(self.bytes?),
            sha256: self.sha256.clone()?,
            location: self.location.clone()?,
        })
    }
}

impl TryFrom<Row> for Export {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            no: row.export_no,
            id: ExportId(row.export_id),
            task: TaskId(row.task_id),
            format: parsed::<ExportFormat>(&row.format)?,
            status: parsed::<ExportStatus>(&row.status)?,
            state: parsed::<ExportState>(&row.state)?,
            file: row.file(),
            name: row.name,
            reason: row.reason,
            created_at: row.created_at,
            finished_at: row.finished_at,
            expires_at: row.expires_at,
        })
    }
}

impl Transaction {
    /// Whether an export ever had this id.
    pub async fn export_id_taken(&mut self, id: ExportId) -> Result<bool, StoreError> {
        let query = diesel::select(diesel::dsl::exists(exports::table.filter(exports::export_id.eq(id.0))));
        Ok(query.get_result(&mut self.connection).await?)
    }

    /// Writes a new export; some daemon begins it within a second or so.
    pub async fn create_export(
        &mut self,
        (id, task): (ExportId, &Task),
        new: &NewExport,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        diesel::insert_into(exports::table)
            .values((
                exports::export_id.eq(id.0),
                exports::task_no.eq(task.no.0),
                exports::task_id.eq(task.settings.id.0),
                exports::name.eq(&new.name),
                exports::format.eq(new.format.as_str()),
                exports::status.eq(new.status.as_str()),
                exports::state.eq(ExportState::Initializing.as_str()),
                exports::created_at.eq(now),
            ))
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }
}

impl Store {
    /// The export, if there is one.
    pub async fn export(&self, id: ExportId) -> Result<Option<Export>, StoreError> {
        let query = exports::table.filter(exports::export_id.eq(id.0)).select(Row::as_select());
        query.first(&mut self.connection().await?).await.optional()?.map(Export::try_from).transpose()
    }

    /// Exports from the newest to the oldest.
    pub async fn list_exports(&self, filter: &ExportFilter) -> Result<Vec<Export>, StoreError> {
        let mut query =
            exports::table.order(exports::export_no.desc()).limit(filter.most).select(Row::as_select()).into_boxed();
        match &filter.task {
            Some(TaskRef::Id(id)) => query = query.filter(exports::task_id.eq(id.0)),
            Some(TaskRef::Name(name)) => {
                let named = super::schema::tasks::table
                    .filter(super::schema::tasks::name.eq(name.clone()))
                    .filter(super::schema::tasks::deleted_at.is_null())
                    .select(super::schema::tasks::task_id);
                query = query.filter(exports::task_id.eq_any(named));
            }
            None => {}
        }
        if let Some(before) = filter.before {
            query = query.filter(exports::export_no.lt(before));
        }
        let rows = query.load(&mut self.connection().await?).await?;
        rows.into_iter().map(Export::try_from).collect()
    }

    /// Exports whose time is over, the oldest first.
    pub async fn expired_exports(&self, now: DateTime<Utc>, most: i64) -> Result<Vec<Export>, StoreError> {
        let query = exports::table
            .filter(exports::expires_at.lt(now))
            .order(exports::expires_at)
            .limit(most)
            .select(Row::as_select());
        query.load(&mut self.connection().await?).await?.into_iter().map(Export::try_from).collect()
    }

    /// Forgets an export. Its file must be gone.
    pub async fn forget_export(&self, id: ExportId) -> Result<(), StoreError> {
        let query = diesel::delete(exports::table.filter(exports::export_id.eq(id.0)));
        query.execute(&mut self.connection().await?).await?;
        Ok(())
    }
}
