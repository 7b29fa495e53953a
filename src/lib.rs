//! calltaskd runs outbound call tasks for AI voice agents.
//!
//! ```text
//! RabbitMQ ─▶ consumer ─▶ store ◀─▶ dispatcher ─▶ dialer ─▶ carrier, agent
//!                           │  ▲                    │
//!                janitor ───┘  └───── attempt ◀─────┘
//!                           └─▶ publisher ─▶ RabbitMQ
//! ```
//!
//! Folders are stages on foundations. Stages never import each other: they meet in the store. Imports point one
//! way, `clock, retry, safeguards, telemetry, domain ← settings ← bus, objects, store ← dialer ← stages ← admin ← daemon ← cli`,
//! which
//! `tests/architecture.rs` holds.

// Foundations.
pub mod clock;
pub mod domain;
pub mod retry;
pub mod safeguards;
pub mod settings;
pub mod telemetry;

// Where state is kept, and how messages travel.
pub mod bus;
pub mod objects;
pub mod store;

// Stages, in the order of the flow.
pub mod archivist;
pub mod consumer;
pub mod dialer;
pub mod dispatcher;
pub mod export;
pub mod janitor;
pub mod publisher;

// The shell around them.
pub mod admin;
pub mod cli;
pub mod daemon;
