//! What a command reads besides its arguments: a file, or stdin where the path is `-`.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The whole text.
pub fn text(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("stdin cannot be read as UTF-8")?;
    } else {
        text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    }
    Ok(text.strip_prefix('\u{feff}').map(ToOwned::to_owned).unwrap_or(text))
}

/// The lines that are not blank, each with its number.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty())
}

/// A record in JSON: alone, or under `name` as the answer that `get --json` printed.
pub fn record(path: &Path, name: &str) -> anyhow::Result<Map<String, Value>> {
    let read = || -> anyhow::Result<_> {
        let mut json: Value = serde_json::from_str(&text(path)?).context("this is no JSON")?;
        let inner = json.get_mut(name).filter(|inner| inner.is_object()).map(Value::take);
        match inner.unwrap_or(json) {
            Value::Object(record) => Ok(record),
            _ => bail!("this is no JSON object"),
        }
    };
    read().with_context(|| path.display().to_string())
}

/// Sets a field where there is a value for it.
pub fn set(record: &mut Map<String, Value>, field: &str, value: Option<impl Serialize>) {
    if let Some(value) = value {
        record.insert(field.to_owned(), json!(value));
    }
}

/// The fields that have a value.
pub fn without_nulls(mut body: Value) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_are_counted_and_left_out() {
        assert_eq!(lines("a\n\n  b \r\n").collect::<Vec<_>>(), [(1, "a"), (3, "b")]);
    }

    #[test]
    fn a_record_may_be_the_answer_that_was_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.json");
        for text in [r#"{"agentId": "a"}"#, "\u{feff}{\"status\": \"OK\", \"agent\": {\"agentId\": \"a\"}}"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(json!(record(&path, "agent").unwrap()), json!({"agentId": "a"}));
        }
        std::fs::write(&path, "[1]").unwrap();
        assert!(format!("{:#}", record(&path, "agent").unwrap_err()).ends_with("agent.json: this is no JSON object"));
    }
}
