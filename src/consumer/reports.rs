//! `call.report`: what the agent platform says about a call, before its end, after it, and more than once.

use serde_json::json;

use super::Context;
use super::apply::Handled;
use crate::bus::wire::v1::events::About;
use crate::bus::wire::v1::replies::accepted;
use crate::bus::wire::v1::report::{CallReport, CallReportedData};
use crate::domain::problem::{Code, Problem};
use crate::domain::recording::Source;
use crate::store::Transaction;
use crate::store::reports::Additions;

/// Merges a report into the record of its call, and tells what it added.
pub(super) async fn report(context: &Context, transaction: &mut Transaction, report: &CallReport) -> Handled {
    let Some(place) = transaction.call_place(report.call).await? else {
        return Ok(Err(Problem::of("callId", Code::NotFound, "there is no such call").into()));
    };
    let said = &report.said;
    let additions = Additions {
        major_intent: said.major_intent.as_deref(),
        output_tags: said.output_tags.as_ref(),
        variables: said.variables.as_ref(),
        conversation: said.conversation.as_ref(),
        recording: said.recording.as_ref(),
    };
    let callee = transaction.merge_report(place, additions).await?;
    if let Some(source) = said.recording.as_ref().and_then(Source::of) {
        transaction.want_recording((place, report.call), &source, context.fetch_recordings).await?;
    }
    let about = About::callee((place.task, &callee), context.clock.now());
    let data = CallReportedData {
        task_id: place.task.0,
        callee_id: callee.id(place.task).0,
        out_id: callee.out_id.as_deref(),
        call_id: report.call.0,
        said,
    };
    transaction.write_events(vec![context.events.call_reported(&data, about)]).await?;
    Ok(Ok(accepted(json!({"callId": report.call}))))
}
