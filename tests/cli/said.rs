//! Runs a command of a site, and looks at what it printed.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::harness::site::Site;

/// What came out.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// It ended so.
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// Each of these is in what it printed.
    #[track_caller]
    pub fn has(self, words: &[&str]) -> Self {
        words.iter().for_each(|word| assert!(self.out.contains(word), "{word:?} is not in {self:?}"));
        self
    }

    /// Each of these is in what went wrong.
    #[track_caller]
    pub fn complains(self, words: &[&str]) -> Self {
        words.iter().for_each(|word| assert!(self.err.contains(word), "{word:?} is not in {self:?}"));
        self
    }

    /// The one document that it printed.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// One document a line.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let parsed = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        self.out.lines().map(parsed).collect()
    }
}

pub fn run(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

pub fn say(site: &Site, words: &[&str]) -> Said {
    run(&mut site.command(words))
}

/// The same, with a text on its stdin.
pub fn say_with(site: &Site, input: &str, words: &[&str]) -> Said {
    let pipes = [Stdio::piped(), Stdio::piped(), Stdio::piped()];
    let [stdin, stdout, stderr] = pipes;
    let mut child = site.command(words).stdin(stdin).stdout(stdout).stderr(stderr).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// With `--json`.
pub fn json(site: &Site, words: &[&str]) -> Said {
    run(site.command(words).arg("--json"))
}

/// A command that is done; what it printed.
#[track_caller]
pub fn done(site: &Site, words: &[&str]) -> Said {
    say(site, words).ends(0)
}
