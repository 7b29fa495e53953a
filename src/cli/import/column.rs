//! What the first line of a file names: the number, the id, and variables.

use std::collections::HashSet;

use anyhow::bail;
use serde_json::Value;

use crate::bus::wire::v1::reading::is_key;
use crate::cli::reply::text;
use crate::domain::fields::excerpt;

/// The columns that stand last in a file of rejected rows, beside those of the file that was imported.
pub const REASON: [&str; 3] = ["line", "code", "message"];

/// Nobody has so many columns of callees.
pub const MOST_COLUMNS: usize = 1_000;

#[derive(Debug, Clone)]
pub enum Column {
    CalledNumber,
    OutId,
    Variable(String),
}

impl Column {
    /// As the first line names it.
    pub fn name(&self) -> &str {
        match self {
            Self::CalledNumber => "calledNumber",
            Self::OutId => "outId",
            Self::Variable(key) => key,
        }
    }

    /// What a callee has in this column.
    pub fn cell<'v>(&self, callee: &'v Value) -> &'v str {
        match self {
            Self::Variable(key) => callee.get("variables").map_or("", |variables| text(variables, key)),
            _ => text(callee, self.name()),
        }
    }
}

/// The columns, unless one has no sound name, two have the same, or there is no number.
pub fn columns(names: &[&str]) -> anyhow::Result<Vec<Column>> {
    let names: Vec<_> = names.iter().map(|name| name.trim()).collect();
    if names.iter().any(|name| name.contains('\r')) {
        bail!(
            "its lines end in CR alone, so that all of it is one line; save it as CSV with the line ends of Windows or Unix"
        );
    }
    if names.len() > MOST_COLUMNS {
        bail!("the first line names {} columns; at most {MOST_COLUMNS} are read", names.len());
    }
    let mut seen = HashSet::new();
    for (index, name) in names.iter().enumerate() {
        if !is_key(name) {
            bail!("column {} has no name, or one that is too long (64 characters) or not printable", index + 1);
        }
        if !seen.insert(name) {
            bail!("there are two columns {name}; rename one");
        }
    }
    if !names.contains(&"calledNumber") {
        let found = names.iter().map(|name| excerpt(name, 64)).collect::<Vec<_>>().join(", ");
        bail!("the first line names no column calledNumber; the columns found are {found}");
    }
    let column = |name: &&str| match *name {
        "calledNumber" => Column::CalledNumber,
        "outId" => Column::OutId,
        variable => Column::Variable(variable.to_owned()),
    };
    Ok(names.iter().map(column).collect())
}
