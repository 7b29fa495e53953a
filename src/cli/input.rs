//! What a command reads besides its arguments: a file, or stdin where the path is `-`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A million ids and more; a device that has no end must not fill the memory.
const MOST_MIB: u64 = 64;

/// The whole text.
pub fn text(path: &Path) -> anyhow::Result<String> {
    let text = if path == Path::new("-") {
        whole(std::io::stdin()).context("stdin cannot be read")?
    } else {
        let read = File::open(path).map_err(anyhow::Error::from).and_then(whole);
        read.with_context(|| format!("{} cannot be read", path.display()))?
    };
    Ok(text.strip_prefix('\u{feff}').map(ToOwned::to_owned).unwrap_or(text))
}

fn whole(input: impl Read) -> anyhow::Result<String> {
    let (most, mut bytes) = (MOST_MIB * 1_024 * 1_024, Vec::new());
    input.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        bail!("it is longer than {MOST_MIB} MiB; a list may be given in several files");
    }
    String::from_utf8(bytes).context("it is not UTF-8")
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
    fn what_has_no_end_is_not_read_to_its_end() {
        let error = format!("{:#}", record(Path::new("/dev/zero"), "agent").unwrap_err());
        assert!(error.contains("/dev/zero") && error.contains("longer than 64 MiB"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids");
        let umlauts = "ü".repeat(32 * 1_024 * 1_024);
        std::fs::write(&path, &umlauts).unwrap();
        assert_eq!(text(&path).unwrap().len(), umlauts.len());
        std::fs::write(&path, umlauts + "ü").unwrap();
        assert!(format!("{:#}", text(&path).unwrap_err()).contains("longer than 64 MiB"));
        std::fs::write(&path, b"\xff").unwrap();
        assert!(format!("{:#}", text(&path).unwrap_err()).contains("UTF-8"));
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
