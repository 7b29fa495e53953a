//! `calltaskd events`: what a downstream system gets.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::arguments::{SHORT, short};
use super::session::Session;
use super::{output, reply};
use crate::domain::visible;

/// Print events as they come off the bus, one JSON line each.
///
/// They are printed from the moment on that `subscribed` stands on stderr, and only as long as this runs: a system
/// that must not miss one has a queue of its own.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// A pattern of routing keys, like `call.ended.*` or `task.#`
    #[arg(long, default_value = "#", value_parser = short(SHORT))]
    pattern: String,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after an event of this type, like task.completed
    #[arg(long, value_name = "TYPE")]
    until: Option<String>,
}

pub async fn run(session: &Session, arguments: &EventsArgs) -> anyhow::Result<ExitCode> {
    let client = session.client().await?;
    let mut events = client.events(&arguments.pattern).await?;
    output::aside("subscribed");
    let mut printed = 0;
    loop {
        let event = events.next().await?;
        output::bytes(shown(&event).as_bytes())?;
        printed += 1;
        if arguments.count == Some(printed) || arguments.ends_with(&event) {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

impl EventsArgs {
    fn ends_with(&self, body: &[u8]) -> bool {
        let Some(last) = &self.until else {
            return false;
        };
        serde_json::from_slice::<Value>(body).is_ok_and(|event| reply::text(&event, "type") == last)
    }
}

/// As it came; only an event that has line breaks is written anew, to be one line, and what is no event is shown.
fn shown(body: &[u8]) -> String {
    match (serde_json::from_slice::<Value>(body), str::from_utf8(body)) {
        (Ok(_), Ok(text)) if !text.contains(|letter: char| letter < ' ') => output::plain(text),
        (Ok(event), _) => output::plain(&event.to_string()),
        (Err(_), _) => visible::line(&String::from_utf8_lossy(body)).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_that_no_terminal_obeys() {
        assert_eq!(shown(br#"{"b": 1, "a":2.50}"#), r#"{"b": 1, "a":2.50}"#);
        assert_eq!(shown(b"{\n\t\"a\": 1\r\n}"), r#"{"a":1}"#);
        assert_eq!(shown("{\"a\": \"\u{9b}31m\u{202e}\"}".as_bytes()), r#"{"a": "\u009b31m\u202e"}"#);
        assert_eq!(shown(b"\x1b[2Jno\nevent\xff"), "\\u{1b}[2Jno\\nevent\u{fffd}");
    }
}
