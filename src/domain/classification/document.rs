//! Holds docs/call-results.md equal to the table.
