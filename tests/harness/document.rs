//! docs/asyncapi.yaml, as a judge of messages.
//!
//! What the daemon sends is judged more strictly than the document reads: a field that the document does not have is an
//! error here, though fields may be added for everyone else. So no field is added without the document.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

const TEXT: &str = include_str!("../../docs/asyncapi.yaml");

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_saphyr::from_str(TEXT).unwrap());
static CLOSED: LazyLock<Value> = LazyLock::new(|| {
    let mut components = document()["components"].clone();
    components["schemas"].as_object_mut().unwrap().values_mut().for_each(|schema| close(schema, false));
    components
});
static JUDGES: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// The whole document.
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// An object has no field but those that the schema lists. `is_part`: another schema judges the same object.
fn close(schema: &mut Value, is_part: bool) {
    match schema {
        Value::Object(words) => {
            if !is_part && words.contains_key("properties") && !words.contains_key("additionalProperties") {
                words.insert("additionalProperties".to_owned(), json!(false));
            }
            for (word, inner) in words {
                close(inner, matches!(word.as_str(), "allOf" | "oneOf" | "anyOf" | "not" | "if" | "then" | "else"));
            }
        }
        Value::Array(parts) => parts.iter_mut().for_each(|part| close(part, is_part)),
        _ => {}
    }
}

/// The payload of a message.
pub fn payload(message: &str) -> Arc<Validator> {
    judge(&format!("messages/{message}/payload"))
}

/// A schema below `components`.
pub fn judge(path: &str) -> Arc<Validator> {
    let mut judges = JUDGES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let build = || {
        let reference = format!("#/components/{path}");
        assert!(json!({"components": &*CLOSED}).pointer(&reference[1..]).is_some(), "the document has no {path}");
        let schema = json!({"allOf": [{"$ref": reference}], "components": &*CLOSED});
        let options = jsonschema::options().with_draft(Draft::Draft7).should_validate_formats(true);
        Arc::new(options.build(&schema).unwrap())
    };
    judges.entry(path.to_owned()).or_insert_with(build).clone()
}

#[track_caller]
pub fn assert_payload(message: &str, payload_of_it: &Value) {
    let found: Vec<String> = payload(message)
        .iter_errors(payload_of_it)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(found.is_empty(), "not the {message} of docs/asyncapi.yaml:\n{}\n{payload_of_it}", found.join("\n"));
}

/// The message that a reply to this command or query is.
pub fn reply_to(name: &str, reply: &Value) -> String {
    match reply["status"].as_str() {
        Some("ACCEPTED") => format!("{name}.accepted"),
        Some("OK") => format!("{name}.answer"),
        Some("NOT_FOUND") => "notFound".to_owned(),
        _ => "rejected".to_owned(),
    }
}

/// An event as the document has it, on a channel that has it.
#[track_caller]
pub fn assert_event(routing_key: &str, event: &Value) {
    let kind = event["type"].as_str().unwrap_or_default();
    let channel = &document()["channels"][routing_key];
    assert!(channel["messages"].get(kind).is_some(), "the document has no {kind} on {routing_key}");
    assert_payload(kind, event);
}
