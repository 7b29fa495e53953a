//! `export.create`, `export.get` and `export.list`.

use serde_json::json;

use super::Context;
use super::apply::{Handled, task_not_found};
use super::queries::paged;
use crate::bus::wire::v1::exports::{item, page_mark};
use crate::bus::wire::v1::replies::accepted;
use crate::domain::export::{ExportFilter, ExportState, NewExport};
use crate::domain::ids::ExportId;
use crate::domain::problem::{Code, Problem};
use crate::store::{StoreError, Transaction};

/// Orders an export; whoever has time for it writes it.
pub(super) async fn create(context: &Context, transaction: &mut Transaction, export: &NewExport) -> Handled {
    let Some(task) = transaction.task(&export.task).await? else { return Ok(Err(task_not_found())) };
    if let Some(id) = export.id
        && transaction.export_id_taken(id).await?
    {
        let problem = Problem::of("exportId", Code::InvalidValue, "was used before; mint a new one");
        return Ok(Err(problem.into()));
    }
    let id = export.id.unwrap_or_else(|| ExportId(uuid::Uuid::new_v4()));
    transaction.create_export((id, &task), export, context.clock.now()).await?;
    Ok(Ok(accepted(json!({"exportId": id, "state": ExportState::Initializing}))))
}

/// A page of exports.
pub(super) async fn list(context: &Context, filter: ExportFilter) -> Result<String, StoreError> {
    let most = filter.most;
    let found = context.store.list_exports(&ExportFilter { most: most + 1, ..filter }).await?;
    Ok(paged(&found, most, (item, page_mark)))
}
