//! Whether a workbook can be read without more memory than a list of callees deserves: a small file may unpack to
//! anything.
//!
//! Must not understand the workbook, nor believe a name or a length in it: every part is unpacked once, and what a reader
//! would keep of it is counted. Rows are not kept; shared texts, formats, and whatever stands in one cell are.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};
use zip::ZipArchive;

const MIB: u64 = 1024 * 1024;
/// All parts together; a million rows of ten columns take half a GiB.
const MOST: u64 = 2 * 1024 * MIB;
/// What is kept in memory: bytes of shared texts and formats, and what each costs besides.
const MOST_KEPT: u64 = 192 * MIB;
const OVERHEAD: u64 = 64;
/// A part without rows and shared texts: pictures, themes.
const MOST_OTHER: u64 = 64 * MIB;
/// From one cell to the next; a spreadsheet allows 32,767 characters.
const LONGEST_CELL: u64 = 4 * MIB;

/// What is kept of each, whatever part it stands in.
const KEPT: [&[u8]; 7] = [b"si", b"numFmt", b"xf", b"sheet", b"definedName", b"Relationship", b"Override"];
const CELLS: [&[u8]; 2] = [b"c", b"row"];

/// Refuses a workbook that unpacks to too much; what is no workbook is for its reader to refuse.
pub fn look_through(path: &Path) -> anyhow::Result<()> {
    let file = File::open(path).context("cannot be opened")?;
    let Ok(mut archive) = ZipArchive::new(BufReader::new(file)) else { return Ok(()) };
    let (mut unpacked, mut kept) = (0, 0);
    for index in 0..archive.len() {
        let Ok(mut part) = archive.by_index(index) else { continue };
        let mut found = Part::default();
        let mut chunk = vec![0; 64 * 1024];
        // A part that is broken is refused by whoever needs it.
        while let Ok(read @ 1..) = part.read(&mut chunk) {
            unpacked += read as u64;
            if unpacked > MOST {
                bail!("it unpacks to more than {} MiB; {REMEDY}", MOST / MIB);
            }
            chunk[..read].iter().for_each(|byte| found.see(*byte));
            if kept + found.kept() > MOST_KEPT {
                bail!("its texts and formats unpack to more than {} MiB; {REMEDY}", MOST_KEPT / MIB);
            }
            if !found.has_cells && found.bytes > MOST_OTHER {
                bail!("a part of it that holds no rows unpacks to more than {} MiB; {REMEDY}", MOST_OTHER / MIB);
            }
            if found.has_cells && found.longest > LONGEST_CELL {
                bail!("a cell of it unpacks to more than {} MiB; {REMEDY}", LONGEST_CELL / MIB);
            }
        }
        kept += found.kept();
    }
    Ok(())
}

const REMEDY: &str = "leave out what is no list of callees, or save it as CSV and import that";

/// One part, byte by byte.
#[derive(Debug, Default)]
struct Part {
    bytes: u64,
    counted: u64,
    has_texts: bool,
    has_cells: bool,
    since: u64,
    longest: u64,
    /// The name of the tag that has begun, and whether it can still go on.
    name: Vec<u8>,
    in_name: bool,
}

impl Part {
    fn kept(&self) -> u64 {
        self.counted * OVERHEAD + if self.has_texts { self.bytes } else { 0 }
    }

    fn see(&mut self, byte: u8) {
        self.bytes += 1;
        self.since += 1;
        self.longest = self.longest.max(self.since);
        match byte {
            b'<' => {
                self.name.clear();
                self.in_name = true;
            }
            _ if !self.in_name => {}
            // The prefix of a namespace says nothing.
            b':' => self.name.clear(),
            b'>' | b'/' | b' ' | b'\t' | b'\r' | b'\n' => {
                self.in_name = false;
                self.tag();
            }
            _ if self.name.len() < 16 => self.name.push(byte),
            _ => self.in_name = false,
        }
    }

    fn tag(&mut self) {
        let (is_kept, is_cell) = (KEPT.contains(&&self.name[..]), CELLS.contains(&&self.name[..]));
        self.counted += u64::from(is_kept);
        self.has_texts |= self.name == b"si";
        self.has_cells |= is_cell || self.name == b"si";
        if is_cell || is_kept {
            self.since = 0;
        }
    }
}
