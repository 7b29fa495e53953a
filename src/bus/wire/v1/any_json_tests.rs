//! The readers, given anything that JSON can say under the names that they know.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::commands::{self, Command, is_command};
use super::queries;
use super::reading::Rules;
use crate::domain::calling_window::Zone;
use crate::domain::problem::Problems;

const COMMANDS: [&str; 11] = [
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
const QUERIES: [&str; 10] = [
    "task.get",
    "task.list",
    "agent.get",
    "agent.list",
    "service-instance.get",
    "service-instance.list",
    "callees.list",
    "call.get",
    "export.get",
    "export.list",
];

/// Every name that any reader asks for; a few that none does.
const NAMES: [&str; 54] = [
    "agentId",
    "name",
    "published",
    "sipUri",
    "sipHeaders",
    "variables",
    "outputTags",
    "key",
    "required",
    "values",
    "serviceInstanceId",
    "trunk",
    "maxConcurrent",
    "maxCps",
    "callerNumbers",
    "number",
    "timeZone",
    "callingDays",
    "callingTimes",
    "noCallTimes",
    "start",
    "end",
    "taskId",
    "taskName",
    "concurrency",
    "startMode",
    "startAt",
    "redial",
    "reasons",
    "times",
    "intervalMinutes",
    "ringTimeoutSeconds",
    "maxTalkSeconds",
    "batchId",
    "callees",
    "calledNumber",
    "outId",
    "allowDuplicateNumbers",
    "calleeIds",
    "outIds",
    "calledNumbers",
    "callId",
    "majorIntent",
    "conversation",
    "role",
    "content",
    "at",
    "recording",
    "url",
    "path",
    "seconds",
    "exportId",
    "format",
    "",
];

/// Texts that mean something somewhere, so that readers get further than their first look.
const TEXTS: [&str; 16] = [
    "",
    "\0",
    "a\r\nb",
    "IMMEDIATE",
    "SCHEDULED",
    "MONDAY",
    "09:00",
    "24:00",
    "99:99",
    "2026-11-23T09:00:00+01:00",
    "Europe/Berlin",
    "7f9c24e8-3b1e-4d6a-9f0e-1c2d3e4f5a6b",
    "+493023125000",
    "sip:a@b",
    "CSV",
    "NO_ANSWER",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0_i64..200).prop_map(Value::from),
        prop::sample::select(&TEXTS[..]).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        let names = prop_oneof![9 => prop::sample::select(&NAMES[..]).prop_map(str::to_owned), 1 => any::<String>()];
        let object = prop::collection::btree_map(names, inner.clone(), 0..12);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::from),
            object.prop_map(|entries| Value::Object(Map::from_iter(entries))),
        ]
    })
}

fn rules() -> Rules {
    let default_time_zone: Zone = "UTC".parse().unwrap();
    let recordings_root = Some("/var/recordings".into());
    Rules {
        default_region: None,
        default_time_zone,
        most_concurrency: 500,
        trunks: Default::default(),
        recordings_root,
    }
}

/// Each names a field, unless the whole is none, and says what to do in a line of plain text.
fn assert_told(problems: &Problems, body: &Value) -> Result<(), TestCaseError> {
    for problem in problems.iter() {
        prop_assert!(!problem.field.is_empty() || !body.is_object(), "{problem}");
        prop_assert!(!problem.message.is_empty() && problem.message.len() < 1_000, "{problem}");
        prop_assert!(!problem.to_string().contains(crate::domain::visible::steers), "{problem}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_command_is_read_or_told_what_is_wrong(name in prop::sample::select(&COMMANDS[..]), body in any_json()) {
        prop_assert!(is_command(name));
        match commands::read(name, &body, &rules()) {
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                assert_told(&problems, &body)?;
            }
            Ok(Command::TaskCreate(draft)) => {
                let problems = draft.problems.clone();
                prop_assert_eq!(draft.complete().is_err(), !problems.is_empty());
                assert_told(&problems, &body)?;
            }
            Ok(Command::CalleesImport(import)) => {
                let rejected: Vec<Value> = import.rows.iter().flat_map(|row| row.as_ref().err()).map(|row| json!(row)).collect();
                prop_assert!(rejected.iter().all(|row| row["message"].as_str().is_some_and(|text| !text.is_empty())));
            }
            Ok(_) => {}
        }
    }

    #[test]
    fn a_query_is_read_or_told_what_is_wrong(name in prop::sample::select(&QUERIES[..]), body in any_json()) {
        if let Err(problems) = queries::read(name, &body, &rules()) {
            prop_assert!(!problems.is_empty());
            assert_told(&problems, &body)?;
        }
    }

    #[test]
    fn a_number_is_read_as_it_is_or_refused(text in "\\+?[0-9 ()./x-]{0,20}|\\PC{0,20}", national in any::<bool>()) {
        use crate::domain::phone_number::PhoneNumber;
        let region = if national { "DE".parse().ok() } else { None };
        if let Ok(number) = PhoneNumber::parse(&text, region) {
            let again = PhoneNumber::parse(number.e164(), None);
            prop_assert_eq!(again.as_ref(), Ok(&number));
            prop_assert!(number.e164()[1..].bytes().all(|byte| byte.is_ascii_digit()));
        }
    }
}
