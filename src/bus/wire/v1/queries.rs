//! The questions that any daemon answers.

use serde_json::Value;

use super::commands::{complete, task_ref};
use super::exports;
use super::import::called_number;
use super::reading::{ID_LENGTH, Rules, instant_of, uuid};
use crate::domain::call::CallResult;
use crate::domain::export::ExportFilter;
use crate::domain::fields::{Fields, Parsed, count, line, text};
use crate::domain::ids::{AgentId, CallId, ExportId, ServiceInstanceId, TaskNo};
use crate::domain::problem::{Code, Problem};
use crate::domain::record::{CallRef, CalleeFilter, Tab};
use crate::domain::task::{TaskFilter, TaskRef, TaskState};

/// A question.
#[derive(Debug)]
pub enum Query {
    TaskGet(TaskRef),
    TaskList(TaskFilter),
    AgentGet(AgentId),
    AgentList(IdPage),
    ServiceInstanceGet(ServiceInstanceId),
    ServiceInstanceList(IdPage),
    CalleesList(TaskRef, CalleeFilter),
    CallGet(CallRef),
    ExportGet(ExportId),
    ExportList(ExportFilter),
}

/// A page of what is listed by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdPage {
    /// Empty at the first page.
    pub after: String,
    pub most: i64,
}

/// Reads a question.
pub fn read(name: &str, body: &Value, rules: &Rules) -> Parsed<Query> {
    match name {
        "task.get" => {
            let mut fields = Fields::of(body)?;
            let task = task_ref(&mut fields);
            complete(fields.finish(), task).map(Query::TaskGet)
        }
        "task.list" => task_list(body).map(Query::TaskList),
        "agent.get" => id(body, "agentId").map(|id| Query::AgentGet(AgentId(id))),
        "agent.list" => id_page(body).map(Query::AgentList),
        "service-instance.get" => {
            id(body, "serviceInstanceId").map(|id| Query::ServiceInstanceGet(ServiceInstanceId(id)))
        }
        "service-instance.list" => id_page(body).map(Query::ServiceInstanceList),
        "callees.list" => callees_list(body, rules),
        "call.get" => call_get(body).map(Query::CallGet),
        "export.get" => exports::read_get(body).map(Query::ExportGet),
        "export.list" => exports::read_list(body).map(Query::ExportList),
        _ => Err(Problem::new(Code::Unreadable, "there is no query of this name").into()),
    }
}

fn task_list(body: &Value) -> Parsed<TaskFilter> {
    let mut fields = Fields::of(body)?;
    let state = fields.optional("state", |value| {
        let message = "must be INITIALIZING, RUNNING, STOPPED, START_FAILED or COMPLETED";
        let invalid = |()| Problem::new(Code::InvalidValue, message);
        Ok(text(1..=16)(value)?.parse::<TaskState>().map_err(invalid)?)
    });
    let name = fields.optional("name", line(1..=128));
    let limit = fields.optional("limit", count(1..=1_000)).unwrap_or(100);
    let before = fields.optional("after", |value| place('t', value).map(TaskNo));
    fields.finish().unless_any(TaskFilter { state, name, before, most: i64::from(limit) })
}

fn id(body: &Value, field: &'static str) -> Parsed<String> {
    let mut fields = Fields::of(body)?;
    let id = fields.required(field, line(ID_LENGTH));
    complete(fields.finish(), id)
}

fn id_page(body: &Value) -> Parsed<IdPage> {
    let mut fields = Fields::of(body)?;
    let limit = fields.optional("limit", count(1..=1_000)).unwrap_or(100);
    let after = fields.optional("after", |value| {
        let id = text(1..=ID_LENGTH.end() + 1)(value)?;
        Ok(id.strip_prefix('i').ok_or_else(not_a_mark)?.to_owned())
    });
    fields.finish().unless_any(IdPage { after: after.unwrap_or_default(), most: i64::from(limit) })
}

fn callees_list(body: &Value, rules: &Rules) -> Parsed<Query> {
    let mut fields = Fields::of(body)?;
    let task = task_ref(&mut fields);
    let tab = fields.required("tab", |value| match text(1..=16)(value)?.as_str() {
        "PENDING" => Ok(Tab::Pending),
        "COMPLETED" => Ok(Tab::Completed),
        "FAILED" => Ok(Tab::Failed),
        _ => Err(Problem::new(Code::InvalidValue, "must be PENDING, COMPLETED or FAILED").into()),
    });
    let filter = CalleeFilter {
        tab: tab.unwrap_or(Tab::Pending),
        batch_id: fields.optional("batchId", line(ID_LENGTH)),
        out_id: fields.optional("outId", line(1..=128)),
        called_number: fields.optional("calledNumber", |value| called_number(value, rules.default_region)),
        result: fields.optional("result", |value| {
            let unknown = |()| Problem::new(Code::InvalidValue, "is no result of calls");
            Ok(text(1..=32)(value)?.parse::<CallResult>().map_err(unknown)?)
        }),
        ended_from: fields.optional("endedFrom", instant_of),
        ended_to: fields.optional("endedTo", instant_of),
        after: fields.optional("after", |value| place('c', value)).unwrap_or(0),
        most: i64::from(fields.optional("limit", count(1..=1_000)).unwrap_or(100)),
    };
    complete(fields.finish(), task.map(|task| Query::CalleesList(task, filter)))
}

fn call_get(body: &Value) -> Parsed<CallRef> {
    let mut fields = Fields::of(body)?;
    if fields.has("callId") {
        let call = fields.required("callId", uuid);
        return complete(fields.finish(), call.map(|call| CallRef::Call(CallId(call))));
    }
    fields.optional("callId", uuid);
    let task = task_ref(&mut fields);
    let out_id = fields.required("outId", line(1..=128));
    complete(fields.finish(), task.zip(out_id).map(|(task, out_id)| CallRef::OutId(task, out_id)))
}

fn not_a_mark() -> Problem {
    Problem::new(Code::InvalidValue, "must be the next of an earlier answer")
}

fn place(kind: char, value: &Value) -> Parsed<i64> {
    let place = text(1..=32)(value)?.strip_prefix(kind).and_then(|no| i64::from_str_radix(no, 36).ok());
    Ok(place.ok_or_else(not_a_mark)?)
}

/// Where the next page of tasks begins, for `after`: opaque to whoever reads it.
pub fn page_mark(task: TaskNo) -> String {
    mark('t', task.0)
}

/// Where the next page of callees begins.
pub fn callee_mark(seq: i64) -> String {
    mark('c', seq)
}

/// Where the next page of agents or service instances begins.
pub fn id_mark(id: &str) -> String {
    format!("i{id}")
}

fn mark(kind: char, number: i64) -> String {
    let (mut number, mut digits) = (number, Vec::new());
    while number > 0 {
        digits.push(char::from_digit(u32::try_from(number % 36).unwrap_or(0), 36).unwrap_or('0'));
        number /= 36;
    }
    std::iter::once(kind).chain(digits.into_iter().rev()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_mark_leads_back_to_its_task() {
        for no in [1, 35, 36, 123_456_789] {
            let filter = task_list(&json!({"after": page_mark(TaskNo(no))})).unwrap();
            assert_eq!(filter.before, Some(TaskNo(no)));
        }
        assert!(task_list(&json!({"after": "x"})).is_err());
    }
}
