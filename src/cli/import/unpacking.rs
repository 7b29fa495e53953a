//! Whether a workbook can be read without more memory than a list of callees deserves: a small file may unpack to
//! anything.
//!
//! Must not understand the workbook, nor believe a name or a length in it: every part is unpacked once, and what a reader
//! would keep of it is counted, whichever part it takes it for (`part`). Must split the text into tags as that reader does
//! (calamine, by quick-xml with the same settings), or a comment could hide from it what the reader sees.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};
use quick_xml::Reader;
use quick_xml::events::Event;
use zip::ZipArchive;

use super::part::Part;

const MIB: u64 = 1024 * 1024;
/// All parts together; a million rows of ten columns take half a GiB.
const MOST: u64 = 2 * 1024 * MIB;
/// What is kept in memory: bytes of shared texts and formats, and what each costs besides.
const MOST_KEPT: u64 = 192 * MIB;
/// A part without rows and shared texts: themes, drawings.
const MOST_OTHER: u64 = 64 * MIB;
/// A cell, or whatever else the reader has in hand at a time; a spreadsheet allows 32,767 characters.
const LONGEST_CELL: u64 = 4 * MIB;

/// Refuses a workbook that unpacks to too much; what is no workbook is for its reader to refuse.
pub fn look_through(path: &Path) -> anyhow::Result<()> {
    let file = File::open(path).context("cannot be opened")?;
    let Ok(mut archive) = ZipArchive::new(BufReader::new(file)) else { return Ok(()) };
    let mut so_far = SoFar::default();
    for index in 0..archive.len() {
        if let Ok(part) = archive.by_index(index) {
            so_far = look(part, so_far)?;
        }
    }
    Ok(())
}

/// Of the parts that were looked at.
#[derive(Debug, Clone, Copy, Default)]
struct SoFar {
    unpacked: u64,
    kept: u64,
}

fn look(part: impl Read, before: SoFar) -> anyhow::Result<SoFar> {
    let bounded = Bounded { input: part, unpacked: before.unpacked, in_hand: 0, problem: None };
    let mut reader = Reader::from_reader(BufReader::with_capacity(64 * 1024, bounded));
    let config = reader.config_mut();
    (config.check_end_names, config.expand_empty_elements) = (false, true);
    let (mut part, mut buffer) = (Part::default(), Vec::new());
    loop {
        buffer.clear();
        let event = reader.read_event_into(&mut buffer);
        part.bytes = reader.buffer_position();
        let bounded = reader.get_mut().get_mut();
        if let Some(problem) = bounded.problem.take() {
            bail!(problem);
        }
        bounded.in_hand = 0;
        match event {
            Ok(Event::Start(tag)) => part.begin(&tag)?,
            Ok(Event::End(tag)) => part.end(tag.name().as_ref()),
            // Nobody can read on in a part that is broken or no XML, such as a picture.
            Ok(Event::Eof) | Err(_) => {
                return Ok(SoFar { unpacked: bounded.unpacked, kept: before.kept + part.kept() });
            }
            Ok(_) => {}
        }
        if before.kept.saturating_add(part.kept()) > MOST_KEPT {
            bail!("its texts and formats unpack to more than {} MiB; {REMEDY}", MOST_KEPT / MIB);
        }
        if !part.has_cells && part.bytes > MOST_OTHER {
            bail!("a part of it that holds no rows unpacks to more than {} MiB; {REMEDY}", MOST_OTHER / MIB);
        }
        if part.of_cell() > LONGEST_CELL {
            bail!(too_long());
        }
    }
}

const REMEDY: &str = "leave out what is no list of callees, or save it as CSV and import that";

fn too_long() -> String {
    format!("a cell of it unpacks to more than {} MiB; {REMEDY}", LONGEST_CELL / MIB)
}

/// Ends a part that goes on for too long, within a tag or text as well.
struct Bounded<R> {
    input: R,
    unpacked: u64,
    /// Since something was seen last.
    in_hand: u64,
    problem: Option<String>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.unpacked += read as u64;
        self.in_hand += read as u64;
        if self.unpacked > MOST {
            self.problem = Some(format!("it unpacks to more than {} MiB; {REMEDY}", MOST / MIB));
        } else if self.in_hand > LONGEST_CELL {
            self.problem = Some(too_long());
        }
        if self.problem.is_some() { Err(io::Error::other("too long")) } else { Ok(read) }
    }
}

#[cfg(test)]
#[path = "unpacking_tests.rs"]
pub mod tests;
