//! The commands, from JSON to the types of the domain. What needs the store to be judged is judged later; what
//! was read correctly is kept beside the problems, so that both kinds can be reported in one reply.

use serde_json::Value;

use super::cancel::{self, Cancel};
use super::exports;
use super::import::{self, Import};
use super::reading::{ID_LENGTH, Rules, calling_days, daily_ranges, is_key, task_id, time_zone, trunk};
use super::report::{self, CallReport};
use super::sip::{sip_headers, sip_uri};
use super::tasks::{self, TaskDraft, TaskUpdate};
use crate::domain::agent::{Agent, AgentVariable, OutputTag};
use crate::domain::export::NewExport;
use crate::domain::fields::{Fields, Parsed, boolean, count, line, list, text};
use crate::domain::ids::{AgentId, ServiceInstanceId};
use crate::domain::phone_number::PhoneNumber;
use crate::domain::problem::{Code, Problem, Problems};
use crate::domain::service_instance::{CallerNumber, NumberHours, ServiceInstance, Share};
use crate::domain::task::TaskRef;

/// What a command asks for.
#[derive(Debug)]
pub enum Command {
    AgentPut(Agent),
    ServiceInstancePut(ServiceInstance),
    TaskCreate(TaskDraft),
    CalleesImport(Import),
    TaskStart(TaskRef),
    TaskStop(TaskRef),
    TaskUpdate(TaskUpdate),
    TaskDelete(TaskRef),
    CalleesCancel(Cancel),
    CallReport(CallReport),
    ExportCreate(NewExport),
}

/// The commands of the contract.
const KNOWN: [&str; 11] = [
    "agent.put",
    "service-instance.put",
    "task.create",
    "task.update",
    "task.start",
    "task.stop",
    "task.delete",
    "callees.import",
    "callees.cancel",
    "call.report",
    "export.create",
];

/// Whether a routing key is a command of the contract.
pub fn is_command(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// Reads a command.
pub fn read(name: &str, body: &Value, rules: &Rules) -> Parsed<Command> {
    match name {
        "agent.put" => agent(body).map(Command::AgentPut),
        "service-instance.put" => service_instance(body, rules).map(Command::ServiceInstancePut),
        "task.create" => Ok(Command::TaskCreate(tasks::create(body, rules))),
        "callees.import" => import::read(body, rules).map(Command::CalleesImport),
        "task.start" => only_task(body).map(Command::TaskStart),
        "task.stop" => only_task(body).map(Command::TaskStop),
        "task.update" => tasks::update(body).map(Command::TaskUpdate),
        "task.delete" => only_task(body).map(Command::TaskDelete),
        "call.report" => report::read(body, rules).map(Command::CallReport),
        "callees.cancel" => cancel::read(body, rules).map(Command::CalleesCancel),
        "export.create" => exports::read_create(body).map(Command::ExportCreate),
        _ => Err(Problem::new(Code::Unreadable, "there is no command of this name").into()),
    }
}

/// The task that a command is about: by id or by name.
pub fn task_ref(fields: &mut Fields) -> Option<TaskRef> {
    if !fields.has("taskId") && !fields.has("taskName") {
        fields.problem(Problem::of("taskId", Code::Required, "give taskId, or taskName instead"));
    }
    optional_task_ref(fields)
}

/// The same where none need be named.
pub(super) fn optional_task_ref(fields: &mut Fields) -> Option<TaskRef> {
    let both = fields.has("taskId") && fields.has("taskName");
    let id = fields.optional("taskId", task_id);
    let name = fields.optional("taskName", line(1..=128));
    if both {
        let message = "give taskId or taskName, not both";
        fields.problem(Problem::of("taskName", Code::InvalidValue, message));
    }
    id.map(TaskRef::Id).or(name.map(TaskRef::Name))
}

fn only_task(body: &Value) -> Parsed<TaskRef> {
    let mut fields = Fields::of(body)?;
    let task = task_ref(&mut fields);
    complete(fields.finish(), task)
}

/// A value that is there whenever nothing was wrong.
pub(super) fn complete<T>(problems: Problems, value: Option<T>) -> Parsed<T> {
    value.filter(|_| problems.is_empty()).ok_or(problems)
}

fn agent(body: &Value) -> Parsed<Agent> {
    let mut fields = Fields::of(body)?;
    let id = fields.required("agentId", line(ID_LENGTH));
    let name = fields.required("name", line(1..=128));
    let published = fields.required("published", boolean);
    let sip_uri = fields.required("sipUri", sip_uri);
    let sip_headers = fields.optional("sipHeaders", sip_headers);
    let variables = fields.optional("variables", list(0..=50, variable));
    let output_tags = fields.optional("outputTags", list(0..=100, output_tag));
    let agent = (|| {
        Some(Agent {
            id: AgentId(id?),
            name: name?,
            published: published?,
            sip_uri: sip_uri?,
            sip_headers: sip_headers.unwrap_or_default(),
            variables: variables.unwrap_or_default(),
            output_tags: output_tags.unwrap_or_default(),
        })
    })();
    complete(fields.finish(), agent)
}

fn variable(value: &Value) -> Parsed<AgentVariable> {
    let mut fields = Fields::of(value)?;
    let key = fields.required("key", key);
    let required = fields.required("required", boolean);
    let variable = key.zip(required).map(|(key, required)| AgentVariable { key, required });
    complete(fields.finish(), variable)
}

fn key(value: &Value) -> Parsed<String> {
    let key = line(1..=64)(value)?;
    if is_key(&key) { Ok(key) } else { Err(Problem::new(Code::InvalidValue, "cannot be a key").into()) }
}

fn output_tag(value: &Value) -> Parsed<OutputTag> {
    let mut fields = Fields::of(value)?;
    let name = fields.required("name", key);
    let values = fields.optional("values", list(0..=100, text(1..=256)));
    complete(fields.finish(), name.map(|name| OutputTag { name, values }))
}

fn service_instance(body: &Value, rules: &Rules) -> Parsed<ServiceInstance> {
    let mut fields = Fields::of(body)?;
    let id = fields.required("serviceInstanceId", line(ID_LENGTH));
    let name = fields.required("name", line(1..=128));
    let trunk = fields.required("trunk", |value| trunk(value, rules));
    let max_concurrent = fields.required("maxConcurrent", count(0..=1_000_000));
    let max_cps = fields.required("maxCps", count(1..=1_000_000));
    let numbers = fields.required("callerNumbers", list(0..=1_000, |item| caller_number(item, rules)));
    if let Some(numbers) = &numbers {
        for (index, caller) in numbers.iter().enumerate() {
            if numbers[..index].iter().any(|other| other.number == caller.number) {
                let field = format!("callerNumbers[{index}].number");
                fields.problem(Problem::of(field, Code::InvalidValue, "is listed twice; list each number once"));
            }
        }
    }
    let instance = (|| {
        Some(ServiceInstance {
            id: ServiceInstanceId(id?),
            name: name?,
            trunk: trunk?,
            share: Share { max_concurrent: max_concurrent?, max_cps: max_cps? },
            caller_numbers: numbers?,
        })
    })();
    complete(fields.finish(), instance)
}

fn caller_number(value: &Value, rules: &Rules) -> Parsed<CallerNumber> {
    let mut fields = Fields::of(value)?;
    let number = fields.required("number", |value| {
        let number = text(1..=64)(value)?;
        let parsed = PhoneNumber::parse(&number, rules.default_region);
        parsed.map_err(|error| Problem::new(Code::NumberInvalid, error.to_string()).into())
    });
    let max_concurrent = fields.optional("maxConcurrent", count(1..=1_000_000));
    let hours = number_hours(&mut fields, rules);
    complete(fields.finish(), number.map(|number| CallerNumber { number, max_concurrent, hours }))
}

/// `None` also for a number that only names a zone: that restricts nothing.
fn number_hours(fields: &mut Fields, rules: &Rules) -> Option<NumberHours> {
    let time_zone = fields.optional("timeZone", time_zone).unwrap_or(rules.default_time_zone);
    let calling_days = fields.optional("callingDays", calling_days);
    let calling_times = fields.optional("callingTimes", daily_ranges);
    let no_call_times = fields.optional("noCallTimes", daily_ranges);
    let restricted = calling_days.is_some() || calling_times.is_some() || no_call_times.is_some();
    restricted.then_some(NumberHours { time_zone, calling_days, calling_times, no_call_times })
}
