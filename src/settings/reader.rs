//! Reads the merged layers section by section, collects every problem and remembers each key it asked for.
//!
//! The list of known settings is what was asked for; there is no second list that could fall behind. Must not
//! know any setting by name: those stand in the files of the sections.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use super::layers::Layers;
use crate::domain::fields::{self, Fields, Parsed};
use crate::domain::problem::{Code, Problem, Problems};

/// All sections, one after the other.
pub(super) struct Reader<'v> {
    layers: &'v Layers,
    root: Option<Fields<'v>>,
    asked: Vec<String>,
    problems: Problems,
}

/// What a reading found, besides the settings.
pub(super) struct Found {
    /// Each with the place that its value comes from.
    pub problems: Problems,
    /// Every setting that was asked for, like `database.url`.
    pub asked: Vec<String>,
}

impl<'v> Reader<'v> {
    pub fn of(layers: &'v Layers) -> Self {
        let root = Fields::of(layers.tree()).ok();
        Self { layers, root, asked: Vec::new(), problems: Problems::none() }
    }

    /// Reads one section; one that is left out, or is no table, is read as empty.
    pub fn section<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'v>) -> T) -> T {
        let value = self.table(name);
        let mut section = Section::of(name.to_owned(), value, self.layers);
        let settings = read(&mut section);
        self.take(section);
        settings
    }

    /// A table of the root, when it is there.
    pub fn table(&mut self, name: &'static str) -> Option<&'v Value> {
        self.root.as_mut()?.optional(name, |value| match value {
            Value::Object(_) => Ok(value),
            other => Err(fields::wrong_type(&format!("a table, written [{name}]"), other)),
        })
    }

    /// A section for a table that [`Reader::table`] holds; [`Reader::take`] takes it back.
    pub fn nested(&self, path: String, value: &'v Value) -> Section<'v> {
        Section::of(path, Some(value), self.layers)
    }

    /// Ends a section.
    pub fn take(&mut self, section: Section<'v>) {
        let Section { path, fields, asked, judged, .. } = section;
        self.asked.extend(asked);
        let found = fields.map_or_else(Problems::none, Fields::finish);
        for problem in found.under(&path) {
            if judged || problem.code != Code::UnknownField {
                self.problems.add(problem);
            }
        }
    }

    pub fn problem(&mut self, problem: Problem) {
        self.problems.add(problem);
    }

    pub fn finish(mut self) -> Found {
        if let Some(root) = self.root {
            self.problems.append(root.finish());
        }
        let mut problems = Problems::none();
        for problem in self.problems {
            problems.add(self.layers.with_origin(problem));
        }
        Found { problems, asked: self.asked }
    }
}

/// One table of settings being read. What is wrong is noted, and the default stands in for it.
pub(super) struct Section<'v> {
    path: String,
    fields: Option<Fields<'v>>,
    layers: &'v Layers,
    asked: Vec<String>,
    judged: bool,
}

impl<'v> Section<'v> {
    fn of(path: String, value: Option<&'v Value>, layers: &'v Layers) -> Self {
        let fields = value.and_then(|value| Fields::of(value).ok());
        Self { path, fields, layers, asked: Vec::new(), judged: true }
    }

    /// A setting that may be left out.
    pub fn optional<T>(&mut self, key: &'static str, parse: impl FnOnce(&'v Value) -> Parsed<T>) -> Option<T> {
        self.asked.push(self.path_of(key));
        self.fields.as_mut()?.optional(key, parse)
    }

    /// A whole number that may be left out.
    pub fn count(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let typed = !self.environment_gives(key);
        self.optional(key, |value| match value.as_str() {
            Some(text) if !typed => number(text, range),
            _ => fields::count(range)(value),
        })
    }

    pub fn number(&mut self, key: &'static str, default: u32, range: RangeInclusive<u32>) -> u32 {
        self.count(key, range).unwrap_or(default)
    }

    pub fn seconds(&mut self, key: &'static str, default: u32, range: RangeInclusive<u32>) -> Duration {
        Duration::from_secs(self.number(key, default, range).into())
    }

    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let typed = !self.environment_gives(key);
        let flag = self.optional(key, |value| match value.as_str() {
            Some(text) if !typed => truth(text),
            _ => fields::boolean(value),
        });
        flag.unwrap_or(default)
    }

    /// True when the setting is given, right or wrong.
    pub fn has(&self, key: &str) -> bool {
        self.fields.as_ref().is_some_and(|fields| fields.has(key))
    }

    /// True when the environment gives the setting. It knows only texts, and it wins over the file.
    pub fn environment_gives(&self, key: &str) -> bool {
        self.layers.variable(&self.path_of(key)).is_some()
    }

    /// A key as an operator finds it, like `database.url`.
    pub fn path_of(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// The value of `key` when it was parsed; its problems are noted otherwise.
    pub fn note<T>(&mut self, key: &str, parsed: Parsed<T>) -> Option<T> {
        let problems = match parsed {
            Ok(value) => return Some(value),
            Err(problems) => problems.under(key),
        };
        for problem in problems {
            self.problem(problem);
        }
        None
    }

    /// Notes a problem of a key of this section.
    pub fn problem(&mut self, problem: Problem) {
        if let Some(fields) = &mut self.fields {
            fields.problem(problem);
        }
    }

    /// Says nothing about keys that were not asked for.
    pub fn leave_the_rest(&mut self) {
        self.judged = false;
    }
}

fn number(text: &str, range: RangeInclusive<u32>) -> Parsed<u32> {
    match text.trim().parse::<i64>() {
        Ok(number) => fields::count(range)(&number.into()),
        Err(_) => {
            let (least, most) = range.into_inner();
            let message = format!("must be a whole number from {least} to {most}");
            Err(Problem::new(Code::WrongType, message).into())
        }
    }
}

fn truth(text: &str) -> Parsed<bool> {
    let wrong = |_| Problem::new(Code::WrongType, "must be true or false").into();
    text.trim().to_ascii_lowercase().parse().map_err(wrong)
}
