//! The fields of commands and queries, and of every object within them: those that the reader knows, and those that it
//! asks for.

use std::collections::{BTreeMap, BTreeSet};

use calltaskd::domain::problem::{Code, Problem};
use serde_json::{Value, json};

use crate::document::document;
use crate::reading::{example, more_requests, problems, requests, resolved};

type Names = BTreeSet<String>;

/// An object of a request: where it stands, and the component that describes it.
struct Object {
    pointer: String,
    schema: &'static Value,
}

fn objects(schema: &'static Value, value: &Value, pointer: &str, found: &mut Vec<Object>) {
    let schema = resolved(schema);
    if let Some(alternatives) = schema["oneOf"].as_array().filter(|_| schema.get("properties").is_none()) {
        return alternatives.iter().for_each(|alternative| objects(alternative, value, pointer, found));
    }
    match value {
        Value::Object(fields) if schema.get("properties").is_some() => {
            found.push(Object { pointer: pointer.to_owned(), schema });
            for (name, value) in fields {
                objects(&schema["properties"][name], value, &format!("{pointer}/{name}"), found);
            }
        }
        Value::Array(items) => {
            // The others are described by the same, and may be wrong on purpose.
            items.iter().take(1).for_each(|item| objects(&schema["items"], item, &format!("{pointer}/0"), found));
        }
        _ => {}
    }
}

/// Every object of every request that there is a sample of.
fn samples() -> Vec<(String, Value, Object)> {
    let examples = requests().into_iter().map(|(name, _)| (example(&name).clone(), name));
    let more = more_requests().into_iter().map(|(name, body)| (body, name.to_owned()));
    let mut samples = Vec::new();
    for (body, name) in examples.chain(more) {
        let mut found = Vec::new();
        objects(&document()["components"]["messages"][&name]["payload"], &body, "", &mut found);
        samples.extend(found.into_iter().map(|object| (name.clone(), body.clone(), object)));
    }
    samples
}

/// `/callingTimes/0` as problems have it: `callingTimes[0]`.
fn path(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        match part.parse::<usize>() {
            Ok(index) => path.push_str(&format!("[{index}]")),
            Err(_) if path.is_empty() => path.push_str(part),
            Err(_) => path.push_str(&format!(".{part}")),
        }
    }
    path
}

/// The names of the fields of this object, from the problems of one code.
fn told(problems: &[Problem], code: &[Code], pointer: &str) -> Names {
    let path = path(pointer);
    let problems = problems.iter().filter(|problem| code.contains(&problem.code));
    let below = problems.filter_map(|problem| problem.field.strip_prefix(&path));
    below.map(|field| field.trim_start_matches('.').to_owned()).filter(|field| !field.contains(['.', '['])).collect()
}

fn names(list: &Value) -> Names {
    list.as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// What must be there always, and with it the first of each choice: the one that the reader asks for.
fn asked(schema: &Value) -> (Names, Names) {
    let always = names(&schema["required"]);
    let parts = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
    let choices = parts.flat_map(|part| names(&part["oneOf"][0]["required"]));
    let with_choices = always.iter().cloned().chain(choices).collect();
    (always, with_choices)
}

#[test]
fn every_object_has_the_fields_that_its_reader_knows() {
    for (name, mut body, Object { pointer, schema }) in samples() {
        body.pointer_mut(&pointer).unwrap()["?"] = json!(1);
        let problems = problems(&name, &body);
        let marker = format!("{}.?", path(&pointer));
        let unknown = problems.iter().find(|problem| problem.field == marker.trim_start_matches('.'));
        let Some(unknown) = unknown else { panic!("{name}{pointer}: the unknown field is taken: {problems:?}") };
        let (_, known) = unknown.message.rsplit_once("the known ones are ").unwrap();
        let known: Names = known.split(", ").map(str::to_owned).collect();
        let described: Names = schema["properties"].as_object().unwrap().keys().cloned().collect();
        // A call that is named by its id is named by nothing else.
        if name == "call.get" && body.get("callId").is_some() {
            assert_eq!(known, Names::from(["callId".to_owned()]));
            continue;
        }
        assert_eq!(described, known, "{name}{pointer}");
        assert_eq!(schema["additionalProperties"], json!(false), "{name}{pointer}");
    }
}

#[test]
fn every_object_requires_what_its_reader_asks_for() {
    for (name, mut body, Object { pointer, schema }) in samples() {
        if name == "task.update" && pointer.is_empty() {
            assert_eq!(told(&problems(&name, &json!({})), &[Code::Required], ""), Names::from(["taskId".to_owned()]));
            continue;
        }
        *body.pointer_mut(&pointer).unwrap() = json!({});
        let told = told(&problems(&name, &body), &[Code::Required, Code::NumberMissing], &pointer);
        let (always, with_choices) = asked(schema);
        assert!(told == always || told == with_choices, "{name}{pointer}: {told:?}, {always:?} or {with_choices:?}");
    }
}

#[test]
fn the_samples_have_every_object_that_can_be_sent() {
    let mut seen: BTreeMap<String, Names> = BTreeMap::new();
    for (name, body, Object { pointer, schema }) in samples() {
        let fields = body.pointer(&pointer).unwrap().as_object().unwrap().keys().cloned();
        let described = schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        let _ = name;
        seen.entry(described).or_default().extend(fields);
    }
    for (described, fields) in seen {
        let missing: Vec<_> = described.split(' ').filter(|field| !fields.contains(*field)).collect();
        assert!(missing.is_empty(), "no sample has {missing:?} of {described}");
    }
}
