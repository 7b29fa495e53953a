//! The file, CSV or XLSX: which column is what, and each row with the line that it begins on.
//!
//! Must not stop at a bad row, and must not hold more than one. A row that cannot be sent at all (not UTF-8,
//! more cells than columns, a cell of a workbook that lost what was typed) is refused here; everything else is for the daemon to judge.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

use anyhow::{Context, bail};
use csv::{ByteRecord, Terminator};
use serde_json::{Map, Value};

use super::column::{Column, REASON, columns};
use super::plain::Plain;
use super::quotes::{QuoteGuard, REMEDY, Stray, Swallowed, swallowed};
use super::workbook::Sheet;
use crate::cli::reply::{number, text};
use crate::domain::fields::excerpt;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// No line of column names is longer; a file without line breaks must not fill the memory.
const LONGEST_HEADER: u64 = 64 * 1_024;

/// A row as it stands in the file.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// Where it begins, from 1; a quoted cell may go on over several lines.
    pub line: u64,
    /// A callee as the wire has it, or why it cannot be sent.
    pub callee: Result<Value, RefusedRow>,
}

/// A row that became no callee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    pub line: u64,
    pub called_number: String,
    pub code: String,
    pub message: String,
    /// As it would have been sent, as far as its cells have columns; null when it is not UTF-8.
    pub callee: Value,
}

impl RefusedRow {
    /// One that the daemon rejected; its index leads to its line and to what was sent.
    pub fn of_receipt(row: &Value, (lines, callees): (&[u64], &[Value])) -> Self {
        let index = usize::try_from(number(row, "index")).unwrap_or(usize::MAX);
        let owned = |key| text(row, key).to_owned();
        Self {
            callee: callees.get(index).cloned().unwrap_or_default(),
            line: lines.get(index).copied().unwrap_or(0),
            called_number: owned("calledNumber"),
            code: owned("code"),
            message: owned("message"),
        }
    }
}

enum Source {
    Csv(Csv),
    Sheet(Sheet),
}

struct Csv {
    reader: Box<csv::Reader<Box<dyn Read>>>,
    separator: u8,
    stray: Stray,
}

/// Put behind every file: the last row, too, gets a line's end, because line numbers are counted by them; and then a
/// mark that no file has, to see whether an open quote runs to the end.
const END: &[u8] = b"\n\0";

/// An open file, read row by row.
pub struct CalleeFile {
    source: Source,
    columns: Vec<Column>,
    /// How many columns at the end of each row are left out.
    reasons: usize,
    record: ByteRecord,
    /// Of the record: a cell whose content is lost, with what is wrong with it.
    lost: Option<(usize, String)>,
}

impl CalleeFile {
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xlsx")) {
            let sheet = Sheet::open(path).with_context(|| path.display().to_string())?;
            return Self::of(Source::Sheet(sheet)).with_context(|| path.display().to_string());
        }
        let opened = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
        Self::read(opened).with_context(|| path.display().to_string())
    }

    /// Reads the names of the columns; the rows follow when they are asked for.
    fn read(input: impl Read + 'static) -> anyhow::Result<Self> {
        let mut input = BufReader::new(Plain::of(input));
        let mut first_line = Vec::new();
        input.by_ref().take(LONGEST_HEADER).read_until(b'\n', &mut first_line)?;
        if first_line.starts_with(BYTE_ORDER_MARK) {
            first_line.drain(..BYTE_ORDER_MARK.len());
        }
        let separator = separator(&first_line);
        let (whole, stray) = QuoteGuard::of(Cursor::new(first_line).chain(input).chain(END), separator);
        let whole: Box<dyn Read> = Box::new(whole);
        let mut builder = csv::ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(separator).terminator(Terminator::Any(b'\n'));
        Self::of(Source::Csv(Csv { reader: Box::new(builder.from_reader(whole)), separator, stray }))
    }

    /// Reads the names of the columns.
    fn of(source: Source) -> anyhow::Result<Self> {
        let mut file = Self { source, columns: Vec::new(), reasons: 0, record: ByteRecord::new(), lost: None };
        if file.next_record()?.is_none() {
            bail!("the file is empty; its first line names the columns");
        }
        if let Some((column, problem)) = &file.lost {
            bail!("the name of column {} {problem}", column + 1);
        }
        file.columns = columns(&file.cells().context("the names of the columns are not UTF-8")?)?;
        let kept = file.columns.len().saturating_sub(REASON.len());
        if file.columns[kept..].iter().map(Column::name).eq(REASON) {
            file.columns.truncate(kept);
            file.reasons = REASON.len();
        }
        Ok(file)
    }

    /// Those that are read.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Whether the reasons of an earlier import stand in it, which are left out.
    pub fn has_reasons(&self) -> bool {
        self.reasons > 0
    }

    pub fn next_row(&mut self) -> anyhow::Result<Option<Row>> {
        let Some(line) = self.next_record()? else {
            return Ok(None);
        };
        self.look_for_swallowed(line)?;
        let refused = |message: String, callee: Value| RefusedRow {
            line,
            called_number: excerpt(text(&callee, "calledNumber"), 32),
            code: "INVALID_VALUE".to_owned(),
            message,
            callee,
        };
        let callee = match self.cells() {
            None => Err(refused("not UTF-8; save the file as CSV in UTF-8".to_owned(), Value::Null)),
            Some(cells) => {
                let callee = self.callee(&cells);
                self.problem(&cells).map_or(Ok(callee.clone()), |problem| Err(refused(problem, callee)))
            }
        };
        Ok(Some(Row { line, callee }))
    }

    /// Why a row cannot be sent.
    fn problem(&self, cells: &[&str]) -> Option<String> {
        let known = self.columns.len();
        if cells.iter().skip(known + self.reasons).any(|cell| !cell.is_empty()) {
            return Some("more cells than columns; quote a cell that has the separator".to_owned());
        }
        let (column, problem) = self.lost.as_ref().filter(|(column, _)| *column < known + self.reasons)?;
        self.columns.get(*column).map(|column| format!("{} {problem}", column.name()))
    }

    /// Refuses the file where a cell seems to have swallowed rows.
    fn look_for_swallowed(&self, line: u64) -> anyhow::Result<()> {
        let Source::Csv(csv) = &self.source else { return Ok(()) };
        // Most rows are a single line, and those that are not UTF-8 are refused anyway.
        if !self.record.as_slice().contains(&b'\n') {
            return Ok(());
        }
        let Some(cells) = self.cells() else { return Ok(()) };
        let of = |key: fn(&Column) -> bool| self.columns.iter().position(key);
        let keys = [of(|column| matches!(column, Column::CalledNumber)), of(|column| matches!(column, Column::OutId))];
        let keys: Vec<_> = keys.into_iter().flatten().collect();
        match swallowed(&cells, &keys, csv.separator) {
            None => Ok(()),
            Some(Swallowed::InKey) => bail!("line {line}: calledNumber or outId goes over several lines: {REMEDY}"),
            Some(Swallowed::Row(below)) => {
                let row = line + below as u64;
                bail!(
                    "line {line}: a quoted cell goes over several lines, and line {row} in it looks like a row of its own: {REMEDY}"
                )
            }
        }
    }

    /// Reads the next record that is not blank; gives the line on which it begins.
    ///
    /// The position that the library gives a record lies before the blank lines in front of it, so the line is
    /// counted back from its end.
    fn next_record(&mut self) -> anyhow::Result<Option<u64>> {
        let csv = match &mut self.source {
            Source::Csv(csv) => csv,
            Source::Sheet(sheet) => {
                let Some(row) = sheet.next_record()? else { return Ok(None) };
                self.record = ByteRecord::from(row.cells);
                self.lost = row.lost;
                return Ok(Some(row.line));
            }
        };
        loop {
            let more = csv.reader.read_byte_record(&mut self.record)?;
            if let Some(line) = csv.stray.line() {
                bail!("line {line}: there is more in the cell after its closing quote: {REMEDY}");
            }
            if !more {
                return Ok(None);
            }
            let breaks = self.record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
            let line = csv.reader.position().line().saturating_sub(breaks);
            if self.record.iter().next_back().is_some_and(|cell| cell.ends_with(&END[1..])) {
                return end(&self.record, line).map(|()| None);
            }
            let is_blank = self.record.len() == 1 && matches!(&self.record[0], b"" | b"\r");
            if !is_blank {
                return Ok(Some(line.saturating_sub(1)));
            }
        }
    }

    /// The cells as texts, unless one is not UTF-8.
    fn cells(&self) -> Option<Vec<&str>> {
        let mut cells = self.record.iter().map(|cell| std::str::from_utf8(cell).ok()).collect::<Option<Vec<_>>>()?;
        // Only \n ends a record, so the \r of a Windows line end is left in its last cell.
        if let Some(last) = cells.last_mut() {
            *last = last.strip_suffix('\r').unwrap_or(last);
        }
        Some(cells)
    }

    /// The callee of a row, of the cells that have a column.
    fn callee(&self, cells: &[&str]) -> Value {
        let (mut callee, mut variables) = (Map::new(), Map::new());
        for (column, cell) in self.columns.iter().zip(cells) {
            let cell = || Value::from(*cell);
            match column {
                Column::CalledNumber => _ = callee.insert("calledNumber".to_owned(), cell()),
                _ if cell() == "" => {}
                Column::OutId => _ = callee.insert("outId".to_owned(), cell()),
                Column::Variable(key) => _ = variables.insert(key.clone(), cell()),
            }
        }
        if !variables.is_empty() {
            callee.insert("variables".to_owned(), Value::Object(variables));
        }
        Value::Object(callee)
    }
}

/// The end that was put behind the file stands alone, unless a quote that was never closed has swallowed it.
fn end(record: &ByteRecord, line: u64) -> anyhow::Result<()> {
    if record.len() == 1 && record[0] == END[1..] {
        return Ok(());
    }
    bail!("line {line}: a quote is opened and never closed; close it and import the file again")
}

/// Semicolon or comma, whichever the line of names has more of outside of quotes.
fn separator(line: &[u8]) -> u8 {
    let mut in_quotes = false;
    let (mut semicolons, mut commas) = (0, 0);
    for byte in line {
        match byte {
            b'"' => in_quotes = !in_quotes,
            b';' if !in_quotes => semicolons += 1,
            b',' if !in_quotes => commas += 1,
            _ => {}
        }
    }
    if semicolons > commas { b';' } else { b',' }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
