//! The sets of values: those of the document are those of the code.

use std::collections::BTreeSet;

use calltaskd::domain::call::{CallResult, HangupBy, Scope};
use calltaskd::domain::callee::FailedReason;
use calltaskd::domain::calling_window::DAYS;
use calltaskd::domain::export::{ExportFormat, ExportState, ExportStatus};
use calltaskd::domain::problem::Code;
use calltaskd::domain::recording::RecordingState;
use calltaskd::domain::redial::REDIAL_REASONS;
use calltaskd::domain::task::{StartObstacle, TaskState};

use crate::document::document;

fn described(schema: &str) -> BTreeSet<&'static str> {
    let values = document()["components"]["schemas"][schema]["enum"].as_array();
    values.unwrap_or_else(|| panic!("{schema}")).iter().map(|value| value.as_str().unwrap()).collect()
}

macro_rules! same {
    ($schema:literal, $values:expr) => {
        let values = $values.iter().map(|value| value.as_str()).collect::<BTreeSet<&str>>();
        assert_eq!(described($schema), values, $schema);
    };
}

#[test]
fn every_set_of_values_is_that_of_the_code() {
    same!("callResult", CallResult::ALL);
    same!("redialReason", REDIAL_REASONS);
    same!("scope", Scope::ALL);
    same!("hangupBy", HangupBy::ALL);
    same!("taskState", TaskState::ALL);
    same!("startFailedReason", StartObstacle::ALL);
    same!("failedReason", FailedReason::ALL);
    same!("exportFormat", ExportFormat::ALL);
    same!("exportStatus", ExportStatus::ALL);
    same!("exportState", ExportState::ALL);
    same!("errorCode", Code::ALL);
    assert_eq!(described("day"), BTreeSet::from(DAYS));
    let mut shown = described("recordingState");
    assert!(shown.insert("DISCARDED"), "never shown outside");
    assert_eq!(shown, RecordingState::ALL.iter().map(|state| state.as_str()).collect());
    assert!(described("rowCode").is_subset(&described("errorCode")));
}

/// The page has every code, too.
#[test]
fn the_page_explains_every_code() {
    let page = include_str!("../../docs/wire.md");
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !page.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
