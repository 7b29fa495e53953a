//! `calltaskd completions`: what a shell needs to complete the commands.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, output};

/// Print the completions for a shell
///
/// For bash: calltaskd completions bash >/etc/bash_completion.d/calltaskd
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

impl CompletionsArgs {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let shell = match self.shell.as_str() {
            "zsh" => Shell::Zsh,
            "fish" => Shell::Fish,
            _ => Shell::Bash,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "calltaskd", &mut script);
        output::bytes(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
