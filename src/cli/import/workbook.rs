//! The first worksheet of an XLSX file as rows of texts, the way a person sees them.
//!
//! Must not hold the whole sheet: a thread reads it and is always some rows ahead. Numbers that Excel holds as
//! numbers are written out in full, because nobody's phone number is 1.39E+10.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::{Context, bail};
use calamine::{DataRef, Reader, Xlsx, XlsxError, open_workbook};

/// Rows that the thread reads ahead.
const AHEAD: usize = 1_000;
/// A sheet may claim a cell anywhere; nobody has so many columns of callees.
const MOST_COLUMNS: usize = 1_000;

/// A row with its number in the sheet, from 1.
pub type Record = (u64, Vec<String>);

/// A worksheet, read row by row.
pub struct Sheet(Receiver<anyhow::Result<Record>>);

impl Sheet {
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let mut workbook: Xlsx<_> =
            open_workbook(path).map_err(|error: XlsxError| anyhow::anyhow!("the file is no XLSX: {error}"))?;
        let Some(name) = workbook.sheet_names().first().cloned() else { bail!("there is no worksheet in it") };
        let (rows, receiver) = sync_channel(AHEAD);
        std::thread::spawn(move || {
            if let Err(error) = read(&mut workbook, &name, &rows) {
                // Nobody listens any more when the import has ended early.
                drop(rows.send(Err(error)));
            }
        });
        Ok(Self(receiver))
    }

    /// The next row that has anything in it.
    pub fn next_record(&mut self) -> anyhow::Result<Option<Record>> {
        match self.0.recv() {
            Ok(row) => row.map(Some),
            Err(_) => Ok(None),
        }
    }
}

fn read(
    workbook: &mut Xlsx<std::io::BufReader<std::fs::File>>,
    name: &str,
    rows: &SyncSender<anyhow::Result<Record>>,
) -> anyhow::Result<()> {
    let mut cells = workbook.worksheet_cells_reader(name).context("the worksheet cannot be read")?;
    let mut row: Record = (0, Vec::new());
    while let Some(cell) = cells.next_cell().context("the worksheet cannot be read")? {
        let (line, column) = cell.get_position();
        let (line, column) = (u64::from(line) + 1, usize::try_from(column).unwrap_or(usize::MAX));
        if line != row.0 && !row.1.is_empty() && rows.send(Ok(std::mem::take(&mut row))).is_err() {
            return Ok(());
        }
        let text = text(cell.get_value());
        if text.is_empty() {
            continue;
        }
        if column >= MOST_COLUMNS {
            bail!("row {line} has a cell in column {}; at most {MOST_COLUMNS} columns are read", column + 1);
        }
        row.0 = line;
        row.1.resize(row.1.len().max(column + 1), String::new());
        row.1[column] = text;
    }
    if !row.1.is_empty() {
        drop(rows.send(Ok(row)));
    }
    Ok(())
}

/// A cell as a person reads it.
fn text(cell: &DataRef<'_>) -> String {
    match cell {
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.trim().to_owned(),
        DataRef::SharedString(text) => text.trim().to_owned(),
        // All digits up to 2^53, and never with an exponent: that is what `Display` of floats does.
        DataRef::Float(number) => number.to_string(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Bool(true) => "TRUE".to_owned(),
        DataRef::Bool(false) => "FALSE".to_owned(),
        DataRef::DateTime(moment) => moment.as_f64().to_string(),
        DataRef::Error(error) => error.to_string(),
        DataRef::Empty => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_out_in_full() {
        assert_eq!(text(&DataRef::Float(13_912_345_678.0)), "13912345678");
        assert_eq!(text(&DataRef::Float(493_023_125_000_123.0)), "493023125000123");
        assert_eq!(text(&DataRef::Float(1.5)), "1.5");
        assert_eq!(text(&DataRef::SharedString(" +49 30 ")), "+49 30");
    }
}
