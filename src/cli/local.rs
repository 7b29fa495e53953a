//! The commands that need no other daemon: `run`, `check` and `migrate`.

use std::process::ExitCode;

use anyhow::Context;
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use super::failure::{Failure, WRONG_SETTINGS};
use super::{Options, output, session};
use crate::dialer::sip::{self, Probe};
use crate::domain::ids::Holder;
use crate::settings::Settings;
use crate::store::Store;
use crate::{daemon, telemetry};

/// `calltaskd run`: the only command that logs; the others speak to people.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    telemetry::start(&settings.logging);
    daemon::run(settings).await
}

/// `calltaskd check`; with `connect`, the servers of SIP trunks are asked whether they are there.
pub(super) async fn check(options: &Options, connect: bool) -> anyhow::Result<ExitCode> {
    match session::settings(options) {
        Ok(settings) if connect => return ask_trunks(options, &settings).await,
        Ok(_) if options.json => output::document(&json!({"status": "OK"}))?,
        Ok(_) => output::line("settings are fine")?,
        Err(Failure::Settings(problems)) if options.json => {
            let error = |problem: &crate::domain::problem::Problem| json!({"field": problem.field, "code": problem.code.as_str(), "message": problem.message});
            let errors: Vec<_> = problems.iter().map(error).collect();
            output::document(&json!({"status": "REJECTED", "errors": errors}))?;
            return Ok(ExitCode::from(WRONG_SETTINGS));
        }
        Err(problems) => return Err(problems.into()),
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask_trunks(options: &Options, settings: &Settings) -> anyhow::Result<ExitCode> {
    let probes = sip::probe(settings).await?;
    let all = probes.iter().all(|probe| probe.answer.is_ok());
    if options.json {
        let server = |probe: &Probe| json!({"trunk": probe.trunk, "server": probe.server, "sipStatus": probe.answer.as_ref().ok(), "error": probe.answer.as_ref().err()});
        let servers: Vec<_> = probes.iter().map(server).collect();
        let status = if all { "OK" } else { "UNREACHABLE" };
        output::document(&json!({"status": status, "servers": servers}))?;
    } else {
        output::line("settings are fine")?;
        for Probe { trunk, server, answer } in &probes {
            match answer {
                Ok(status) => output::line(&format!("trunk {trunk}: {server} answers ({status})"))?,
                Err(error) => output::line(&format!("trunk {trunk}: {error}"))?,
            }
        }
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `calltaskd migrate`.
pub async fn migrate(settings: &Settings, json: bool) -> anyhow::Result<ExitCode> {
    let (store, _) = Store::new(&settings.database, Holder(Uuid::new_v4()));
    let place = || format!("Postgres at {} (setting database.url)", address(settings.database.url.expose_secret()));
    let applied = store.migrate().await.with_context(place)?;
    if json {
        output::document(&json!({"status": "OK", "applied": applied}))?;
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
