//! The questions that any daemon answers.

use serde_json::Value;

use super::commands::{complete, task_ref};
use super::exports;
use super::reading::not_yet;
use crate::domain::export::ExportFilter;
use crate::domain::fields::{Fields, Parsed, count, line, text};
use crate::domain::ids::{ExportId, TaskNo};
use crate::domain::problem::{Code, Problem};
use crate::domain::task::{TaskFilter, TaskRef, TaskState};

/// A question.
#[derive(Debug)]
pub enum Query {
    TaskGet(TaskRef),
    TaskList(TaskFilter),
    ExportGet(ExportId),
    ExportList(ExportFilter),
}

/// The queries of the contract that this version refuses.
const NOT_YET: [&str; 6] =
    ["agent.list", "agent.get", "service-instance.list", "service-instance.get", "callees.list", "call.get"];

/// Reads a question.
pub fn read(name: &str, body: &Value) -> Parsed<Query> {
    match name {
        "task.get" => {
            let mut fields = Fields::of(body)?;
            let task = task_ref(&mut fields);
            complete(fields.finish(), task).map(Query::TaskGet)
        }
        "task.list" => task_list(body).map(Query::TaskList),
        "export.get" => exports::read_get(body).map(Query::ExportGet),
        "export.list" => exports::read_list(body).map(Query::ExportList),
        _ if NOT_YET.contains(&name) => Err(not_yet("", &format!("{name} is")).into()),
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
    let before = fields.optional("after", |value| {
        let invalid = || Problem::new(Code::InvalidValue, "must be the next of an earlier answer");
        let place = text(1..=32)(value)?.strip_prefix('t').and_then(|no| i64::from_str_radix(no, 36).ok());
        Ok(TaskNo(place.ok_or_else(invalid)?))
    });
    fields.finish().unless_any(TaskFilter { state, name, before, most: i64::from(limit) })
}

/// Where the next page begins, for `after`: opaque to whoever reads it.
pub fn page_mark(task: TaskNo) -> String {
    let (mut number, mut digits) = (task.0, Vec::new());
    while number > 0 {
        digits.push(char::from_digit(u32::try_from(number % 36).unwrap_or(0), 36).unwrap_or('0'));
        number /= 36;
    }
    std::iter::once('t').chain(digits.into_iter().rev()).collect()
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
