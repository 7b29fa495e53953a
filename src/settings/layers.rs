//! The layers that the settings come from, the file under the environment, and from which of them a value is.
//!
//! Must not judge a value: it only says which variables are none of a setting, and whether the file can be
//! read. Values of the environment stay texts, or a node named `123` would become a number.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use config::{Config, ConfigError, Environment, File, FileFormat, ValueKind};
use serde_json::Value;

use crate::domain::fields::excerpt;
use crate::domain::problem::{Code, Problem, Problems};

const DEFAULT_FILE: &str = "/etc/calltaskd/calltaskd.toml";
const PREFIX: &str = "calltaskd";
const SEPARATOR: &str = "__";

/// The merged layers.
pub(super) struct Layers {
    tree: Value,
    /// The variable that gives a setting, by its key.
    variables: BTreeMap<String, String>,
    file: Option<PathBuf>,
}

impl Layers {
    /// No file, no environment.
    pub fn none() -> Self {
        Self { tree: Value::Object(serde_json::Map::new()), variables: BTreeMap::new(), file: None }
    }

    /// Reads and merges, as far as it goes: a file that cannot be read hides no mistake of the environment.
    pub fn read(
        config_file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        known: &[String],
    ) -> (Self, Problems) {
        let (variables, mut problems) = variables(environment, known);
        let file = file(config_file).unwrap_or_else(|problem| {
            problems.add(problem);
            None
        });
        let text = file.as_ref().map_or("", |(_, text)| text);
        let tree = merged(text, &variables).or_else(|error| {
            let path = file.as_ref().map(|(path, _)| path.display().to_string());
            problems.add(syntax_problem(&path.unwrap_or_default(), &error));
            merged("", &variables)
        });
        let layers = Self {
            tree: tree.unwrap_or_default(),
            variables: variables.into_iter().map(|(key, (name, _))| (key, name)).collect(),
            file: file.map(|(path, _)| path),
        };
        (layers, problems)
    }

    pub fn tree(&self) -> &Value {
        &self.tree
    }

    /// The variable that gives the setting `key`.
    pub fn variable(&self, key: &str) -> Option<&str> {
        self.variables.get(key).map(String::as_str)
    }

    /// The same problem, telling also where the value comes from.
    pub fn with_origin(&self, mut problem: Problem) -> Problem {
        let file = self.file.as_ref().map(|path| path.display().to_string());
        if let Some(origin) = self.variable(&problem.field).map(str::to_owned).or(file) {
            problem.message = format!("{} (from {origin})", problem.message);
        }
        problem
    }
}

/// The text of the settings file. Only one that nobody asked for may be missing.
fn file(config_file: Option<&Path>) -> Result<Option<(PathBuf, String)>, Problem> {
    let path = config_file.unwrap_or(Path::new(DEFAULT_FILE));
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound && config_file.is_none() => Ok(None),
        Err(error) => {
            let message = format!("cannot be read: {error}; name a file that the daemon may read");
            Err(Problem::of(path.display().to_string(), Code::Unreadable, message))
        }
    }
}

/// Variables by the setting that they give, each with its name as spelled and its value.
type Variables = BTreeMap<String, (String, String)>;

fn variables(environment: impl IntoIterator<Item = (String, String)>, known: &[String]) -> (Variables, Problems) {
    let mut variables = Variables::new();
    let mut problems = Problems::none();
    let prefix = format!("{PREFIX}{SEPARATOR}");
    for (name, value) in environment {
        let lower = name.to_lowercase();
        let Some(key) = lower.strip_prefix(&prefix).map(|key| key.replace(SEPARATOR, ".")) else {
            continue;
        };
        let wrong = match variables.get(&key) {
            _ if !known.contains(&key) => Some(unknown(&key, known)),
            Some((first, _)) => {
                let message = format!("gives {key} a second time, after {first}; remove one");
                Some(Problem::new(Code::InvalidValue, message))
            }
            None if value.contains(char::REPLACEMENT_CHARACTER) => {
                Some(Problem::new(Code::InvalidValue, "is not UTF-8; write it in UTF-8"))
            }
            None => None,
        };
        match wrong {
            Some(Problem { code, message, .. }) => {
                let message = format!("{message} (from the environment)");
                problems.add(Problem::of(excerpt(&name, 128), code, message));
            }
            None => _ = variables.insert(key, (name, value)),
        }
    }
    (variables, problems)
}

/// Why the environment cannot give `key`.
fn unknown(key: &str, known: &[String]) -> Problem {
    let section = key.split('.').next().unwrap_or_default();
    if section == "trunks" {
        let message = "trunks stand in the file alone; write it there, under [trunks.NAME]";
        return Problem::new(Code::UnknownField, message);
    }
    let of_section = |other: &&String| other.split('.').next() == Some(section);
    let mut near: Vec<&str> = known.iter().filter(of_section).map(String::as_str).collect();
    if near.is_empty() {
        near = known.iter().filter_map(|key| key.split('.').next()).collect();
        near.dedup();
    }
    let (key, near) = (excerpt(key, 64), near.join(", "));
    let message = format!("there is no setting {key}; the known ones are {near}");
    Problem::new(Code::UnknownField, message)
}

fn merged(text: &str, variables: &Variables) -> Result<Value, ConfigError> {
    let variables = variables.values().cloned().collect();
    let environment =
        Environment::with_prefix(PREFIX).prefix_separator(SEPARATOR).separator(SEPARATOR).source(Some(variables));
    let config =
        Config::builder().add_source(File::from_str(text, FileFormat::Toml)).add_source(environment).build()?;
    Ok(json(config.cache))
}

/// The same value for [`crate::domain::fields`]. What JSON cannot hold becomes a text, which no number is read
/// from: as a null it would count as left out.
fn json(value: config::Value) -> Value {
    match value.kind {
        ValueKind::Nil => Value::Null,
        ValueKind::Boolean(flag) => flag.into(),
        ValueKind::I64(number) => number.into(),
        ValueKind::U64(number) => number.into(),
        ValueKind::I128(number) => number.to_string().into(),
        ValueKind::U128(number) => number.to_string().into(),
        ValueKind::Float(number) if number.is_finite() => number.into(),
        ValueKind::Float(number) => number.to_string().into(),
        ValueKind::String(text) => text.into(),
        ValueKind::Table(table) => Value::Object(table.into_iter().map(|(key, value)| (key, json(value))).collect()),
        ValueKind::Array(items) => items.into_iter().map(json).collect(),
    }
}

/// The parser shows the line it stumbled over, which may hold a password: only the place and the reason are kept.
fn syntax_problem(path: &str, error: &ConfigError) -> Problem {
    let text = error.to_string();
    let place = text.lines().next().and_then(|line| line.strip_prefix("TOML parse error at "));
    let message = match place {
        // After the place: a margin, the line itself, a mark below it, and then the reason.
        Some(place) => {
            let reason: Vec<_> = text.lines().skip(4).collect();
            format!("is not TOML at {place}: {}; mend it there", reason.join(", "))
        }
        None => format!("is not TOML: {text}; mend it"),
    };
    Problem::of(path, Code::Unreadable, message)
}
