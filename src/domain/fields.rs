//! Reads a JSON object field by field and collects *every* problem with its path.
//!
//! serde stops at the first mistake, which is no service to whoever has five to mend; so commands, rows and
//! settings are parsed to a JSON value first and read with this. A parser takes a value and gives the typed
//! thing or its problems; parsers nest, and the paths grow as problems travel outwards.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::problem::{Code, Problem, Problems};
use super::visible::steers;

/// What a parser gives back.
pub type Parsed<T> = Result<T, Problems>;

/// One JSON object being read.
pub struct Fields<'v> {
    object: &'v Map<String, Value>,
    known: Vec<&'static str>,
    problems: Problems,
}

impl<'v> Fields<'v> {
    /// Starts to read `value`, which must be an object.
    pub fn of(value: &'v Value) -> Parsed<Self> {
        match value {
            Value::Object(object) => Ok(Self { object, known: Vec::new(), problems: Problems::none() }),
            other => Err(wrong_type("an object", other)),
        }
    }

    /// A field that must be there. `None` when it is missing or wrong, which is noted.
    pub fn required<T>(&mut self, key: &'static str, parse: impl FnOnce(&'v Value) -> Parsed<T>) -> Option<T> {
        let value = self.optional(key, Ok);
        if value.is_none() {
            self.problems.add(Problem::of(key, Code::Required, format!("give a value for {key}")));
        }
        value.and_then(|value| self.parsed(key, parse(value)))
    }

    /// A field that may be left out; `null` counts as left out.
    pub fn optional<T>(&mut self, key: &'static str, parse: impl FnOnce(&'v Value) -> Parsed<T>) -> Option<T> {
        self.known.push(key);
        let value = self.object.get(key).filter(|value| !value.is_null())?;
        self.parsed(key, parse(value))
    }

    fn parsed<T>(&mut self, key: &str, parsed: Parsed<T>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(problems) => {
                self.problems.append(problems.under(key));
                None
            }
        }
    }

    /// Notes a problem that concerns several fields together.
    pub fn problem(&mut self, problem: Problem) {
        self.problems.add(problem);
    }

    /// True when `key` is there and not null.
    pub fn has(&self, key: &str) -> bool {
        self.object.get(key).is_some_and(|value| !value.is_null())
    }

    /// Ends the reading: everything that was wrong, and each field that nobody asked for.
    pub fn finish(mut self) -> Problems {
        for key in self.object.keys() {
            if !self.known.contains(&key.as_str()) {
                // A name without letters is shown in its quotes.
                let key = if key.is_empty() { "\"\"".to_owned() } else { excerpt(key, 64) };
                let known = self.known.join(", ");
                let message = format!("there is no field of this name here; the known ones are {known}");
                self.problems.add(Problem::of(key, Code::UnknownField, message));
            }
        }
        self.problems
    }
}

/// The problem of a value that has another JSON type than `expected`.
pub fn wrong_type(expected: &str, found: &Value) -> Problems {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Problem::new(Code::WrongType, format!("must be {expected}, not {found}")).into()
}

/// The first `most` characters of `text`, without those that steer whoever shows it: safe to show in a message or a log.
pub fn excerpt(text: &str, most: usize) -> String {
    let shown = |c: char| if steers(c) { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().take(most).map(shown).collect()
}

/// A text whose length in characters lies in `length`. NUL is refused everywhere: Postgres cannot store it.
pub fn text(length: RangeInclusive<usize>) -> impl Fn(&Value) -> Parsed<String> {
    move |value| {
        let text = value.as_str().ok_or_else(|| wrong_type("a string", value))?;
        let characters = text.chars().count();
        if characters > *length.end() {
            let message = format!("has {characters} characters; at most {} are allowed", length.end());
            return Err(Problem::new(Code::TooLong, message).into());
        }
        if characters < *length.start() {
            return Err(Problem::new(Code::InvalidValue, "must not be empty").into());
        }
        if text.contains('\0') {
            return Err(Problem::new(Code::InvalidValue, "has a NUL character; leave it out").into());
        }
        Ok(text.to_owned())
    }
}

/// What is wrong with a text that must be a single line, with the remedy; `None` for one that is.
pub fn steering(text: &str) -> Option<&'static str> {
    match text.chars().find(|letter| steers(*letter))? {
        letter if letter.is_control() => Some("has a control character (a line break, a tab); leave it out"),
        _ => Some("has a character that ends a line or turns the text round (U+2028, U+202E); leave it out"),
    }
}

/// A single line, by [`steering`]: names, ids and whatever becomes part of a header or a log line.
pub fn line(length: RangeInclusive<usize>) -> impl Fn(&Value) -> Parsed<String> {
    let text = text(length);
    move |value| {
        let line = text(value)?;
        match steering(&line) {
            Some(message) => Err(Problem::new(Code::InvalidValue, message).into()),
            None => Ok(line),
        }
    }
}

/// A whole number in `range`.
pub fn integer(range: RangeInclusive<i64>) -> impl Fn(&Value) -> Parsed<i64> {
    move |value| {
        if !value.is_number() {
            return Err(wrong_type("a whole number", value));
        }
        let wanted = format!("must be a whole number from {} to {}", range.start(), range.end());
        match value.as_i64() {
            Some(number) if range.contains(&number) => Ok(number),
            None if value.is_f64() => Err(Problem::new(Code::WrongType, wanted).into()),
            _ => Err(Problem::new(Code::OutOfRange, wanted).into()),
        }
    }
}

/// The same as [`integer`], for counts that are kept in 32 bits.
pub fn count(range: RangeInclusive<u32>) -> impl Fn(&Value) -> Parsed<u32> {
    let integer = integer(i64::from(*range.start())..=i64::from(*range.end()));
    move |value| integer(value).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// `true` or `false`.
pub fn boolean(value: &Value) -> Parsed<bool> {
    value.as_bool().ok_or_else(|| wrong_type("true or false", value))
}

/// A list of `length` items; the problems of all items are collected.
pub fn list<T>(
    length: RangeInclusive<usize>,
    parse: impl Fn(&Value) -> Parsed<T>,
) -> impl Fn(&Value) -> Parsed<Vec<T>> {
    move |value| {
        let items = value.as_array().ok_or_else(|| wrong_type("a list", value))?;
        if !length.contains(&items.len()) {
            let message = format!("has {} items; {} to {} are allowed", items.len(), length.start(), length.end());
            return Err(Problem::new(Code::OutOfRange, message).into());
        }
        let mut problems = Problems::none();
        let mut parsed = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match parse(item) {
                Ok(item) => parsed.push(item),
                Err(found) => problems.append(found.under(&format!("[{index}]"))),
            }
        }
        problems.unless_any(parsed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_problem_is_collected_with_its_path() {
        let value = json!({"name": "", "items": [{"n": 1}, {"n": "x"}, {"n": 99, "more": 1}], "odd": true});
        let mut fields = Fields::of(&value).unwrap();
        fields.required("name", text(1..=8));
        fields.required("missing", boolean);
        fields.required(
            "items",
            list(1..=5, |item| {
                let mut fields = Fields::of(item)?;
                let n = fields.required("n", integer(1..=9));
                fields.finish().unless_any(n)
            }),
        );
        let found: Vec<_> = fields.finish().into_iter().map(|p| (p.field, p.code)).collect();
        assert_eq!(
            found,
            [
                ("name".to_owned(), Code::InvalidValue),
                ("missing".to_owned(), Code::Required),
                ("items[1].n".to_owned(), Code::WrongType),
                ("items[2].n".to_owned(), Code::OutOfRange),
                ("items[2].more".to_owned(), Code::UnknownField),
                ("odd".to_owned(), Code::UnknownField),
            ]
        );
    }

    #[test]
    fn a_line_ends_nowhere_and_turns_nothing_round() {
        for odd in
            ['\n', '\u{1b}', '\u{7f}', '\u{9b}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}']
        {
            let text = format!("a{odd}b");
            let problems = line(1..=8)(&json!(text)).unwrap_err();
            let problem = problems.iter().next().unwrap();
            assert_eq!(
                (problem.code, problem.message.ends_with("; leave it out")),
                (Code::InvalidValue, true),
                "{text:?}"
            );
            assert_eq!(excerpt(&text, 8), "a\u{fffd}b");
        }
        assert!(line(1..=8)(&json!("שלום")).is_ok());
    }

    #[test]
    fn numbers_are_whole_and_in_range() {
        assert_eq!(integer(1..=5)(&json!(5)), Ok(5));
        for (value, code) in [
            (json!(0), Code::OutOfRange),
            (json!(6), Code::OutOfRange),
            (json!(1.5), Code::WrongType),
            (json!("5"), Code::WrongType),
            (json!(18_446_744_073_709_551_615_u64), Code::OutOfRange),
        ] {
            assert_eq!(integer(1..=5)(&value).unwrap_err().iter().next().unwrap().code, code, "{value}");
        }
    }
}
