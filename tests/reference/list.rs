//! The numbered list and the tests are one: each sentence has its test, each test its sentence.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const LIST: &str = include_str!("../../docs/call-task-management.md");

/// The numbered entries of the list with what goes on below them.
fn sentences() -> Vec<(usize, String)> {
    let mut sentences: Vec<(usize, String)> = Vec::new();
    for line in LIST.lines() {
        let number = line.split_once(". ").and_then(|(number, _)| number.parse().ok());
        match (number, sentences.last_mut()) {
            (Some(number), _) => sentences.push((number, line.to_owned())),
            (None, Some((_, text))) if line.starts_with(' ') => text.push_str(line),
            _ => {}
        }
    }
    sentences
}

/// What stands in back quotes and looks like a test of this list.
fn quoted_tests(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|word| test_number(word).is_some())
}

/// The number in `s07_…`.
fn test_number(name: &str) -> Option<usize> {
    let (number, rest) = name.strip_prefix('s')?.split_at_checked(2)?;
    rest.strip_prefix('_').and_then(|_| number.parse().ok())
}

/// The functions of the sources that are named so, and whether each is a test.
fn tests_of_sources() -> Vec<(String, bool)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let mut is_test = false;
        for line in text.lines() {
            if line.starts_with("#[") {
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                continue;
            }
            let name = line.split_once("fn ").and_then(|(_, rest)| rest.split('(').next()).unwrap_or_default();
            if test_number(name).is_some() {
                found.push((name.to_owned(), is_test));
            }
            is_test = false;
        }
    }
    found
}

#[test]
fn each_sentence_has_its_test_and_each_test_its_sentence() {
    let mut listed = Vec::new();
    for (number, sentence) in sentences() {
        let tests: Vec<&str> = quoted_tests(&sentence).collect();
        assert_eq!(tests.len(), 1, "sentence {number} names {tests:?}");
        assert_eq!(test_number(tests[0]), Some(number), "sentence {number} names {}", tests[0]);
        listed.push((number, tests[0].to_owned()));
    }
    let numbers: Vec<usize> = listed.iter().map(|(number, _)| *number).collect();
    assert!(
        !numbers.is_empty() && numbers.iter().copied().eq(1..=numbers.len()),
        "not one after the other: {numbers:?}"
    );
    let sources = tests_of_sources();
    for (name, is_test) in &sources {
        assert!(is_test, "{name} is no test");
    }
    assert_eq!(sources.len(), numbers.len(), "as many tests as sentences");
    let names = |names: Vec<String>| names.into_iter().collect::<BTreeSet<_>>();
    let tests = names(sources.into_iter().map(|(name, _)| name).collect());
    assert_eq!(
        tests,
        names(listed.into_iter().map(|(_, name)| name).collect()),
        "tests on the left, sentences on the right"
    );
}
