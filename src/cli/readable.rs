//! JSON as people read it: names and values in two columns.
//!
//! Must not know which fields there are, so that those of a newer daemon are shown, too.

use serde_json::Value;

use super::table::Table;
use super::times::range_in_words;

/// Every field with its value, those named in `first` before the others.
pub fn fields(value: &Value, first: &[&str]) -> String {
    let mut table = Table::without_headings();
    let place = |key: &str| first.iter().position(|name| *name == key).unwrap_or(first.len());
    let mut fields: Vec<_> = value.as_object().into_iter().flatten().collect();
    fields.sort_by_key(|(key, _)| place(key));
    for (key, value) in fields {
        rows(&mut table, key, value);
    }
    table.to_string()
}

fn rows(table: &mut Table, key: &str, value: &Value) {
    match value {
        Value::Object(inner) if range_in_words(value).is_none() => {
            inner.iter().for_each(|(name, value)| rows(table, &format!("{key}.{name}"), value));
        }
        Value::Array(items) if items.is_empty() => {}
        other => table.row([key.to_owned(), cell(other)]),
    }
}

/// A value in one line.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // A line break would end the row.
        Value::String(text) => text.replace(['\r', '\n'], " "),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => range_in_words(value).unwrap_or_else(|| {
            fields.iter().map(|(key, value)| format!("{key}={}", cell(value))).collect::<Vec<_>>().join(" ")
        }),
        other => other.to_string(),
    }
}

/// The value under `key` in one line; empty when there is none.
pub fn cell_of(value: &Value, key: &str) -> String {
    value.get(key).map(cell).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_has_its_line_and_the_important_ones_come_first() {
        let value = json!({"callingDays": ["MONDAY", "FRIDAY"], "callingTimes": [{"start": "09:00", "end": "12:00"}],
            "counts": {"pending": 3}, "state": "RUNNING", "tags": [], "variables": [{"key": "a", "required": true}]});
        let expected = "state           RUNNING\n\
            callingDays     MONDAY, FRIDAY\n\
            callingTimes    09:00-12:00\n\
            counts.pending  3\n\
            variables       key=a required=true";
        assert_eq!(fields(&value, &["name", "state"]), expected);
    }
}
