//! Whether a file is text at all.
//!
//! Must not judge what the text says. NUL is the sign: no list of callees has one, every second byte of UTF-16 is one, and
//! so are a device and a disk image.

use std::io::{self, Read};

/// Passes a file on up to its first NUL, which is an error.
pub struct Plain<R> {
    input: R,
    line: u64,
    is_first: bool,
}

impl<R: Read> Plain<R> {
    pub fn of(input: R) -> Self {
        Self { input, line: 1, is_first: true }
    }
}

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        let text = &buffer[..read];
        let is_utf_16 =
            std::mem::take(&mut self.is_first) && (text.starts_with(b"\xFF\xFE") || text.starts_with(b"\xFE\xFF"));
        if is_utf_16 {
            return Err(io::Error::other("the file is UTF-16; save it as CSV in UTF-8"));
        }
        for byte in text {
            if *byte == 0 {
                let line = self.line;
                let message =
                    format!("line {line} has a NUL byte, so this is no text in UTF-8; save it as CSV in UTF-8");
                return Err(io::Error::other(message));
            }
            self.line += u64::from(*byte == b'\n');
        }
        Ok(read)
    }
}
