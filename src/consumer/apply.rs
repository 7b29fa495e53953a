//! One command in a transaction: remembered, executed, told of.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::commands::Incoming;
use super::{Context, agents, cancels, exports, imports, reports, service_instances, tasks, updates};
use crate::bus::Envelope;
use crate::bus::wire::v1::commands::{self, Command};
use crate::bus::wire::v1::events::{About, RejectedCommand};
use crate::bus::wire::v1::reading::Rules;
use crate::bus::wire::v1::replies::{ErrorData, errors, rejected};
use crate::domain::ids::{EventId, TaskId};
use crate::domain::problem::{Code, Problem, Problems};
use crate::store::inbox::Remembered;
use crate::store::{StoreError, Transaction};

/// The longest `message_id`, in bytes.
const MOST_ID_BYTES: usize = 128;

/// A daemon that was silent for longer has no trunks. Long enough for one that is started again after a crash.
const LATELY: Duration = Duration::from_secs(60);

/// Why a command has no effect.
#[derive(Debug)]
pub(super) struct Refusal {
    pub errors: Vec<ErrorData>,
    /// The task it was about, if that is known.
    pub task: Option<TaskId>,
}

impl From<Problems> for Refusal {
    fn from(problems: Problems) -> Self {
        Self { errors: errors(problems), task: None }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Problems::from(problem).into()
    }
}

/// What a handler says: the reply, or why there is no effect. An error of the store undoes the whole transaction.
pub(super) type Handled = Result<Result<String, Refusal>, StoreError>;

/// The task of a command does not exist.
pub(super) fn task_not_found() -> Refusal {
    Problem::of("taskId", Code::NotFound, "there is no such task").into()
}

/// The rows of an import, for grouping; what they are worth is judged later.
pub(super) fn rows_of(body: &Value) -> usize {
    body.get("callees").and_then(Value::as_array).map_or(1, Vec::len)
}

/// Applies commands in order and commits them together; gives back their replies.
pub(super) async fn apply(context: &Context, group: &[Incoming]) -> Result<Vec<String>, StoreError> {
    if let [only] = group {
        cancel_in_slices(context, only).await?;
    }
    let mut transaction = context.store.begin().await?;
    let mut replies = Vec::with_capacity(group.len());
    for incoming in group {
        let body = incoming.body.as_ref().unwrap_or(&Value::Null);
        match apply_one(context, &mut transaction, &incoming.envelope, body).await {
            Ok(reply) => replies.push(reply),
            Err(error) => {
                transaction.roll_back().await;
                return Err(error);
            }
        }
    }
    transaction.commit().await?;
    if group.iter().any(|incoming| incoming.envelope.routing_key == "task.create") {
        tasks::make_room(context).await;
    }
    Ok(replies)
}

/// Does what a cancel has to do before its last slice, each slice in a transaction of its own.
async fn cancel_in_slices(context: &Context, incoming: &Incoming) -> Result<(), StoreError> {
    let (envelope, body) = (&incoming.envelope, incoming.body.as_ref().unwrap_or(&Value::Null));
    let is_cancel = envelope.routing_key == "callees.cancel";
    let Some(Ok(Command::CalleesCancel(cancel))) =
        is_cancel.then(|| commands::read(&envelope.routing_key, body, &context.rules))
    else {
        return Ok(());
    };
    loop {
        let mut transaction = context.store.begin().await?;
        let again = match recalled(&mut transaction, envelope).await {
            Ok(known) if known.is_some() || judge_id(envelope, false).is_some() => Ok(false),
            Ok(_) => cancels::whole_slice(context, &mut transaction, &command_key(envelope), &cancel).await,
            Err(error) => Err(error),
        };
        match again {
            Ok(true) => transaction.commit().await?,
            outcome => {
                transaction.roll_back().await;
                return outcome.map(drop);
            }
        }
    }
}

/// What a command is known by until it is remembered: also without a `message_id`, if it comes again.
fn command_key(envelope: &Envelope) -> String {
    format!("{} {}", envelope.sha256(), envelope.message_id.as_deref().unwrap_or_default())
}

async fn recalled(transaction: &mut Transaction, envelope: &Envelope) -> Result<Option<Remembered>, StoreError> {
    match &envelope.message_id {
        Some(id) if id.len() <= MOST_ID_BYTES && !id.contains('\0') => transaction.recall(id).await,
        _ => Ok(None),
    }
}

async fn apply_one(
    context: &Context,
    transaction: &mut Transaction,
    envelope: &Envelope,
    body: &Value,
) -> Result<String, StoreError> {
    let sha256 = Sha256::digest(&envelope.body).to_vec();
    let known = recalled(transaction, envelope).await?;
    if let Some(known) = &known
        && known.command == envelope.routing_key
        && known.body_sha256 == sha256
    {
        return Ok(known.reply.clone());
    }
    let refused = judge_id(envelope, known.is_some());
    let has_id = envelope.message_id.is_some() && refused.is_none();
    let handled = match refused {
        Some(problem) => Err(problem.into()),
        None => execute(context, transaction, envelope, body).await?,
    };
    let reply = match handled {
        Ok(reply) => reply,
        Err(refusal) => refuse(context, transaction, envelope, refusal).await?,
    };
    if let Some(message_id) = envelope.message_id.clone().filter(|_| has_id) {
        let command = envelope.routing_key.clone();
        let remembered = Remembered { message_id, command, body_sha256: sha256, reply: reply.clone() };
        transaction.remember(&remembered).await?;
    }
    Ok(reply)
}

fn judge_id(envelope: &Envelope, used: bool) -> Option<Problem> {
    match &envelope.message_id {
        Some(id) if id.len() > MOST_ID_BYTES => {
            let message = format!("has {} bytes; at most {MOST_ID_BYTES} are allowed", id.len());
            Some(Problem::of("message_id", Code::TooLong, message))
        }
        Some(_) if used => {
            let message = "was used for another command; give each command an id of its own";
            Some(Problem::of("message_id", Code::MessageIdReused, message))
        }
        Some(id) if id.contains('\0') => {
            Some(Problem::of("message_id", Code::InvalidValue, "has a NUL character; leave it out"))
        }
        None if envelope.routing_key == "callees.import" => {
            let message = "give the AMQP property message_id, so that the import can be sent again safely";
            Some(Problem::of("message_id", Code::MessageIdRequired, message))
        }
        _ => None,
    }
}

/// The rules of a command. Only a service instance names a trunk, which another daemon may have.
async fn rules<'c>(
    context: &'c Context,
    transaction: &mut Transaction,
    command: &str,
) -> Result<Cow<'c, Rules>, StoreError> {
    Ok(match command {
        "service-instance.put" => Cow::Owned(context.rules.with_trunks(transaction.trunk_capacities(LATELY).await?)),
        _ => Cow::Borrowed(&context.rules),
    })
}

async fn execute(context: &Context, transaction: &mut Transaction, envelope: &Envelope, body: &Value) -> Handled {
    let rules = rules(context, transaction, &envelope.routing_key).await?;
    match commands::read(&envelope.routing_key, body, &rules) {
        Err(problems) => Ok(Err(problems.into())),
        Ok(Command::AgentPut(agent)) => agents::put(transaction, &agent).await,
        Ok(Command::ServiceInstancePut(instance)) => service_instances::put(&rules, transaction, &instance).await,
        Ok(Command::TaskCreate(draft)) => tasks::create(context, transaction, draft).await,
        Ok(Command::CalleesImport(import)) => imports::import(context, transaction, import).await,
        Ok(Command::TaskStart(task)) => tasks::start(context, transaction, &task).await,
        Ok(Command::TaskStop(task)) => tasks::stop(context, transaction, &task).await,
        Ok(Command::TaskUpdate(update)) => updates::update(context, transaction, &update).await,
        Ok(Command::TaskDelete(task)) => updates::delete(context, transaction, &task).await,
        Ok(Command::CallReport(report)) => reports::report(context, transaction, &report).await,
        Ok(Command::CalleesCancel(cancel)) => {
            cancels::cancel(context, transaction, &command_key(envelope), &cancel).await
        }
        Ok(Command::ExportCreate(export)) => exports::create(context, transaction, &export).await,
    }
}

async fn refuse(
    context: &Context,
    transaction: &mut Transaction,
    envelope: &Envelope,
    refusal: Refusal,
) -> Result<String, StoreError> {
    let about = About {
        id: EventId::fresh(),
        subject: refusal.task.map(|task| task.0),
        task: refusal.task,
        sequence: transaction.next_event_sequence().await?,
        time: context.clock.now(),
    };
    let rejected_command = RejectedCommand {
        command: &envelope.routing_key,
        message_id: envelope.message_id.as_deref(),
        errors: &refusal.errors,
    };
    let event = context.events.command_rejected(rejected_command, about);
    transaction.write_events(vec![event]).await?;
    Ok(rejected(&refusal.errors))
}
