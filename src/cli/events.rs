//! `calltaskd events`: what a downstream system gets.

use std::io;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::session::Session;
use super::{output, reply};

/// Print events as they come off the bus, one JSON line each.
///
/// They are printed from the moment on that `subscribed` stands on stderr, and only as long as this runs: a system
/// that must not miss one has a queue of its own.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// A pattern of routing keys, like `call.ended.*` or `task.#`
    #[arg(long, default_value = "#")]
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
    eprintln!("subscribed");
    let mut printed = 0;
    loop {
        let event = events.next().await?;
        print(&event)?;
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

/// As it came; only an event that has line breaks is written anew, to be one line.
fn print(body: &[u8]) -> io::Result<()> {
    match serde_json::from_slice::<Value>(body) {
        Ok(event) if body.contains(&b'\n') => output::line(&event.to_string()),
        _ => output::bytes(body),
    }
}
