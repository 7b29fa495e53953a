//! The rules, each of which names file and line of what breaks it.

use std::collections::BTreeSet;

use super::paths::mentions;
use super::tokens::tokens;

/// One file below `src/`.
#[derive(Debug, Clone)]
pub struct Source {
    pub path: String,
    pub text: String,
}

/// From the bottom to the top: a module imports those of the tiers below its own, and itself.
const TIERS: [&[&str]; 9] = [
    &["domain"],
    &["clock", "retry", "safeguards", "telemetry"],
    &["settings"],
    &["bus", "objects", "store"],
    &["dialer"],
    &["consumer", "dispatcher", "publisher", "janitor", "export", "archivist"],
    &["admin"],
    &["daemon"],
    &["cli"],
];

/// What only the store may know.
const SQL: [&str; 4] = ["diesel", "diesel_async", "diesel_migrations", "sql_query"];

const SQL_HOME: &str = "store";

const MOST_LINES: usize = 400;

fn tier(module: &str) -> Option<usize> {
    TIERS.iter().position(|tier| tier.contains(&module))
}

impl Source {
    /// The top-level module that the file belongs to; `None` for the crate's roots.
    fn module(&self) -> Option<&str> {
        let first = self.path.split('/').next().unwrap();
        let name = first.strip_suffix(".rs").unwrap_or(first);
        (!["lib", "main"].contains(&name)).then_some(name)
    }

    fn complaint(&self, line: usize, text: &str) -> String {
        format!("src/{}:{line}: {text}", self.path)
    }
}

/// Nobody imports against the layers.
pub fn imports(source: &Source) -> Vec<String> {
    let Some(module) = source.module() else {
        return program_imports(source);
    };
    let own = tier(module);
    let forbidden = |other: &str| other != module && tier(other).is_none_or(|other| own.is_none_or(|own| other >= own));
    let named = mentions(&source.path, &source.text);
    let against = named.into_iter().filter(|mention| forbidden(&mention.module));
    against
        .map(|mention| {
            let text = format!("{module} must not import {}", mention.module);
            source.complaint(mention.line, &text)
        })
        .collect()
}

/// The program only starts the command line.
fn program_imports(source: &Source) -> Vec<String> {
    let named = mentions(&source.path, &source.text);
    let others = named.into_iter().filter(|mention| source.path == "main.rs" && mention.module != "cli");
    others.map(|mention| source.complaint(mention.line, "main.rs imports nothing but cli")).collect()
}

/// SQL stands in the store alone.
pub fn sql(source: &Source) -> Vec<String> {
    if source.module() == Some(SQL_HOME) {
        return Vec::new();
    }
    let words = tokens(&source.text);
    let found = words.iter().filter(|word| SQL.contains(&word.text.as_str()));
    found.map(|word| source.complaint(word.line, &format!("{} belongs into {SQL_HOME}", word.text))).collect()
}

/// A file that grows too long has more than one purpose.
pub fn length(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    let text = format!("{lines} lines; at most {MOST_LINES} are allowed");
    if lines > MOST_LINES { vec![source.complaint(lines, &text)] } else { Vec::new() }
}

/// Each file begins by saying what it is for.
pub fn head(source: &Source) -> Vec<String> {
    let begins = source.text.starts_with("//!");
    if begins { Vec::new() } else { vec![source.complaint(1, "must begin with //! and what the file is for")] }
}

/// `lib.rs` declares every module, and each module has a tier.
pub fn modules(sources: &[Source]) -> Vec<String> {
    let there: BTreeSet<&str> = sources.iter().filter_map(Source::module).collect();
    let Some(root) = sources.iter().find(|source| source.path == "lib.rs") else {
        return vec!["src/lib.rs is missing".to_owned()];
    };
    let words = tokens(&root.text);
    let declared: BTreeSet<&str> = words
        .windows(3)
        .filter(|three| three[0].text == "mod" && [";", "{"].contains(&three[2].text.as_str()))
        .map(|three| three[1].text.as_str())
        .collect();
    let missing = there.difference(&declared).map(|module| root.complaint(1, &format!("does not list {module}")));
    let placeless = there.iter().filter(|module| tier(module).is_none());
    let placeless = placeless.map(|module| format!("src/{module}: has no tier in tests/architecture/rules.rs"));
    missing.chain(placeless).collect()
}
