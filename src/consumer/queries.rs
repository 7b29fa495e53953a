//! Questions with a `reply_to`: any daemon answers them, from what is committed.

use std::sync::Arc;

use serde_json::Value;

use super::{Context, Session, SessionError, ack, exports};
use crate::bus::Envelope;
use crate::bus::wire::v1 as wire;
use crate::bus::wire::v1::queries::{Query, page_mark, read};
use crate::bus::wire::v1::replies::{errors, not_found, page, rejected, task, task_item};
use crate::domain::problem::{Code, Problem};
use crate::domain::task::TaskFilter;
use crate::store::StoreError;

/// A page ends before it is a message of more than 1 MiB.
const PAGE_BYTES: usize = 768 * 1024;

/// Answers queries until the drain or an error.
pub(super) async fn session(context: Arc<Context>) -> Result<(), SessionError> {
    let mut session = Session::open(&context, &context.bus.topology.queries).await?;
    while let Some(mut delivery) = session.next(&context.drain).await? {
        let envelope = Envelope::of(&mut delivery);
        let answer = match answer(&context, &envelope).await {
            Ok(answer) => answer,
            Err(error) if delivery.redelivered => {
                // It had its second chance; the next question may fare better.
                tracing::error!(%error, query = %envelope.routing_key, "ALARM: a query failed twice and is dropped");
                ack(&delivery).await?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let replied = session.reply(&envelope, &answer, context.bus.publish_timeout).await;
        ack(&delivery).await?;
        replied?;
    }
    session.close().await;
    Ok(())
}

async fn answer(context: &Context, envelope: &Envelope) -> Result<String, StoreError> {
    let body = match serde_json::from_slice::<Value>(&envelope.body) {
        Ok(body) => body,
        Err(error) => {
            let problem = Problem::new(Code::Unreadable, format!("the body is no JSON object in UTF-8: {error}"));
            return Ok(rejected(&errors(problem.into())));
        }
    };
    match read(&envelope.routing_key, &body) {
        Err(problems) => Ok(rejected(&errors(problems))),
        Ok(Query::TaskGet(wanted)) => {
            let found = context.store.task_with_progress(&wanted).await?;
            Ok(found.map_or_else(not_found, |(found, counts, progress)| task(&found, counts, &progress)))
        }
        Ok(Query::TaskList(filter)) => task_list(context, filter).await,
        Ok(Query::ExportGet(id)) => {
            let found = context.store.export(id).await?;
            Ok(found.map_or_else(not_found, |found| wire::exports::answer(&found)))
        }
        Ok(Query::ExportList(filter)) => exports::list(context, filter).await,
    }
}

async fn task_list(context: &Context, filter: TaskFilter) -> Result<String, StoreError> {
    let wanted = usize::try_from(filter.most).unwrap_or(0);
    // One more than wanted tells whether there is a next page.
    let found = context.store.list_tasks(&TaskFilter { most: filter.most + 1, ..filter }).await?;
    Ok(paged(&found, wanted, (task_item, |task| page_mark(task.no))))
}

/// As many of what was found as are wanted and go into a message, and the mark of the last one if there are more.
pub(super) fn paged<T>(
    found: &[T],
    wanted: usize,
    (item, mark): (impl Fn(&T) -> Value, impl FnOnce(&T) -> String),
) -> String {
    let (mut items, mut bytes, mut last) = (Vec::new(), 0, None);
    for one in found.iter().take(wanted) {
        let item = item(one);
        bytes += item.to_string().len();
        if bytes > PAGE_BYTES {
            break;
        }
        items.push(item);
        last = Some(one);
    }
    let next = last.filter(|_| items.len() < found.len()).map(mark);
    page(&items, next)
}
