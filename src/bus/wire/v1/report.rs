//! `call.report`: what the agent platform says about a call.
//!
//! Must not look at any file: whether a recording is there is not judged, only that its path leads nowhere else.

use std::path::{Component, Path};

use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::commands::complete;
use super::reading::{Rules, instant_of, is_key, text_map, uuid};
use crate::domain::fields::{Fields, Parsed, excerpt, integer, line, list, text, wrong_type};
use crate::domain::ids::CallId;
use crate::domain::problem::{Code, Problem, Problems};

/// A conversation, as JSON: answers and events that hold it stay below 1 MiB.
const MOST_CONVERSATION_BYTES: usize = 512 * 1024;
const MOST_TAG_BYTES: usize = 128 * 1024;

/// A report as it was read; what it does not say stays as it is.
#[derive(Debug, Clone)]
pub struct CallReport {
    pub call: CallId,
    pub said: Said,
}

/// What a report adds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major_intent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tags: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<Value>,
}

/// The data of `call.reported`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallReportedData<'r> {
    pub task_id: Uuid,
    pub callee_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_id: Option<&'r str>,
    pub call_id: Uuid,
    #[serde(flatten)]
    pub said: &'r Said,
}

/// Reads a report.
pub fn read(body: &Value, rules: &Rules) -> Parsed<CallReport> {
    let mut fields = Fields::of(body)?;
    let call = fields.required("callId", uuid).map(CallId);
    let said = Said {
        major_intent: fields.optional("majorIntent", text(1..=1_024)),
        output_tags: fields.optional("outputTags", output_tags),
        variables: fields.optional("variables", |value| Ok(json!(text_map(50, is_key, 1_024)(value)?))),
        conversation: fields.optional("conversation", conversation),
        recording: fields.optional("recording", |value| recording(value, rules)),
    };
    complete(fields.finish(), call.map(|call| CallReport { call, said }))
}

/// Texts, or lists of texts, by the tag's name.
fn output_tags(value: &Value) -> Parsed<Value> {
    let tags = value.as_object().ok_or_else(|| wrong_type("an object", value))?;
    if tags.len() > 100 {
        let message = format!("has {} tags; at most 100 are allowed", tags.len());
        return Err(Problem::new(Code::OutOfRange, message).into());
    }
    within(value, MOST_TAG_BYTES)?;
    let (mut problems, mut read) = (Problems::none(), Map::new());
    for (name, value) in tags {
        let parsed = match value {
            _ if !is_key(name) => Err(Problem::new(Code::InvalidValue, "cannot be the name of a tag").into()),
            Value::Array(_) => list(0..=100, text(0..=1_024))(value).map(|texts| json!(texts)),
            _ => text(0..=1_024)(value).map(Value::from),
        };
        match parsed {
            Ok(value) => drop(read.insert(name.clone(), value)),
            Err(found) => problems.append(found.under(&excerpt(name, 64))),
        }
    }
    problems.unless_any(Value::Object(read))
}

fn conversation(value: &Value) -> Parsed<Value> {
    let said = list(0..=5_000, utterance)(value)?;
    within(value, MOST_CONVERSATION_BYTES)?;
    Ok(Value::Array(said))
}

fn within(value: &Value, most: usize) -> Parsed<()> {
    if value.to_string().len() > most {
        return Err(Problem::new(Code::TooLong, format!("has more than {most} bytes as JSON")).into());
    }
    Ok(())
}

fn utterance(value: &Value) -> Parsed<Value> {
    let mut fields = Fields::of(value)?;
    let role = fields.required("role", line(1..=32));
    let content = fields.required("content", text(0..=20_000));
    let at = fields.optional("at", instant_of);
    let mut utterance = json!({"role": role, "content": content});
    if let Some(at) = at {
        utterance["at"] = json!(super::instant_text(&at));
    }
    fields.finish().unless_any(utterance)
}

fn recording(value: &Value, rules: &Rules) -> Parsed<Value> {
    let mut fields = Fields::of(value)?;
    let url = fields.optional("url", line(1..=2_048));
    let path = fields.optional("path", |value| recording_path(value, rules.recordings_root.as_deref()));
    let seconds = fields.optional("seconds", integer(0..=86_400));
    if fields.has("url") == fields.has("path") {
        let problem = Problem::new(Code::InvalidValue, "give url or path, one of them");
        fields.problem(problem);
    }
    let mut recording = Map::new();
    for (field, value) in [("url", url.map(Value::from)), ("path", path), ("seconds", seconds.map(Value::from))] {
        if let Some(value) = value {
            recording.insert(field.to_owned(), value);
        }
    }
    fields.finish().unless_any(Value::Object(recording))
}

/// A path below the root, whole or from there on; never out of it again.
fn recording_path(value: &Value, root: Option<&Path>) -> Parsed<Value> {
    let path = line(1..=1_024)(value)?;
    let Some(root) = root else {
        let message = "paths need the setting recordings.root; give a url instead";
        return Err(Problem::new(Code::InvalidValue, message).into());
    };
    let below = match Path::new(&path) {
        whole if whole.is_absolute() => whole.strip_prefix(root).ok(),
        relative => Some(relative),
    };
    let stays = |below: &Path| {
        below.components().next().is_some() && below.components().all(|part| matches!(part, Component::Normal(_)))
    };
    match below.filter(|below| stays(below)) {
        Some(below) => Ok(json!(root.join(below))),
        None => {
            let message = format!("must be below {}, without any ..", root.display());
            Err(Problem::new(Code::InvalidValue, message).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_root() {
        let judge = |path: &str| recording_path(&json!(path), Some(Path::new("/var/recordings")));
        for path in ["a.wav", "2026/a.wav", "/var/recordings/2026/a.wav"] {
            assert!(judge(path).unwrap().as_str().unwrap().starts_with("/var/recordings/"), "{path}");
        }
        for path in
            ["../a.wav", "/etc/passwd", "/var/recordings", "/var/recordings/../a", "a/../../b", "/var/recordings2/a"]
        {
            assert!(judge(path).is_err(), "{path}");
        }
        assert!(recording_path(&json!("a.wav"), None).is_err());
    }
}
