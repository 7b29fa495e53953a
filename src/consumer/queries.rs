//! Questions with a `reply_to`: any daemon answers them, from what is committed.

use std::sync::Arc;

use serde_json::Value;

use super::letters::object;
use super::replies::Replies;
use super::{Context, Session, SessionError, ack, exports};
use crate::bus::Envelope;
use crate::bus::wire::v1 as wire;
use crate::bus::wire::v1::queries::{IdPage, Query, callee_mark, id_mark, page_mark, read};
use crate::bus::wire::v1::records;
use crate::bus::wire::v1::replies::{errors, found, not_found, page, rejected, task, task_item};
use crate::domain::fields::excerpt;
use crate::domain::problem::{Code, Problem};
use crate::domain::record::CalleeFilter;
use crate::domain::service_instance::ServiceInstance;
use crate::domain::task::{TaskFilter, TaskRef};
use crate::store::StoreError;

/// A page ends before it is a message of more than 1 MiB.
const PAGE_BYTES: usize = 768 * 1024;

/// Answers queries until the drain or an error.
pub(super) async fn session(context: Arc<Context>, replies: Arc<Replies>) -> Result<(), SessionError> {
    let mut session = Session::open(&context, &context.bus.topology.queries, replies).await?;
    while let Some(mut delivery) = session.next(&context.drain).await? {
        let envelope = Envelope::of(&mut delivery);
        let answer = match answer(&context, &envelope).await {
            Ok(answer) => answer,
            Err(error) if delivery.redelivered => {
                // It had its second chance; the next question may fare better.
                let query = excerpt(&envelope.routing_key, 64);
                tracing::error!(%error, query, "ALARM: a query failed twice and is not answered");
                unanswered()
            }
            Err(error) => return Err(error.into()),
        };
        session.replies.send(&envelope, answer).await;
        ack(&delivery).await?;
    }
    session.close().await;
    Ok(())
}

async fn answer(context: &Context, envelope: &Envelope) -> Result<String, StoreError> {
    let body = match object(envelope) {
        Ok(body) => body,
        Err(reason) => return Ok(rejected(&errors(Problem::new(Code::Unreadable, reason).into()))),
    };
    match read(&envelope.routing_key, &body, &context.rules) {
        Err(problems) => Ok(rejected(&errors(problems))),
        Ok(Query::TaskGet(wanted)) => {
            let found = context.store.task_with_progress(&wanted).await?;
            Ok(found.map_or_else(not_found, |(found, counts, progress)| task(&found, counts, &progress)))
        }
        Ok(Query::TaskList(filter)) => task_list(context, filter).await,
        Ok(Query::AgentGet(id)) => {
            let agent = context.store.find_agent(&id).await?;
            Ok(agent.map_or_else(not_found, |agent| found("agent", records::agent(&agent))))
        }
        Ok(Query::AgentList(wanted)) => {
            let agents = context.store.list_agents(&wanted.after, wanted.most + 1).await?;
            Ok(paged(&agents, wanted.most, (records::agent, |agent| id_mark(&agent.id.0))))
        }
        Ok(Query::ServiceInstanceGet(id)) => {
            let instance = context.store.find_service_instance(&id).await?;
            let told = |instance| found("serviceInstance", records::service_instance(&instance));
            Ok(instance.map_or_else(not_found, told))
        }
        Ok(Query::ServiceInstanceList(wanted)) => service_instances(context, &wanted).await,
        Ok(Query::CalleesList(task, filter)) => callees(context, &task, filter).await,
        Ok(Query::CallGet(wanted)) => {
            let call = context.store.call_record(&wanted).await?;
            Ok(call.map_or_else(not_found, |call| records::call(&call)))
        }
        Ok(Query::ExportGet(id)) => {
            let found = context.store.export(id).await?;
            Ok(found.map_or_else(not_found, |found| wire::exports::answer(&found)))
        }
        Ok(Query::ExportList(filter)) => exports::list(context, filter).await,
    }
}

/// Whoever asks does not wait in vain; what failed is the operator's to know.
fn unanswered() -> String {
    let message = "this could not be answered; ask again, and if it stays so, the daemon's log says why";
    rejected(&errors(Problem::new(Code::Unreadable, message).into()))
}

async fn service_instances(context: &Context, wanted: &IdPage) -> Result<String, StoreError> {
    let instances = context.store.list_service_instances(&wanted.after, wanted.most + 1).await?;
    let mark = |instance: &ServiceInstance| id_mark(&instance.id.0);
    Ok(paged(&instances, wanted.most, (records::service_instance, mark)))
}

async fn callees(context: &Context, task: &TaskRef, filter: CalleeFilter) -> Result<String, StoreError> {
    let most = filter.most;
    let filter = CalleeFilter { most: most + 1, ..filter };
    let Some((task, found)) = context.store.list_callees(task, &filter).await? else {
        return Ok(not_found());
    };
    Ok(paged(&found, most, (|record| records::callee(task, record), |record| callee_mark(record.callee.key.seq))))
}

async fn task_list(context: &Context, filter: TaskFilter) -> Result<String, StoreError> {
    let most = filter.most;
    let found = context.store.list_tasks(&TaskFilter { most: most + 1, ..filter }).await?;
    Ok(paged(&found, most, (task_item, |task| page_mark(task.no))))
}

/// The first `most` of what was found, as many as go into a message, and the mark of the last one if there are more: one
/// more than wanted tells whether there are.
pub(super) fn paged<T>(
    found: &[T],
    most: i64,
    (item, mark): (impl Fn(&T) -> Value, impl FnOnce(&T) -> String),
) -> String {
    let (mut items, mut bytes, mut last) = (Vec::new(), 0, None);
    for one in found.iter().take(usize::try_from(most).unwrap_or(0)) {
        let item = item(one);
        bytes += item.to_string().len();
        if bytes > PAGE_BYTES && last.is_some() {
            break;
        }
        items.push(item);
        last = Some(one);
    }
    let next = last.filter(|_| items.len() < found.len()).map(mark);
    page(&items, next)
}
