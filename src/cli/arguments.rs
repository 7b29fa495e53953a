//! The arguments, and how it is told that they are wrong.
//!
//! Must let nothing of them through raw, though the library repeats what was typed: it may have been copied from anywhere.

use std::process;

use clap::Parser;

use super::{Cli, output};
use crate::domain::visible;

/// What a short string of AMQP holds, of which the keys of routing are.
pub const SHORT: usize = 255;
/// The longest id of a message (docs/wire.md), which leaves room for the place of one of many commands.
pub const MESSAGE_ID: usize = 128;

impl Cli {
    /// Reads the arguments of this process; ends it where they are wrong, and where help was asked for.
    pub fn of_process() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            let typed: Vec<_> = std::env::args_os().map(|typed| typed.to_string_lossy().into_owned()).collect();
            let shown = || typed.iter().map(|typed| visible::line(typed).into_owned());
            if shown().eq(typed.iter().cloned()) {
                error.exit();
            }
            // Wrong in the same way once they can be shown, and told with the library's own colours.
            if let Err(error) = Self::try_parse_from(shown()) {
                error.exit();
            }
            output::aside(&error.to_string());
            process::exit(error.exit_code())
        })
    }
}

/// A text of so many bytes at most: the library for AMQP panics at one that fits nowhere.
pub fn short(most: usize) -> impl Fn(&str) -> Result<String, String> + Clone {
    move |text| match text.len() {
        bytes if bytes <= most => Ok(text.to_owned()),
        bytes => Err(format!("has {bytes} bytes; at most {most} are allowed")),
    }
}
