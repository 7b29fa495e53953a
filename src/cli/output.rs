//! All that the command line prints: to stdout, and beside it to stderr.
//!
//! Must let nothing through that a terminal obeys or that forges a line: what is printed is others' words, of senders, agents,
//! brokers and files, and what was typed may have been copied from anywhere. And not by `println!`, which panics when the
//! reader has gone away.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::Value;

use crate::domain::visible::{self, steers};

/// Writes a text for people in one line, and sees it off: whoever reads a pipe waits for it.
pub fn line(text: &str) -> io::Result<()> {
    bytes(visible::line(text).as_bytes())
}

/// The same in several lines, which are ours: no value in it has a line end.
pub fn lines(text: &str) -> io::Result<()> {
    bytes(visible::lines(text).as_bytes())
}

/// A JSON document in one line, for scripts.
pub fn document(value: &Value) -> io::Result<()> {
    bytes(plain(&value.to_string()).as_bytes())
}

/// Our own bytes as they are: a script for a shell.
pub fn bytes(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// Tells people something beside the output, in lines that are ours. That nobody is there to read it is no failure.
pub fn aside(text: &str) {
    aside_until(text, '\n');
}

/// The same with another end: after `\r` the next text is written over it.
pub fn aside_until(text: &str, end: char) {
    drop(write!(io::stderr().lock(), "{}{end}", visible::lines(text)));
}

/// The same document; what steers can stand within its texts only, where JSON has escapes for it.
pub fn plain(document: &str) -> String {
    document.chars().fold(String::with_capacity(document.len()), |mut plain, letter| {
        match steers(letter) {
            // A text takes whatever is written into it.
            true => drop(write!(plain, "\\u{:04x}", u32::from(letter))),
            false => plain.push(letter),
        }
        plain
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_says_the_same_without_what_steers() {
        let value = json!({"a\u{202e}": ["\u{1b}[2J\u{7f}\u{9b}\u{2028}", "Zoë"]});
        let document = plain(&value.to_string());
        assert!(document.contains(r#""a\u202e":["\u001b[2J\u007f\u009b\u2028""#), "{document}");
        assert_eq!(serde_json::from_str::<Value>(&document).unwrap(), value);
    }
}
