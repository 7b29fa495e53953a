//! Attempts: the licence to dial, and what became of it.
//!
//! A row of `open_attempts` is the licence: it is inserted by a claim, which the lease's fence lets through, and
//! committed before the call is placed. At the end one statement moves it to the log, makes the callee final or
//! lets it wait, and writes the event; a statement that finds no open row any more does nothing, so an end is
//! recorded once, whoever reports it.

mod claim;
mod end;
mod live;
mod open;

pub use claim::{ClaimedAttempt, NewAttempt};
pub use end::{EndedAttempt, FailedCallee};
pub use live::{LeftCall, LiveCall};
pub use open::{DueRedial, OpenAttempt};
