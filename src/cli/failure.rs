//! How a command fails: what is printed, and the exit code that a script sees.
//!
//! The codes are those of `sysexits.h`, so that a unit file can tell settings that need a person
//! (`RestartPreventExitStatus=78`) from a broker that is away.

use std::io;
use std::process::ExitCode;

use super::output;
use crate::bus::{BusError, ClientError};
use crate::domain::problem::Problems;
use crate::domain::visible;
use crate::settings;
use crate::store::{StoreError, Verdict};

/// `EX_UNAVAILABLE`: nobody is there who could do it.
const UNAVAILABLE: u8 = 69;
/// `EX_CONFIG`.
pub const WRONG_SETTINGS: u8 = 78;

/// A failure that is not an error of this program.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{}", settings::render(.0))]
    Settings(Problems),
    /// The daemon's no: one line for each reason.
    #[error("{0}")]
    Refused(String),
}

/// Prints what went wrong; gives the exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    match error.downcast_ref::<Failure>() {
        Some(_) => output::aside(&in_words(error)),
        None => output::aside(&format!("calltaskd: {}", in_words(error))),
    }
    if let Some(hint) = hint(error) {
        output::aside(hint);
    }
    ExitCode::from(exit_code(error))
}

/// What to do about a server that cannot be reached.
fn hint(error: &anyhow::Error) -> Option<&'static str> {
    const BROKER: &str = "Is RabbitMQ running there (systemctl status rabbitmq-server), and are address, user and password of \
        bus.url right?";
    const STORE: &str = "Is Postgres running there (systemctl status postgresql), and is database.url right?";
    let is_bus = |error: &BusError| matches!(error, BusError::Broker(_) | BusError::Timeout(..));
    let bus = match error.downcast_ref::<ClientError>() {
        Some(ClientError::Bus(error)) => is_bus(error),
        Some(ClientError::Broker(_)) => true,
        _ => error.downcast_ref::<BusError>().is_some_and(is_bus),
    };
    let store = matches!(error.downcast_ref::<StoreError>(), Some(StoreError::Unreachable(_)));
    bus.then_some(BROKER).or_else(|| store.then_some(STORE))
}

/// The error with its causes; many an error names its cause already. Only a failure of ours has lines.
fn in_words(error: &anyhow::Error) -> String {
    let shown = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<Failure>() {
        Some(failure) => failure.to_string(),
        None => visible::line(&cause.to_string()).into_owned(),
    };
    error.chain().map(shown).fold(String::new(), |words, cause| match words.as_str() {
        "" => cause,
        _ if words.contains(&cause) => words,
        _ => format!("{words}: {cause}"),
    })
}

/// Whoever read our output has seen enough: `calltaskd events | head -n 3`.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(Failure::Settings(_)) = error.downcast_ref::<Failure>() {
        return WRONG_SETTINGS;
    }
    let store_is_away = |error: &StoreError| error.verdict() == Verdict::Retry;
    let away = error.downcast_ref::<ClientError>().is_some()
        || error.downcast_ref::<BusError>().is_some()
        || error.downcast_ref::<StoreError>().is_some_and(store_is_away);
    if away { UNAVAILABLE } else { 1 }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_that_is_named_already_is_not_repeated() {
        let store = StoreError::Unreachable("no route".to_owned());
        let error = Err::<(), _>(ClientError::from(BusError::AckTooLate)).context("the import ended early");
        let words = in_words(&error.unwrap_err());
        assert_eq!(words, "the import ended early: the acknowledgement came too late: its channel is gone");
        assert_eq!(in_words(&store.into()), "the database cannot be reached: no route");
    }

    #[test]
    fn only_the_reasons_of_a_refusal_have_lines() {
        let refused = Failure::Refused("a: b\nc: d".to_owned());
        let error = Err::<(), _>(refused).context("task x\nforged: line\u{9b}").unwrap_err();
        assert_eq!(in_words(&error), "task x\\nforged: line\\u{9b}: a: b\nc: d");
    }

    #[test]
    fn the_exit_code_tells_who_must_act() {
        let no_answer = || ClientError::NotTaken(Duration::from_secs(30), String::new());
        assert_eq!(exit_code(&no_answer().into()), 69);
        assert_eq!(exit_code(&Err::<(), _>(no_answer()).context("the import stopped").unwrap_err()), 69);
        assert_eq!(exit_code(&Failure::Settings(Problems::none()).into()), 78);
        assert_eq!(exit_code(&Failure::Refused(String::new()).into()), 1);
    }
}
