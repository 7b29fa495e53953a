//! ② The rules: what a task, a callee, a call and a limit *are*.
//!
//! Nothing here does I/O, is async or reads a clock: the time is always an argument, so that every rule
//! can be tested by calling it. Everything else in the crate may import this folder; it imports none of them.

pub mod agent;
pub mod balance;
pub mod call;
pub mod callee;
pub mod calling_window;
pub mod classification;
pub mod event;
pub mod export;
pub mod fields;
pub mod ids;
pub mod phone_number;
pub mod pool;
pub mod problem;
pub mod progress;
pub mod record;
pub mod recording;
pub mod redial;
pub mod rotation;
pub mod service_instance;
pub mod task;
pub mod visible;
