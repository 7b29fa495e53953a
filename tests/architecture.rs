//! The shape of the source, held by reading it: who may import whom, where SQL may stand, how long a file may be.
//!
//! Each rule is also shown a bad sample, so that it is known to fail.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

#[path = "architecture/paths.rs"]
mod paths;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/samples.rs"]
mod samples;
#[path = "architecture/tokens.rs"]
mod tokens;

use std::fs;
use std::path::{Path, PathBuf};

use rules::Source;

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let source = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        Source { path: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), text }
    };
    files.into_iter().map(source).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[track_caller]
fn assert_kept(rule: impl Fn(&Source) -> Vec<String>) {
    let found: Vec<String> = sources().iter().flat_map(rule).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn imports_point_one_way() {
    assert_kept(rules::imports);
}

#[test]
fn only_the_store_has_sql() {
    assert_kept(rules::sql);
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    assert_kept(rules::length);
    assert_kept(rules::head);
}

#[test]
fn the_crate_lists_its_modules_and_each_has_its_place() {
    let sources = sources();
    let found = rules::modules(&sources);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}
