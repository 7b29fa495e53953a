//! The command line: the daemon itself, and the upstream system's part for people and scripts.
//!
//! One file for each group of commands. Must not reach into the store to do what a command of the bus does:
//! whatever changes a task goes the way that every upstream system goes, so the two can never differ. What is
//! wrong with a command is the daemon's to judge; here only the shape of an argument is. Whatever is printed goes through
//! `output`.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod agent;
mod arguments;
mod call;
mod callees;
mod caller_number;
mod cancel;
mod completions;
mod dev;
mod download;
mod events;
mod export;
mod failure;
mod import;
mod input;
mod listing;
mod local;
mod output;
mod readable;
mod recording;
mod reply;
mod service_instance;
mod session;
mod table;
mod task;
mod task_update;
mod template;
mod times;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use arguments::{MESSAGE_ID, short};
use session::Session;

/// How the program ends, for scripts.
const EXIT_CODES: &str = "\
With --json, stdout has the daemon's reply as one JSON document, also a rejection; of a list each item is a line, of an \
import or a big cancel each command's receipt. What went wrong stands on stderr, a line for each field.

Exit codes, of every command:
   0  done
   1  refused by the daemon, or failed
   2  wrong usage
  69  no broker, database or daemon in time; a command that was sent stays queued
  78  wrong settings";

const EVERYWHERE: &str = "Options of every command";

/// Runs outbound call tasks for AI voice agents.
#[derive(Debug, Parser)]
#[command(name = "calltaskd", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
struct Options {
    /// The settings file, which must exist [default: /etc/calltaskd/calltaskd.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE", env = "CALLTASKD_CONFIG", help_heading = EVERYWHERE)]
    config: Option<PathBuf>,
    /// Print the daemon's reply as JSON, for scripts: one document, and of a list one a line
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,
    /// How long to wait for each reply
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 30, help_heading = EVERYWHERE)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout_seconds: u64,
}

/// Of the commands that change something.
#[derive(Debug, Args)]
struct Once {
    /// The idempotency key: the same command sent again with it gets the same reply and does nothing
    /// [default: a new one each time]
    #[arg(long, value_name = "ID", value_parser = short(MESSAGE_ID))]
    message_id: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Run,
    /// Name everything that is wrong with the settings
    Check {
        /// Also ask the servers of SIP trunks whether they are there
        #[arg(long)]
        connect: bool,
    },
    /// Bring the database's tables up to date
    Migrate,
    /// Voice agents that answered calls are connected to
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Caller numbers with their limits and trunk
    #[command(subcommand)]
    ServiceInstance(service_instance::ServiceInstanceCommand),
    /// Call tasks
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// The callees of a task
    #[command(subcommand)]
    Callees(callees::CalleesCommand),
    /// Calls that were made
    #[command(subcommand)]
    Call(call::CallCommand),
    Template(template::TemplateArgs),
    Import(import::ImportArgs),
    /// Files with the callees of a task and what became of them
    #[command(subcommand)]
    Export(export::ExportCommand),
    /// Recordings of calls
    #[command(subcommand)]
    Recording(recording::RecordingCommand),
    Events(events::EventsArgs),
    Completions(completions::CompletionsArgs),
    /// Databases and bus names of demos and tests
    #[command(subcommand, hide = true)]
    Dev(dev::DevCommand),
}

impl Cli {
    /// Runs the command to its end; what went wrong is printed to stderr.
    pub async fn run(self) -> ExitCode {
        self.dispatch().await.unwrap_or_else(|error| failure::report(&error))
    }

    async fn dispatch(self) -> anyhow::Result<ExitCode> {
        if let Command::Check { connect } = self.command {
            return local::check(&self.options, connect).await;
        }
        if let Command::Completions(arguments) = &self.command {
            return arguments.run();
        }
        let settings = session::settings(&self.options)?;
        match self.command {
            Command::Run => return local::run(settings).await,
            Command::Migrate => return local::migrate(&settings, self.options.json).await,
            Command::Dev(command) => return command.run(&settings).await,
            _ => {}
        }
        let session = Session::new(&settings, &self.options);
        let code = match self.command {
            Command::Agent(command) => command.run(&session).await,
            Command::ServiceInstance(command) => command.run(&session).await,
            Command::Task(command) => command.run(&session).await,
            Command::Callees(command) => command.run(&session).await,
            Command::Call(command) => command.run(&session).await,
            Command::Template(arguments) => template::run(&session, &arguments).await,
            Command::Export(command) => command.run(&session, &settings).await,
            Command::Recording(command) => command.run(&session, &settings).await,
            Command::Import(arguments) => import::run(&session, &arguments).await,
            Command::Events(arguments) => events::run(&session, &arguments).await,
            Command::Run | Command::Check { .. } | Command::Completions(_) | Command::Migrate | Command::Dev(_) => {
                Ok(ExitCode::SUCCESS)
            }
        };
        session.close().await;
        code
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_of_commands_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_after_the_command() {
        let cli = Cli::try_parse_from(["calltaskd", "task", "list", "--json", "--config", "a.toml"]).unwrap();
        assert!(cli.options.json);
        assert_eq!(cli.options.config, Some(PathBuf::from("a.toml")));
        assert_eq!(cli.options.timeout_seconds, 30);
    }
}
