//! The commands that need no other daemon: `run`, `check` and `migrate`.

use std::process::ExitCode;

use anyhow::Context;
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use super::failure::{Failure, WRONG_SETTINGS};
use super::{Options, output, session};
use crate::domain::ids::Holder;
use crate::settings::Settings;
use crate::store::Store;
use crate::{daemon, telemetry};

/// `calltaskd run`: the only command that logs; the others speak to people.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    telemetry::start(&settings.logging);
    daemon::run(settings).await
}

/// `calltaskd check`.
pub(super) fn check(options: &Options) -> anyhow::Result<ExitCode> {
    match session::settings(options) {
        Ok(_) if options.json => output::line(&json!({"status": "OK"}).to_string())?,
        Ok(_) => output::line("settings are fine")?,
        Err(Failure::Settings(problems)) if options.json => {
            let error = |problem: &crate::domain::problem::Problem| json!({"field": problem.field, "code": problem.code.as_str(), "message": problem.message});
            let errors: Vec<_> = problems.iter().map(error).collect();
            output::line(&json!({"status": "REJECTED", "errors": errors}).to_string())?;
            return Ok(ExitCode::from(WRONG_SETTINGS));
        }
        Err(problems) => return Err(problems.into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// `calltaskd migrate`.
pub async fn migrate(settings: &Settings, json: bool) -> anyhow::Result<ExitCode> {
    let (store, _) = Store::new(&settings.database, Holder(Uuid::new_v4()));
    let place = || format!("Postgres at {} (setting database.url)", address(settings.database.url.expose_secret()));
    let applied = store.migrate().await.with_context(place)?;
    if json {
        output::line(&json!({"status": "OK", "applied": applied}).to_string())?;
    } else if applied.is_empty() {
        output::line("nothing to do: the tables are up to date")?;
    } else {
        output::line(&format!("applied {}", applied.join(", ")))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Host, port and database of a URL, without the user and the password.
fn address(url: &str) -> &str {
    let url = url.split_once('?').map_or(url, |(url, _)| url);
    let place = url.split_once("://").map_or("an address that is no URL", |(_, place)| place);
    place.rsplit_once('@').map_or(place, |(_, place)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_no_password() {
        assert_eq!(
            address("postgres://user:se@cret@db.example:5432/calltaskd?sslmode=require"),
            "db.example:5432/calltaskd"
        );
        assert_eq!(address("postgres://db.example/calltaskd"), "db.example/calltaskd");
        assert!(!address("host=db.example password=secret").contains("secret"));
    }
}
