//! The limits of commands and queries: whatever is done to a sample, reader and schema are of one mind.
//!
//! A reader knows more than a schema can say (trunks, time zones, ranges that overlap), so it may refuse for such a reason
//! what the schema takes; never for a missing or unknown field, a type, a length or a range.

use calltaskd::domain::problem::Code;
use serde_json::{Map, Value, json};

use crate::document::{payload, reply_to};
use crate::reading::{example, more_requests, problems, requests};

const NUMBERS: [i64; 21] = [
    -1, 0, 1, 3, 4, 9, 10, 11, 119, 120, 121, 720, 721, 1_000, 1_001, 7_200, 7_201, 86_400, 86_401, 1_000_000,
    1_000_001,
];
const LENGTHS: [usize; 21] =
    [0, 1, 16, 17, 32, 33, 64, 65, 66, 128, 129, 256, 257, 512, 513, 1_024, 1_025, 2_048, 2_049, 20_000, 20_001];
const ITEMS: [usize; 14] = [0, 1, 7, 8, 48, 49, 50, 51, 100, 101, 1_000, 1_001, 5_000, 5_001];

/// What a schema can say, too.
const PLAIN: [Code; 6] =
    [Code::Required, Code::UnknownField, Code::WrongType, Code::OutOfRange, Code::TooLong, Code::NumberMissing];

fn pointers(value: &Value, pointer: &str, found: &mut Vec<String>) {
    found.push(pointer.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, inner)| pointers(inner, &format!("{pointer}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, inner)| pointers(inner, &format!("{pointer}/{index}"), found));
        }
        _ => {}
    }
}

/// What may stand in the place of a value.
fn instead(value: &Value) -> Vec<Value> {
    let mut others = vec![json!(true), json!(1), json!(1.5), json!("x"), json!([]), json!({}), json!([true])];
    match value {
        Value::Number(_) => others.extend(NUMBERS.map(Value::from)),
        Value::String(_) => others.extend(LENGTHS.map(|length| Value::from("x".repeat(length)))),
        Value::Array(items) => {
            let repeated = |length| items.iter().cycle().take(length).cloned().collect();
            others
                .extend(ITEMS.map(|length| if items.is_empty() { json!([]) } else { Value::Array(repeated(length)) }));
        }
        Value::Object(fields) => {
            for field in fields.keys() {
                let mut without = fields.clone();
                without.remove(field);
                others.push(Value::Object(without));
            }
            for length in LENGTHS {
                let mut with = fields.clone();
                with.insert("x".repeat(length), json!("x"));
                others.push(Value::Object(with));
            }
            others.extend([50, 51, 100, 101].map(|keys| {
                Value::Object((0..keys).map(|key| (format!("k{key}"), json!("x"))).collect::<Map<_, _>>())
            }));
        }
        _ => {}
    }
    others
}

fn differences(name: &str, body: &Value) -> Option<String> {
    let problems = problems(name, body);
    let is_valid = payload(name).is_valid(body);
    // How many calls at a time a task may have at most is a setting.
    let plain = problems.iter().find(|problem| PLAIN.contains(&problem.code) && problem.field != "concurrency");
    match (is_valid, plain) {
        (true, Some(problem)) => Some(format!("{name}: only the reader refuses, {problem}")),
        (false, None) if problems.is_empty() => {
            let errors: Vec<_> = payload(name).iter_errors(body).map(|error| error.to_string()).collect();
            Some(format!("{name}: only the schema refuses, {errors:?}"))
        }
        _ => None,
    }
}

#[test]
fn reader_and_schema_draw_the_same_limits() {
    let examples = requests().into_iter().map(|(name, _)| (example(&name).clone(), name));
    let more = more_requests().into_iter().map(|(name, body)| (body, name.to_owned()));
    let (mut found, mut judged) = (Vec::new(), 0);
    for (body, name) in examples.chain(more) {
        let mut places = Vec::new();
        pointers(&body, "", &mut places);
        for place in places {
            for other in instead(body.pointer(&place).unwrap()) {
                let mut changed = body.clone();
                *changed.pointer_mut(&place).unwrap() = other.clone();
                judged += 1;
                let shown: String = other.to_string().chars().take(80).collect();
                found.extend(differences(&name, &changed).map(|what| format!("{what}, with {shown} at {place}")));
            }
        }
    }
    assert!(judged > 5_000, "{judged}");
    found.iter_mut().for_each(|what| what.truncate(400));
    found.dedup();
    assert!(found.is_empty(), "{} of {judged}:\n{}", found.len(), found[..found.len().min(40)].join("\n"));
}

#[test]
fn the_samples_are_taken_by_both() {
    for (name, body) in more_requests() {
        assert_eq!(problems(name, &body), [], "{name} {body}");
        assert!(payload(name).is_valid(&body), "{name} {body}");
    }
    assert_eq!(reply_to("task.get", &json!({"status": "OK"})), "task.get.answer");
}
