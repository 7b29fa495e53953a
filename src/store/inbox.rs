//! The memory behind `message_id`: which commands took effect, and what was replied.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::inbox;
use super::{Store, StoreError, Transaction};

/// A command that took effect.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = inbox)]
pub struct Remembered {
    pub message_id: String,
    /// The routing key.
    pub command: String,
    pub body_sha256: Vec<u8>,
    /// The reply as it was sent.
    pub reply: String,
}

impl Transaction {
    /// What is remembered of `message_id`.
    pub async fn recall(&mut self, message_id: &str) -> Result<Option<Remembered>, StoreError> {
        let query = inbox::table.find(message_id).select(Remembered::as_select());
        Ok(query.first(&mut self.connection).await.optional()?)
    }

    /// Remembers a command that takes effect with this transaction.
    pub async fn remember(&mut self, command: &Remembered) -> Result<(), StoreError> {
        diesel::insert_into(inbox::table).values(command).execute(&mut self.connection).await?;
        Ok(())
    }
}

impl Store {
    /// Forgets what is older than `keep_days`, a slice at a time; says how many went.
    pub async fn forget_commands(&self, keep_days: u32) -> Result<usize, StoreError> {
        let query = diesel::sql_query(
            "DELETE FROM inbox WHERE message_id IN (
                 SELECT message_id FROM inbox
                 WHERE received_at < clock_timestamp() - $1 * interval '1 day' ORDER BY received_at LIMIT 5000)",
        );
        let keep_days = i32::try_from(keep_days).unwrap_or(i32::MAX);
        Ok(query.bind::<diesel::sql_types::Integer, _>(keep_days).execute(&mut self.connection().await?).await?)
    }
}
