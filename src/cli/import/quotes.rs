//! Quotes of a CSV file that stand in a wrong place.
//!
//! A stray quote opens a cell, and the next one closes it; what lies between, whole rows among it, is one cell then and is
//! called by nobody. Two looks find that: bytes after a closing quote, which no spreadsheet writes, and cells that go
//! over lines with something in them that is a row by its looks. Must not find fault with line breaks in a note.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The remedy.
pub const REMEDY: &str =
    "a quote is missing or one too many; a quote inside of a cell is written twice, and its whole cell in quotes";

/// Passes a file on, and watches its quotes.
pub struct QuoteGuard<R> {
    input: R,
    separator: u8,
    place: Place,
    /// Of the byte to come, from 1.
    line: u64,
    /// Of the row so far, and the line that it begins on.
    bytes: u64,
    begin: u64,
    found: Stray,
}

/// A row is held in memory; those that are longer than a command are refused alone, and beyond that nothing is a row.
const LONGEST_ROW: u64 = 4 * 1024 * 1024;

/// The line of the first wrong quote, if there is one by now.
#[derive(Debug, Clone, Default)]
pub struct Stray(Arc<AtomicU64>);

impl Stray {
    pub fn line(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|line| *line > 0)
    }
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// At the beginning of a cell.
    Cell,
    /// In a cell without quotes, where a quote is a character like others.
    Bare,
    /// In a quoted cell.
    Quoted,
    /// After a quote in a quoted cell: it closes the cell, or the next one makes it a character.
    Closed,
}

impl<R: Read> QuoteGuard<R> {
    pub fn of(input: R, separator: u8) -> (Self, Stray) {
        let found = Stray::default();
        (Self { input, separator, place: Place::Cell, line: 1, bytes: 0, begin: 1, found: found.clone() }, found)
    }

    fn see(&mut self, byte: u8) {
        let ends_cell = byte == self.separator || byte == b'\n';
        self.place = match self.place {
            Place::Cell if byte == b'"' => Place::Quoted,
            Place::Cell | Place::Bare if ends_cell => Place::Cell,
            Place::Cell | Place::Bare => Place::Bare,
            Place::Quoted if byte == b'"' => Place::Closed,
            Place::Quoted => Place::Quoted,
            Place::Closed if byte == b'"' => Place::Quoted,
            Place::Closed if ends_cell => Place::Cell,
            // Before a Windows line end, and where a person aligned the cells.
            Place::Closed if matches!(byte, b'\r' | b' ' | b'\t') => Place::Closed,
            Place::Closed => {
                if self.found.line().is_none() {
                    self.found.0.store(self.line, Ordering::Relaxed);
                }
                Place::Bare
            }
        };
        self.line += u64::from(byte == b'\n');
        self.bytes += 1;
        if byte == b'\n' && matches!(self.place, Place::Cell) {
            (self.bytes, self.begin) = (0, self.line);
        }
    }
}

impl<R: Read> Read for QuoteGuard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        for byte in &buffer[..read] {
            self.see(*byte);
            if self.bytes > LONGEST_ROW {
                let (line, most) = (self.begin, LONGEST_ROW / 1024 / 1024);
                let message = format!("line {line}: the row goes on for more than {most} MiB; is a quote missing?");
                return Err(io::Error::other(message));
            }
        }
        Ok(read)
    }
}

/// What kind of line break a row has that is no note's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swallowed {
    /// In the number or the id itself.
    InKey,
    /// A row, so many lines below the row's first.
    Row(usize),
}

/// Looks at the cells of a row that goes over several lines. `keys` are the columns that have no line breaks, the first of
/// them that of the called number.
pub fn swallowed(cells: &[&str], keys: &[usize], separator: u8) -> Option<Swallowed> {
    let (number, mut above) = (*keys.first()?, 0);
    for (column, cell) in cells.iter().enumerate() {
        // A Windows line end at the end of the row is not one of the cell.
        let lines: Vec<_> = cell.trim_end_matches('\r').split('\n').collect();
        if lines.len() > 1 && keys.contains(&column) {
            return Some(Swallowed::InKey);
        }
        for (place, line) in lines.iter().enumerate().filter(|_| lines.len() > 1) {
            // The cell's first line begins in its own column, the others are whole lines of the file.
            let first = if place == 0 { column } else { 0 };
            let cells = line.split(char::from(separator)).enumerate();
            let mut of_number = cells.filter(|(offset, _)| first + offset == number).map(|(_, cell)| cell);
            if of_number.next().is_some_and(looks_like_a_number) {
                return Some(Swallowed::Row(above + place));
            }
        }
        above += lines.len() - 1;
    }
    None
}

/// A phone number, well written or not.
fn looks_like_a_number(cell: &str) -> bool {
    let cell = cell.trim().trim_matches('"');
    let digits = cell.chars().filter(char::is_ascii_digit).count();
    digits >= 5 && cell.chars().all(|c| c.is_ascii_digit() || "+-./() ".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stray(text: &str) -> Option<u64> {
        let (mut guard, found) = QuoteGuard::of(text.as_bytes(), b',');
        guard.read_to_end(&mut Vec::new()).unwrap();
        found.line()
    }

    #[test]
    fn text_after_a_closing_quote_is_found() {
        assert_eq!(stray("a,b\n1,\"Ada\n2,Bob\n3,\"Cem\n"), Some(4));
        assert_eq!(stray("a,b\n1,\"5\" pipe\"\n"), Some(2));
        for fine in ["1,\"a \"\"b\"\" c\"\r\n2,x\n", "1,\"a\" ,b\n", "1,5\" pipe\n2,\"x\ny\"\n", "1,\"\"\n2,\"\"\"\"\n"]
        {
            assert_eq!(stray(fine), None, "{fine:?}");
        }
    }

    #[test]
    fn a_row_in_a_cell_is_found_and_a_note_is_left_alone() {
        let found = |cells: &[&str], number| swallowed(cells, &[number], b',');
        assert_eq!(found(&["+491234567", "Ada\n+491234568,Bob\n+491234569,Cem"], 0), Some(Swallowed::Row(1)));
        assert_eq!(found(&["Ada,+491234567\nBob", "+491234568"], 1), Some(Swallowed::Row(0)));
        assert_eq!(found(&["Ada", "x\ny", "z\n0,+491234568"], 1), Some(Swallowed::InKey));
        assert_eq!(found(&["+491234567", "x\ny", "Ring at\nthe back, please\n12345 Berlin"], 0), None);
        assert_eq!(found(&["+491234567", "Ada\r"], 0), None);
    }
}
