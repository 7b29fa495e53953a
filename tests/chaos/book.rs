//! A ledger on the disk: one JSON object a line, written through before anybody relies on it.
//!
//! Whoever acknowledges, publishes or kills writes it down here first or right after, so that the evidence is complete
//! also when this process dies.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde_json::Value;

/// A file that is only ever appended to.
pub struct Book(File);

impl Book {
    pub fn open(folder: &Path, name: &str) -> Self {
        Self(OpenOptions::new().create(true).append(true).open(folder.join(name)).unwrap())
    }

    /// Is on the disk when this returns.
    pub fn write(&self, lines: &[Value]) {
        if lines.is_empty() {
            return;
        }
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        (&self.0).write_all(text.as_bytes()).unwrap();
        self.0.sync_data().unwrap();
    }
}

/// This moment in microseconds, the unit of the carrier's record.
#[expect(clippy::disallowed_methods, reason = "a witness has a clock of its own")]
pub fn now() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

/// How a ledger has a message that may be no text.
pub fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
