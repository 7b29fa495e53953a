//! Events for which no queue is bound: set aside, so that a million of them slow down nobody, and taken back
//! when there is a queue.

use std::time::Duration;

use diesel::sql_types::{Array, BigInt, Double, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use super::{Store, StoreError, StoredEvent};

impl Store {
    /// Sets events aside.
    pub async fn park_events(&self, ids: &[i64]) -> Result<(), StoreError> {
        let query = diesel::sql_query(
            "WITH gone AS (
                 DELETE FROM outbox WHERE id = ANY($1) RETURNING id, event_id, event_type, routing_key, body)
             INSERT INTO parked_events (id, event_id, event_type, routing_key, body)
             SELECT id, event_id, event_type, routing_key, body FROM gone ON CONFLICT DO NOTHING",
        );
        query.bind::<Array<BigInt>, _>(ids).execute(&mut self.connection().await?).await?;
        Ok(())
    }

    /// The oldest parked event of each routing key: a probe whether a queue is bound by now. Goes from key to key through
    /// the index instead of reading them all.
    pub async fn parked_samples(&self) -> Result<Vec<StoredEvent>, StoreError> {
        let query = diesel::sql_query(
            "WITH RECURSIVE keys AS (
                 (SELECT routing_key FROM parked_events ORDER BY routing_key LIMIT 1)
                 UNION ALL
                 SELECT (SELECT p.routing_key FROM parked_events p WHERE p.routing_key > keys.routing_key
                         ORDER BY p.routing_key LIMIT 1)
                 FROM keys WHERE keys.routing_key IS NOT NULL)
             SELECT p.id, p.event_id, p.event_type, p.routing_key, p.body
             FROM keys, LATERAL (
                 SELECT * FROM parked_events q WHERE q.routing_key = keys.routing_key ORDER BY q.id LIMIT 1) p",
        );
        Ok(query.load(&mut self.connection().await?).await?)
    }

    /// Takes parked events of these routing keys back into the outbox, as this daemon's.
    pub async fn unpark_events(&self, routing_keys: &[String], most: i64) -> Result<Vec<StoredEvent>, StoreError> {
        let query = diesel::sql_query(
            "WITH gone AS (
                 DELETE FROM parked_events WHERE id IN (
                     SELECT id FROM parked_events WHERE routing_key = ANY($2)
                     ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
                 RETURNING event_id, event_type, routing_key, body)
             INSERT INTO outbox (event_id, holder, event_type, routing_key, body)
             SELECT event_id, $1, event_type, routing_key, body FROM gone
             RETURNING id, event_id, event_type, routing_key, body",
        );
        Ok(query
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<Array<Text>, _>(routing_keys)
            .bind::<BigInt, _>(most)
            .load(&mut self.connection().await?)
            .await?)
    }

    /// Forgets parked events that the broker confirmed after all.
    pub async fn delete_parked_events(&self, ids: &[i64]) -> Result<(), StoreError> {
        let query = diesel::sql_query("DELETE FROM parked_events WHERE id = ANY($1)");
        query.bind::<Array<BigInt>, _>(ids).execute(&mut self.connection().await?).await?;
        Ok(())
    }

    /// Drops events that have been parked for longer than `keep`, and says how many.
    pub async fn drop_parked_events(&self, keep: Duration) -> Result<usize, StoreError> {
        let query = diesel::sql_query(
            "DELETE FROM parked_events WHERE id IN (
                 SELECT id FROM parked_events WHERE parked_at < clock_timestamp() - $1 * interval '1 second'
                 ORDER BY parked_at LIMIT 5000)",
        );
        Ok(query.bind::<Double, _>(keep.as_secs_f64()).execute(&mut self.connection().await?).await?)
    }
}
