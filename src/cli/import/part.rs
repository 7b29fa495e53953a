//! One part of a workbook, tag by tag: how much of it its reader would keep in memory.
//!
//! Must count no less than is kept, whatever the part is taken for: where a workbook begins is said by the workbook
//! itself, so each part may be read as worksheet, texts, formats or table of contents. Rows are not kept; from the first
//! text or format on a part counts as a whole.

use anyhow::bail;
use quick_xml::events::BytesStart;

use crate::domain::fields::excerpt;

/// What a text, a format or a name costs besides its bytes.
const OVERHEAD: u64 = 64;
/// A format of cells is kept with copies of its font, borders and code.
const FORMAT: u64 = 1_024;
/// A sheet is kept with a copy of where it is, which stands in a tag of its own.
const LONGEST_PLACE: u64 = 16 * 1_024;
/// No spreadsheet nests elements like that, and each that is open is remembered.
const DEEPEST: usize = 256;
const LONGEST_NAME: usize = 1_024;

/// The last cell that a worksheet has room for is XFD1048576.
const LAST_COLUMN: u64 = 16_384;
const LAST_ROW: u64 = 1_048_576;

#[derive(Debug, Default)]
pub struct Part {
    /// Up to the last tag or text.
    pub bytes: u64,
    pub has_cells: bool,
    /// Where the first of what is kept begins.
    kept_from: Option<u64>,
    /// What it costs besides its bytes.
    besides: u64,
    formats: u64,
    longest_tag: u64,
    /// The names of the elements that are open, and where each begins in it.
    open: String,
    begins: Vec<usize>,
    /// The outermost cell that is open: its depth, and where it begins.
    cell: Option<(usize, u64)>,
}

impl Part {
    pub fn kept(&self) -> u64 {
        let bytes = self.kept_from.map_or(0, |from| self.bytes.saturating_sub(from));
        bytes.saturating_add(self.besides).saturating_add(self.formats * (FORMAT + self.longest_tag))
    }

    /// How long the cell is that is open.
    pub fn of_cell(&self) -> u64 {
        self.cell.map_or(0, |(_, from)| self.bytes.saturating_sub(from))
    }

    pub fn begin(&mut self, tag: &BytesStart<'_>) -> anyhow::Result<()> {
        self.nest(tag.name().as_ref())?;
        let length = tag.len() as u64;
        let from = self.bytes.saturating_sub(length);
        self.longest_tag = self.longest_tag.max(length);
        // The prefix of a namespace says nothing.
        let name = tag.local_name();
        self.has_cells |= matches!(name.as_ref(), "c" | "row" | "si");
        match name.as_ref() {
            "row" => return reference(tag),
            "c" => {
                self.cell.get_or_insert((self.begins.len(), from));
                return reference(tag);
            }
            "xf" => self.formats += 1,
            _ => {}
        }
        if let Some(besides) = besides(tag)? {
            self.kept_from.get_or_insert(from);
            self.besides = self.besides.saturating_add(besides);
        }
        Ok(())
    }

    fn nest(&mut self, name: &str) -> anyhow::Result<()> {
        if self.begins.len() >= DEEPEST || name.len() > LONGEST_NAME {
            bail!("it has more than {DEEPEST} elements in each other, or a name of more than {LONGEST_NAME} bytes");
        }
        self.begins.push(self.open.len());
        self.open.push_str(name);
        Ok(())
    }

    pub fn end(&mut self, name: &str) {
        let begin = self.begins.pop();
        if begin.is_none_or(|begin| self.open[begin..] != *name) {
            // The reader does not look whether elements are closed in their order: nobody knows now what is one text.
            self.kept_from.get_or_insert(self.bytes);
        }
        self.open.truncate(begin.unwrap_or(0));
        self.cell = self.cell.filter(|(depth, _)| *depth <= self.begins.len());
    }
}

/// What an element costs besides its bytes, if it is one that is kept.
fn besides(tag: &BytesStart<'_>) -> anyhow::Result<Option<u64>> {
    Ok(Some(match tag.local_name().as_ref() {
        "Relationship" if tag.len() as u64 > LONGEST_PLACE => {
            bail!("the place of a part of it is longer than {} KiB", LONGEST_PLACE / 1_024)
        }
        "si" | "numFmt" | "font" | "fill" | "border" | "clrScheme" | "definedName" | "Relationship" | "Override" => {
            OVERHEAD
        }
        "sheet" => LONGEST_PLACE,
        // Counted for itself.
        "xf" => 0,
        // Memory is set aside for as many texts as there are said to be.
        "sst" => attribute(tag, "uniqueCount")?.map_or(0, |count| claimed(&count).saturating_mul(OVERHEAD)),
        _ => return Ok(None),
    }))
}

/// A number of texts; what is no number is not believed by the reader either.
fn claimed(count: &str) -> u64 {
    if count.bytes().all(|digit| digit.is_ascii_digit()) { count.parse().unwrap_or(u64::MAX) } else { 0 }
}

/// Refuses a row or a cell at a place that no worksheet has: its number would be taken for another one's.
fn reference(tag: &BytesStart<'_>) -> anyhow::Result<()> {
    let Some(place) = attribute(tag, "r")? else { return Ok(()) };
    let letters = place.len() - place.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
    let (column, row) = place.split_at(letters);
    let number = |letter: u8| u64::from(letter.to_ascii_uppercase() - b'A') + 1;
    let column = column.bytes().fold(0_u64, |sum, letter| sum.saturating_mul(26).saturating_add(number(letter)));
    let is_number = !row.is_empty() && row.bytes().all(|digit| digit.is_ascii_digit());
    // What is no reference at all is refused by the reader.
    if column > LAST_COLUMN || is_number && row.parse().map_or(true, |row: u64| row > LAST_ROW) {
        bail!("it has a row or cell at {}, which no worksheet has: the last one is XFD1048576", excerpt(&place, 32));
    }
    Ok(())
}

/// An attribute as it stands there.
fn attribute(tag: &BytesStart<'_>, name: &str) -> anyhow::Result<Option<String>> {
    for attribute in tag.attributes().with_checks(false) {
        let Ok(attribute) = attribute else { bail!("it has a tag that is no XML: {}", excerpt(tag, 64)) };
        if attribute.key.as_ref().trim_ascii() == name {
            return Ok(Some(attribute.value.into_owned()));
        }
    }
    Ok(None)
}
