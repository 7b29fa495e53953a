//! Tables with aligned columns, for people.
//!
//! Must not be read by a program: that is what `--json` is for.

use std::fmt;

use crate::domain::visible;

/// Rows, below headings if there are any. A column whose heading begins with `>` is aligned to the right.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
    to_the_right: Vec<bool>,
    /// What the columns had in the parts that are printed already.
    widths: Vec<usize>,
    headings: usize,
}

impl Table {
    pub fn new<const N: usize>(headings: [&str; N]) -> Self {
        let to_the_right = headings.iter().map(|heading| heading.starts_with('>')).collect();
        let heading = |heading: &str| heading.trim_start_matches('>').to_owned();
        Self { rows: vec![headings.into_iter().map(heading).collect()], to_the_right, widths: vec![0; N], headings: 1 }
    }

    /// One of names and values.
    pub fn without_headings() -> Self {
        Self { rows: Vec::new(), to_the_right: vec![false; 2], widths: vec![0; 2], headings: 0 }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        // A line end would begin a row of its own.
        self.rows.push(cells.into_iter().map(|cell| visible::line(&cell).into_owned()).collect());
    }

    /// True without any row below the headings.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == self.headings
    }

    /// The rows so far, which are forgotten; those that follow line up with them.
    pub fn part(&mut self) -> String {
        let text = self.to_string();
        self.widths = (0..self.widths.len()).map(|column| self.width(column)).collect();
        (self.rows, self.headings) = (Vec::new(), 0);
        text
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(self.widths.get(column).copied().unwrap_or(0))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<_> = (0..self.to_the_right.len()).map(|column| self.width(column)).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for ((cell, width), to_the_right) in row.iter().zip(&widths).zip(&self.to_the_right) {
                let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
                let (before, after) = if *to_the_right { (padding.as_str(), "") } else { ("", padding.as_str()) };
                line.extend([before, cell, after, "  "]);
            }
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_a_row_or_steers_a_terminal() {
        let mut table = Table::new(["A", "B"]);
        table.row(["x\nforged".to_owned(), "\u{1b}[2J\u{202e}".to_owned()]);
        assert_eq!(table.to_string(), "A          B\nx\\nforged  \\u{1b}[2J\\u{202e}");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["RESULT", ">CALLEES", "NOTE"]);
        assert!(table.is_empty());
        table.row(["ANSWERED".to_owned(), "7".to_owned(), String::new()]);
        table.row(["Zoë".to_owned(), "1234567890".to_owned(), "x".to_owned()]);
        assert_eq!(table.part(), "RESULT       CALLEES  NOTE\nANSWERED           7\nZoë       1234567890  x");
        assert!(table.is_empty());
        table.row(["BUSY".to_owned(), "1".to_owned(), String::new()]);
        assert_eq!(table.part(), "BUSY               1");
    }
}
