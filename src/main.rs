//! The program: reads the command line, makes the runtime, runs the command.
//!
//! Must stay this small. What a command does is in `cli`, where tests reach it.

use std::process::ExitCode;
use std::time::Duration;

use calltaskd::cli::Cli;

/// How long a thread that waits for the file system or a resolver may hold up the end.
const LAST_WAIT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::of_process();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("calltaskd: the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli.run());
    runtime.shutdown_timeout(LAST_WAIT);
    code
}
