//! The operator at the command line, which is this project's console: what a command said, and how it ended.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::site::Site;

/// The end of a command.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub error: String,
}

impl Said {
    /// What a command with `--json` printed, which must have done what it was asked for.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }

    /// It was refused, with these words among the reasons.
    #[track_caller]
    pub fn assert_refused(&self, words: &str) {
        assert!(self.code == Some(1) && self.error.contains(words), "{words}: {self:?}");
    }
}

/// Runs a command of the operator to its end; it goes over the bus.
pub fn run(site: &Site, words: &[&str]) -> Said {
    let output = site.command(words).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Said { code: output.status.code(), out: text(&output.stdout), error: text(&output.stderr) }
}

/// A file of callees; gives its path as a word of a command.
pub fn csv(folder: &Path, lines: &[&str]) -> String {
    let path = folder.join("callees.csv");
    fs::write(&path, lines.join("\n")).unwrap();
    path.to_str().unwrap().to_owned()
}
