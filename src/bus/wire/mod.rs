//! The JSON of the wire contract, one folder for each version. Nothing else in the crate knows how a field is
//! spelled.

pub mod v1;
