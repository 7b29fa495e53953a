//! What `load` accepts, what it refuses, and in which words.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::domain::problem::{Code, Problem};

/// A new empty directory of this test's own.
pub(super) fn directory(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("calltaskd-settings-{name}-{}-{count}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// Loads a file with this text; the word `DIRECTORY` in it is where a file `secret` holds a URL.
pub(super) fn loaded(text: &str, environment: &[(&str, &str)]) -> Result<Settings, Problems> {
    let directory = directory("load");
    std::fs::write(directory.join("secret"), "amqp://secret:word@bus:5672/%2f\n").unwrap();
    std::fs::write(directory.join("empty"), "\n").unwrap();
    let file = directory.join("calltaskd.toml");
    std::fs::write(&file, text.replace("DIRECTORY", directory.to_str().unwrap())).unwrap();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let settings = load(Some(&file), environment);
    std::fs::remove_dir_all(directory).unwrap();
    settings
}

pub(super) fn problems(text: &str, environment: &[(&str, &str)]) -> Vec<Problem> {
    loaded(text, environment).unwrap_err().into_iter().collect()
}

/// Each problem's key and code.
pub(super) fn found(text: &str, environment: &[(&str, &str)]) -> Vec<(String, Code)> {
    let found = problems(text, environment).into_iter();
    found.map(|problem| (problem.field, problem.code)).collect()
}

#[test]
fn five_mistakes_are_five_problems_each_with_its_key_and_its_file() {
    let text = r#"
        [database]
        max_conections = 8
        url_file = "/nonexistent/database-url"
        statement_timeout_seconds = "soon"
        [bus]
        confirm_window = 0
        url = "amqp://a:b@bus/%2f"
        url_file = "DIRECTORY/secret"
    "#;
    let expected = [
        ("database.url_file", Code::Unreadable),
        ("database.statement_timeout_seconds", Code::WrongType),
        ("database.max_conections", Code::UnknownField),
        ("bus.url", Code::InvalidValue),
        ("bus.confirm_window", Code::OutOfRange),
    ];
    assert_eq!(found(text, &[]), expected.map(|(key, code)| (key.to_owned(), code)));
    for problem in problems(text, &[]) {
        assert!(problem.message.ends_with("/calltaskd.toml)"), "{problem}");
    }
    let contradiction = &problems(text, &[])[3];
    assert!(contradiction.message.contains("bus.url_file"), "{contradiction}");
}

#[test]
fn every_problem_is_one_line_with_its_key_its_remedy_and_its_origin() {
    let environment = [("CALLTASKD__LIMITS__TASK_CONCURRENCY", "many")];
    let rendered = render(&loaded("[shutdown]\ngrace_seconds = true", &environment).unwrap_err());
    let lines: Vec<_> = rendered.lines().collect();
    assert_eq!(lines.len(), 2, "{rendered}");
    assert_eq!(
        lines[0],
        "limits.task_concurrency: must be a whole number from 1 to 100000 \
         (from CALLTASKD__LIMITS__TASK_CONCURRENCY)"
    );
    let start = "shutdown.grace_seconds: must be a whole number, not a boolean (from /";
    assert!(lines[1].starts_with(start), "{rendered}");
}

#[test]
fn a_text_in_the_file_is_no_number_there() {
    assert_eq!(found("[inbox]\nkeep_days = \"3\"", &[]), [("inbox.keep_days".to_owned(), Code::WrongType)]);
    assert!(loaded("", &[("CALLTASKD__INBOX__KEEP_DAYS", "3")]).is_ok());
    let not_a_number = found("[inbox]\nkeep_days = nan", &[]);
    assert_eq!(not_a_number, [("inbox.keep_days".to_owned(), Code::WrongType)]);
}

#[test]
fn no_problem_and_no_print_shows_a_secret() {
    let text = "[database]\nurl = \"mysql://u:hunter2@db\"\n[bus]\nurl = \"amqp://u:hunter2@bus:x\"";
    let rendered = render(&loaded(text, &[]).unwrap_err());
    assert_eq!(rendered.lines().count(), 2, "{rendered}");
    assert!(!rendered.contains("hunter2"), "{rendered}");
    let broken = render(&loaded("[bus]\nurl = \"amqp://u:hunter2@bus", &[]).unwrap_err());
    assert!(!broken.contains("hunter2"), "{broken}");
    let settings = loaded("[bus]\nurl = \"amqp://u:hunter2@bus\"", &[]).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    let empty = found("[bus]\nurl_file = \"DIRECTORY/empty\"", &[]);
    assert_eq!(empty, [("bus.url_file".to_owned(), Code::InvalidValue)]);
}

#[test]
fn sections_must_be_tables_and_values_must_mean_something() {
    let text = r#"
        inbox = 5
        nonsense = {}
        [tasks]
        time_zone = "Mars/Olympus"
        [numbers]
        default_region = "Germany"
        [logging]
        level = "verbose"
        format = "xml"
        [bus]
        prefix = "amq.calltaskd"
        [events]
        progress = true
    "#;
    let mut found = found(text, &[]);
    found.sort();
    let expected = [
        ("bus.prefix", Code::InvalidValue),
        ("events.progress", Code::NotYetSupported),
        ("inbox", Code::WrongType),
        ("logging.format", Code::InvalidValue),
        ("logging.level", Code::InvalidValue),
        ("nonsense", Code::UnknownField),
        ("numbers.default_region", Code::InvalidValue),
        ("tasks.time_zone", Code::InvalidValue),
    ];
    assert_eq!(found, expected.map(|(key, code)| (key.to_owned(), code)));
}

#[test]
fn a_virtual_host_is_as_long_as_amqp_has_names() {
    let url = |bytes: usize| format!("[bus]\nurl = \"amqp://u:p@mq.example/{}\"", "v".repeat(bytes));
    assert!(loaded(&url(255), &[]).is_ok());
    assert_eq!(found(&url(256), &[]), [("bus.url".to_owned(), Code::TooLong)]);
}

#[test]
fn limits_hold_at_their_ends() {
    let limit = |text: &str| loaded(&format!("[limits]\ntask_concurrency = {text}"), &[]);
    assert_eq!(limit("100000").unwrap().limits.task_concurrency, 100_000);
    assert_eq!(limit("1").unwrap().limits.task_concurrency, 1);
    for wrong in ["0", "100001", "-1", "9223372036854775807"] {
        assert!(limit(wrong).is_err(), "{wrong}");
    }
    let default = Settings::default();
    assert_eq!(default.limits.task_concurrency, 500);
    assert_eq!(default.events.unroutable_keep, Duration::from_secs(72 * 3_600));
    assert!(!default.node.name.is_empty());
}
