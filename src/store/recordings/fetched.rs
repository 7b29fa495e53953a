//! What became of fetching a recording, as it is read beside what was reported.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::domain::recording::{FetchedRecording, RecordingFile};
use crate::store::StoreError;

/// The columns of a row that need not be there.
#[derive(QueryableByName)]
pub struct FetchedRow {
    #[diesel(sql_type = Nullable<Text>)]
    state: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    bytes: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    sha256: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    location: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
}

impl FetchedRow {
    fn file(&self) -> Option<RecordingFile> {
        Some(RecordingFile {
            bytes: u64::try_from(self.bytes?).unwrap_or(0),
            sha256: self.sha256.clone()?,
            location: self.location.clone()?,
        })
    }

    /// `None`: nobody ever wanted to fetch it.
    pub fn recording(&self) -> Result<Option<FetchedRecording>, StoreError> {
        let Some(state) = &self.state else { return Ok(None) };
        let unreadable = |()| StoreError::Unreadable(format!("{state} of a recording"));
        let (file, reason) = (self.file(), self.reason.clone());
        Ok(Some(FetchedRecording { state: state.parse().map_err(unreadable)?, file, reason }))
    }
}
