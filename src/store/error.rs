//! What can go wrong with the store, and what the caller should do about it.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::pooled_connection::bb8::RunError;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The same again later: nothing is wrong with the request.
    Retry,
    /// The request itself is at fault: again would end the same.
    Reject,
    /// It may be either: worth some tries, and a person's look.
    Suspect,
}

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection, or none in time.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The server ended the statement or the connection for reasons of its own.
    #[error("the database interrupted the statement: {0}")]
    Interrupted(#[source] DieselError),
    /// The database refused the data.
    #[error("the database refused the data: {0}")]
    Refused(#[source] DieselError),
    /// The database failed in a way that does not say whose fault it was.
    #[error("the database failed: {0}")]
    Failed(#[source] DieselError),
    /// A row that this program did not write.
    #[error("a stored row cannot be read: {0}")]
    Unreadable(String),
    /// The schema could not be brought up to date.
    #[error("the migration failed: {0}")]
    Migration(String),
}

impl StoreError {
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Unreachable(_) | Self::Interrupted(_) | Self::Migration(_) => Verdict::Retry,
            Self::Refused(_) | Self::Unreadable(_) => Verdict::Reject,
            Self::Failed(_) => Verdict::Suspect,
        }
    }
}

impl From<RunError> for StoreError {
    fn from(error: RunError) -> Self {
        Self::Unreachable(match error {
            RunError::TimedOut => "no connection became free in time".to_owned(),
            RunError::User(error) => error.to_string(),
        })
    }
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match &error {
            DieselError::DatabaseError(DatabaseErrorKind::UnableToSendCommand, _)
            | DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, _)
            | DieselError::BrokenTransactionManager => Self::Unreachable(error.to_string()),
            DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _)
            | DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => Self::Interrupted(error),
            DieselError::DatabaseError(_, information) if is_interruption(information.message()) => {
                Self::Interrupted(error)
            }
            DieselError::DatabaseError(
                DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::NotNullViolation,
                _,
            )
            | DieselError::SerializationError(_)
            | DieselError::DeserializationError(_) => Self::Refused(error),
            // Among these are check violations: a missing partition is told as one.
            _ => Self::Failed(error),
        }
    }
}

/// diesel hides the SQLSTATE of most errors, so those that a retry can mend are known by the server's text; in another
/// language than English they are merely suspect.
fn is_interruption(message: &str) -> bool {
    [
        "terminating connection",
        "canceling statement",
        "deadlock detected",
        "the database system is",
        "could not extend file",
        "No space left",
        "out of memory",
        "remaining connection slots",
        "too many clients",
    ]
    .iter()
    .any(|text| message.contains(text))
}
