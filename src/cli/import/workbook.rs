//! The first worksheet of an XLSX file as rows of texts, the way a person sees them.
//!
//! Must not hold the whole sheet: a thread reads it and is always some rows ahead.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::{Context, bail};
use calamine::{Reader, Xlsx, XlsxError, open_workbook};

use super::cell::text;
use super::column::MOST_COLUMNS;
use super::unpacking::look_through;

/// Rows that the thread reads ahead; each may be as long as the longest.
const AHEAD: usize = 32;
/// As of a CSV file. A shared text costs a few bytes of the sheet each time, so the sheet's size does not bound a row.
const LONGEST_ROW: usize = 4 * 1024 * 1024;

/// A row of the sheet.
#[derive(Debug, Default)]
pub struct Record {
    /// Its number in the sheet, from 1.
    pub line: u64,
    pub cells: Vec<String>,
    /// The first cell whose content is lost: its column, from 0, and what is wrong with it.
    pub lost: Option<(usize, String)>,
}

/// What the thread says. The end is said as well: a thread that has died says nothing more.
enum Said {
    Row(Record),
    End,
    Unreadable(anyhow::Error),
}

type Rows = SyncSender<Said>;

/// A worksheet, read row by row.
pub struct Sheet(Receiver<Said>);

impl Sheet {
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        look_through(path)?;
        let mut workbook: Xlsx<_> =
            open_workbook(path).map_err(|error: XlsxError| anyhow::anyhow!("the file is no XLSX: {error}"))?;
        let Some(name) = workbook.sheet_names().first().cloned() else { bail!("there is no worksheet in it") };
        Ok(Self::read_by(move |rows| read(&mut workbook, &name, rows)))
    }

    fn read_by(read: impl FnOnce(&Rows) -> anyhow::Result<()> + Send + 'static) -> Self {
        let (rows, receiver) = sync_channel(AHEAD);
        std::thread::spawn(move || {
            let last = read(&rows).map_or_else(Said::Unreadable, |()| Said::End);
            // Nobody listens any more when the import has ended early.
            drop(rows.send(last));
        });
        Self(receiver)
    }

    /// The next row that has anything in it.
    pub fn next_record(&mut self) -> anyhow::Result<Option<Record>> {
        match self.0.recv() {
            Ok(Said::Row(row)) => Ok(Some(row)),
            Ok(Said::End) => Ok(None),
            Ok(Said::Unreadable(error)) => Err(error),
            Err(_) => bail!(
                "the reader of the worksheet ended before the worksheet did, at something that it cannot read; save the \
                 workbook as CSV and import that"
            ),
        }
    }
}

fn read(workbook: &mut Xlsx<std::io::BufReader<std::fs::File>>, name: &str, rows: &Rows) -> anyhow::Result<()> {
    let mut cells = workbook.worksheet_cells_reader(name).context("the worksheet cannot be read")?;
    let (mut row, mut bytes) = (Record::default(), 0);
    while let Some(cell) = cells.next_cell().context("the worksheet cannot be read")? {
        let (line, column) = cell.get_position();
        let (line, column) = (u64::from(line) + 1, usize::try_from(column).unwrap_or(usize::MAX));
        if line != row.line {
            bytes = 0;
            if !row.cells.is_empty() && rows.send(Said::Row(std::mem::take(&mut row))).is_err() {
                return Ok(());
            }
        }
        let text = text(cell.get_value());
        if text.as_ref().is_ok_and(String::is_empty) {
            continue;
        }
        if column >= MOST_COLUMNS {
            bail!("row {line} has a cell in column {}; at most {MOST_COLUMNS} columns are read", column + 1);
        }
        bytes += text.as_ref().map_or(0, String::len);
        if bytes > LONGEST_ROW {
            bail!("row {line} goes on for more than {} MiB", LONGEST_ROW / 1024 / 1024);
        }
        row.line = line;
        row.cells.resize(row.cells.len().max(column + 1), String::new());
        match text {
            Ok(text) => row.cells[column] = text,
            Err(problem) => _ = row.lost.get_or_insert((column, problem)),
        }
    }
    if !row.cells.is_empty() {
        drop(rows.send(Said::Row(row)));
    }
    Ok(())
}

#[cfg(test)]
#[path = "workbook_tests.rs"]
mod tests;
