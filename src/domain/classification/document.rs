//! Holds the tables of docs/call-results.md equal to the code: an operator who writes rules reads them.

use std::ops::RangeInclusive;
use std::path::Path;

use super::table::{ANY, LOCAL, OWN_WORD, Only, Row, SIGNALLED, Step};
use super::*;

fn told(cause: LocalCause) -> &'static str {
    match cause {
        LocalCause::Stopped => "calltaskd took the call back, as at the end of `shutdown.grace_seconds`",
        LocalCause::RingTimeout => "not answered within the ring timeout",
        LocalCause::NoReply => "no last response from the trunk: nothing came back, or the connection broke",
        LocalCause::Unreachable => "the call could not be sent: no address, or no connection",
        LocalCause::AuthenticationFailed => "the trunk did not take the credentials",
        LocalCause::AgentFailed => "the callee answered, the agent could not be connected",
        LocalCause::MediaMismatch => "the callee answered with media that no agent could be connected to",
    }
}

fn ranges(statuses: &[RangeInclusive<u16>]) -> String {
    let texts = statuses.iter().map(|range| match (*range.start(), *range.end()) {
        (one, same) if one == same => one.to_string(),
        (first, last) => format!("{first}–{last}"),
    });
    texts.collect::<Vec<_>>().join(", ")
}

fn numbers(numbers: &[u16]) -> String {
    numbers.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

fn line(row: &Row) -> String {
    let (seen, rule) = match row.step {
        Step::Local(cause, rule) => (told(cause).to_owned(), rule.to_owned()),
        Step::Q850(causes, ANY) => (format!("Q.850 {}", numbers(causes)), format!("q850-N{}", row.suffix())),
        Step::Q850(causes, statuses) => {
            (format!("Q.850 {} with {}", numbers(causes), ranges(statuses)), format!("q850-N{}", row.suffix()))
        }
        Step::Sip(statuses) => (ranges(statuses), format!("sip-N{}", row.suffix())),
    };
    let only = match row.only {
        Only::Always => "",
        Only::Rang => "it rang",
        Only::Silent => "it did not ring",
        Only::ByUser => "the cause has `location=U`",
        Only::Blocked => "a text speaks of blocking",
    };
    let Ending { result, scope, counted, trunk } = row.ending;
    let counted = if counted { "yes" } else { "no" };
    let trunk = match trunk {
        TrunkState::Fine => "",
        TrunkState::Overloaded => "overloaded",
        TrunkState::Broken => "broken",
    };
    format!("| {seen} | {only} | `{result}` | `{scope}` | {counted} | {trunk} | `{rule}` |\n")
}

fn table(rows: &[Row]) -> String {
    let head = "| seen | only if | `result` | `scope` | counted | trunk | `rule` |\n|---|---|---|---|---|---|---|\n";
    rows.iter().fold(head.to_owned(), |table, row| table + &line(row))
}

#[test]
fn the_document_has_the_tables_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/call-results.md");
    let document = std::fs::read_to_string(path).unwrap();
    let own_word = format!("({})", numbers(&OWN_WORD));
    for part in [table(LOCAL), table(SIGNALLED), own_word] {
        assert!(document.contains(&part), "docs/call-results.md should have\n\n{part}");
    }
}
