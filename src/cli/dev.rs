//! `calltaskd dev`, which no help lists: makes and removes what a demo or a test has for itself.
//!
//! With it they need no program of the servers' (`psql`, `rabbitmqctl`), which a machine that only uses
//! servers elsewhere need not have.
//!
//!  * `dev database create NAME` on the server of `database.url`; prints the URL of the new database
//!  * `dev database drop NAME` there, also while somebody uses it
//!  * `dev bus remove PREFIX`: the exchanges and queues of a prefix, unless a daemon is at work there
//!
//! Names of databases must begin with `calltaskd_`, which the name of a database in earnest does not by default.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use super::arguments::short;
use super::output;
use crate::bus::Bus;
use crate::settings::Settings;
use crate::store::scratch;

#[derive(Debug, Subcommand)]
pub enum DevCommand {
    #[command(subcommand)]
    Database(DatabaseCommand),
    #[command(subcommand)]
    Bus(BusCommand),
}

#[derive(Debug, Subcommand)]
pub enum DatabaseCommand {
    Create {
        #[arg(value_parser = database_name)]
        name: String,
    },
    Drop {
        #[arg(value_parser = database_name)]
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum BusCommand {
    Remove {
        #[arg(value_parser = short(200))]
        prefix: String,
    },
}

fn database_name(argument: &str) -> Result<String, &'static str> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let ok = argument.starts_with("calltaskd_") && argument.len() < 64 && argument.chars().all(fits);
    let message = "must be calltaskd_ and lower-case letters, digits or underscores, less than 64 in all";
    if ok { Ok(argument.to_owned()) } else { Err(message) }
}

impl DevCommand {
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let server = &settings.database.url;
        match self {
            Self::Database(DatabaseCommand::Create { name }) => {
                output::line(&scratch::create_database(server, &name).await?)?;
            }
            Self::Database(DatabaseCommand::Drop { name }) => scratch::drop_database(server, &name).await?,
            Self::Bus(BusCommand::Remove { prefix }) => {
                let removed = format!("{prefix} cannot be removed");
                let settings = crate::settings::Bus { prefix, ..settings.bus.clone() };
                let bus = Bus::new(&settings, "removal");
                bus.remove_topology().await.context(removed)?;
                bus.publishing.close().await;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_databases_of_demos_and_tests_are_made_and_dropped() {
        assert!(database_name("calltaskd_demo_0a").is_ok());
        for name in ["calltaskd", "postgres", "calltaskd_demo; --", "calltaskd_Demo"] {
            assert!(database_name(name).is_err(), "{name}");
        }
    }
}
