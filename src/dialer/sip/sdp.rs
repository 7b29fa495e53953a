//! Session descriptions.
