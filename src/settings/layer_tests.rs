//! Which layer wins, and what is wrong with a whole layer.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::tests::{directory, found, loaded, problems};
use super::*;
use crate::domain::problem::Code;

#[test]
fn the_environment_goes_over_the_file_and_the_file_over_the_defaults() {
    let text = "[bus]\nprefix = \"file\"\nconfirm_window = 7\n[database]\nmax_connections = 9";
    let environment = [
        ("CALLTASKD__BUS__PREFIX", "environment"),
        ("CALLTASKD__DATABASE__MIGRATE_ON_START", "False"),
        ("CALLTASKD__SHUTDOWN__GRACE_SECONDS", "3"),
        ("CALLTASKD_TEST_FULL", "1"),
        ("PATH", "/bin"),
    ];
    let settings = loaded(text, &environment).unwrap();
    assert_eq!(settings.bus.prefix, "environment");
    assert_eq!(settings.bus.confirm_window, 7);
    assert_eq!(settings.database.max_connections, 9);
    assert!(!settings.database.migrate_on_start);
    assert_eq!(settings.shutdown.grace, Duration::from_secs(3));
    assert_eq!(settings.inbox.keep_days, 30);
}

#[test]
fn texts_of_the_environment_stay_as_they_are() {
    for text in ["123", "1e5", "true", "0x10", "1,2", "[1]", "\"quoted\"", "007", "null"] {
        let environment = [("CALLTASKD__NODE__NAME", text), ("CALLTASKD__BUS__PREFIX", text)];
        let settings = loaded("", &environment).unwrap();
        assert_eq!((settings.node.name.as_str(), settings.bus.prefix.as_str()), (text, text));
    }
}

#[test]
fn variables_that_give_no_setting_are_named_as_they_are_spelled() {
    let environment = [
        ("CALLTASKD__DATABASE__ULR", "x"),
        ("calltaskd__Nowhere__KEY", "x"),
        ("CALLTASKD__TRUNKS__SIMULATED__SEED", "1"),
        ("CALLTASKD__SIP__PORT", "5060"),
        ("CALLTASKD__DATABASE", "x"),
        ("CALLTASKD__BUS__URL__X", "x"),
    ];
    let problems = problems("", &environment);
    let names: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(names, environment.map(|(name, _)| name));
    assert!(problems[0].message.contains("database.url_file"), "{}", problems[0]);
    assert!(problems[1].message.contains("database, bus"), "{}", problems[1]);
    assert!(problems[2].message.contains("in the file alone"), "{}", problems[2]);
    assert!(problems[3].message.contains("sip.bind"), "{}", problems[3]);
}

#[test]
fn a_setting_that_the_environment_gives_twice_is_a_problem() {
    let environment = [("CALLTASKD__NODE__NAME", "one"), ("calltaskd__node__name", "two")];
    let expected = [("calltaskd__node__name".to_owned(), Code::InvalidValue)];
    assert_eq!(found("", &environment), expected);
    let mangled = [("CALLTASKD__NODE__NAME", "dial\u{fffd}r")];
    assert_eq!(found("", &mangled), [("CALLTASKD__NODE__NAME".to_owned(), Code::InvalidValue)]);
}

#[test]
fn the_environment_replaces_a_secret_of_the_file_in_either_form() {
    let secret = "amqp://secret:word@bus:5672/%2f";
    let settings = loaded("[bus]\nurl_file = \"DIRECTORY/secret\"", &[]).unwrap();
    assert_eq!(settings.bus.url.expose_secret(), secret);
    let given = "amqp://other@bus";
    let file = "[bus]\nurl_file = \"/nonexistent/url\"";
    let settings = loaded(file, &[("CALLTASKD__BUS__URL", given)]).unwrap();
    assert_eq!(settings.bus.url.expose_secret(), given);

    let directory = directory("secret");
    let path = directory.join("url");
    std::fs::write(&path, "amqp://from-file@bus\r\n").unwrap();
    let path = path.to_str().unwrap();
    let url_file = ("CALLTASKD__BUS__URL_FILE", path);
    let settings = loaded("[bus]\nurl = \"amqp://file@bus\"", &[url_file]).unwrap();
    assert_eq!(settings.bus.url.expose_secret(), "amqp://from-file@bus");
    let both = problems("", &[url_file, ("CALLTASKD__BUS__URL", given)]);
    assert_eq!(both.len(), 1);
    assert_eq!(both[0].field, "bus.url");
    assert!(both[0].message.contains("bus.url_file"), "{}", both[0]);
    assert!(both[0].message.contains("CALLTASKD__BUS__URL)"), "{}", both[0]);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_file_that_is_no_toml_is_one_problem_with_line_and_column() {
    let text = "[bus]\nprefix = \"a\"\nconfirm_window = = 3\n[nonsense]";
    let problems = problems(text, &[("CALLTASKD__INBOX__KEEP_DAYS", "0")]);
    assert_eq!(problems.len(), 2);
    assert!(problems[0].message.contains("line 3, column 18"), "{}", problems[0]);
    assert!(problems[0].field.ends_with("/calltaskd.toml"), "{}", problems[0]);
    assert!(!problems[0].message.contains('\n'), "{}", problems[0]);
    assert_eq!(problems[1].field, "inbox.keep_days");
}

#[test]
fn a_file_that_is_asked_for_must_exist() {
    let missing = load(Some(Path::new("/nonexistent/calltaskd.toml")), []).unwrap_err();
    let missing: Vec<_> = missing.into_iter().collect();
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].field, "/nonexistent/calltaskd.toml");
    assert_eq!(missing[0].code, Code::Unreadable);
}
