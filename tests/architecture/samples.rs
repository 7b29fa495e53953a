//! Bad samples, and good ones that look bad: each rule must tell them apart.

use super::paths::mentions;
use super::rules::{self, Source};

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

/// The complaints about imports, as `line: who imports whom`.
fn complaints(path: &str, text: &str) -> Vec<String> {
    let prefix = format!("src/{path}:");
    let found = rules::imports(&source(path, text));
    found.iter().map(|complaint| complaint.strip_prefix(&prefix).unwrap().to_owned()).collect()
}

#[test]
fn an_import_against_the_layers_is_found_with_its_line() {
    for (path, text, expected) in [
        ("domain/task.rs", "//! x\nuse crate::store::Store;", "2: domain must not import store"),
        ("domain/task.rs", "\nfn f() { crate::clock::now() }", "2: domain must not import clock"),
        ("bus/mod.rs", "use crate::store;", "1: bus must not import store"),
        ("store/mod.rs", "pub(crate) use crate::bus::Bus as Carrier;", "1: store must not import bus"),
        ("settings/mod.rs", "use crate::bus::Topology;", "1: settings must not import bus"),
        ("consumer/mod.rs", "use crate::dispatcher::Dispatcher;", "1: consumer must not import dispatcher"),
        ("publisher/mod.rs", "type T = Option<crate::daemon::Daemon>;", "1: publisher must not import daemon"),
        ("retry.rs", "use crate::clock::Clock;", "1: retry must not import clock"),
        ("store/mod.rs", "use crate::util::x;", "1: store must not import util"),
        ("store/mod.rs", "use crate::*;", "1: store must not import *"),
        ("store/mod.rs", "use super::bus::Bus;", "1: store must not import bus"),
        ("store/tasks.rs", "use super::super::dialer::Dialer;", "1: store must not import dialer"),
        ("store/mod.rs", "mod tests { use super::super::bus::Bus; }", "1: store must not import bus"),
        ("store/mod.rs", "macro_rules! m { () => { $crate::bus::f() } }", "1: store must not import bus"),
        ("dialer/mod.rs", "fn f() {\n  let x = vec![crate::cli::A];\n}", "2: dialer must not import cli"),
    ] {
        assert_eq!(complaints(path, text), [expected], "{text}");
    }
}

#[test]
fn braces_within_braces_are_followed() {
    let text = "use crate::{\n  domain::{ids::{TaskId, self}, task},\n  bus::{Bus, topology},\n  dispatcher,\n};\nuse super::{super::{consumer}, tasks};";
    let expected =
        ["3: store must not import bus", "4: store must not import dispatcher", "6: store must not import consumer"];
    assert_eq!(complaints("store/tasks.rs", text), expected);
}

#[test]
fn the_way_down_is_free() {
    for (path, text) in [
        ("cli/mod.rs", "use crate::{daemon::Daemon, bus, settings, domain::ids};"),
        ("daemon/mod.rs", "use crate::consumer; use crate::dispatcher; use crate::publisher; use crate::janitor;"),
        (
            "dialer/simulated/mod.rs",
            "use super::{Dialer, super::dialer}; use crate::clock::Clock; use crate::store::x;",
        ),
        ("store/attempts/mod.rs", "use super::super::domain::ids; use super::tasks; use crate::store::error;"),
        ("store/mod.rs", "mod tests { use super::*; fn f() { super::x(); } } use self::tasks::X;"),
        (
            "domain/task.rs",
            "// use crate::store;\n/* crate::bus::x /* */ crate::cli::y */ const S: &str = \"crate::store::x\";",
        ),
        ("domain/task.rs", "const S: &str = r#\"crate::store::\"x\"#; const C: char = '\"'; fn f<'a>(x: &'a str) {}"),
        ("domain/task.rs", "pub(crate) fn f() { other::crate_::store::x(); }"),
        ("main.rs", "fn main() { calltaskd::cli::run() }"),
        ("lib.rs", "pub mod bus;"),
    ] {
        assert_eq!(complaints(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn the_program_starts_the_command_line_alone() {
    let found = complaints("main.rs", "use calltaskd::{cli, daemon};");
    assert_eq!(found, ["1: main.rs imports nothing but cli"]);
}

#[test]
fn a_quote_as_a_character_hides_nothing() {
    let text = "const C: char = '\"'; use crate::bus; const D: char = '\\''; use crate::cli; const E: &str = \"\\\"\"; use crate::dialer;";
    let modules: Vec<_> = mentions("store/mod.rs", text).into_iter().map(|mention| mention.module).collect();
    assert_eq!(modules, ["bus", "cli", "dialer"]);
}

#[test]
fn sql_outside_the_store_is_found() {
    for text in ["use diesel::prelude::*;", "\nfn f() { diesel::sql_query(\"\"); }", "use diesel_async as db;"] {
        assert!(!rules::sql(&source("dispatcher/mod.rs", text)).is_empty(), "{text}");
        assert!(rules::sql(&source("store/tasks.rs", text)).is_empty(), "{text}");
    }
    assert!(rules::sql(&source("bus/mod.rs", "// like diesel::insert\nconst S: &str = \"diesel\";")).is_empty());
}

#[test]
fn long_files_and_files_without_a_purpose_are_found() {
    assert!(rules::length(&source("a.rs", &"\n".repeat(400))).is_empty());
    assert_eq!(rules::length(&source("a.rs", &"\n".repeat(401))).len(), 1);
    assert!(rules::head(&source("a.rs", "//! What it is for.\n")).is_empty());
    assert_eq!(rules::head(&source("a.rs", "use std::fs;\n//! Too late.")).len(), 1);
}

#[test]
fn a_module_that_is_not_listed_or_has_no_place_is_found() {
    let root = source("lib.rs", "//! The map.\npub mod bus;\nmod domain;");
    let bus = source("bus/mod.rs", "");
    assert!(rules::modules(&[root.clone(), bus.clone(), source("domain/ids.rs", "")]).is_empty());
    let found = rules::modules(&[root.clone(), source("store/mod.rs", "")]);
    assert_eq!(found, ["src/lib.rs:1: does not list store"]);
    let found = rules::modules(&[root, source("helpers.rs", "")]);
    assert_eq!(found.len(), 2);
    assert_eq!(rules::modules(&[bus]), ["src/lib.rs is missing"]);
}
