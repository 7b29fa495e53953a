//! The section `exports`: where the files go, and how long they stay.

use super::place::Place;
use super::reader::Section;

const FOLDER: &str = "/var/lib/calltaskd/exports";

/// Where exports are kept, and how long.
#[derive(Debug, Clone)]
pub struct Exports {
    pub place: Place,
    pub keep_days: u32,
}

impl Exports {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { place: Place::read(section, FOLDER), keep_days: section.number("keep_days", 7, 1..=3_650) }
    }
}
