//! Writes to stdout. Not by `println!`, which panics when the reader has gone away.

use std::io::{self, Write};

/// Writes a text and a line's end, and sees it off: whoever reads a pipe waits for it.
pub fn line(text: &str) -> io::Result<()> {
    bytes(text.as_bytes())
}

/// The same for bytes that are written as they are.
pub fn bytes(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}
