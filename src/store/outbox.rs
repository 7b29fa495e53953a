//! Events between their commit and the broker's confirm.
//!
//! A row is written in the transaction of the change it tells of. After the commit the same rows go through
//! the [`Feed`](super::Feed) to the publisher in memory, so that the usual way needs no read; whatever does not fit or gets
//! lost with a process stays in the table and is swept up. Rows are never asked for by `id > last`, because ids
//! commit out of order.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Store, StoreError};
use crate::domain::event::Event;
use crate::domain::ids::Holder;

/// An event that is written.
#[derive(Debug, Clone, QueryableByName)]
pub struct StoredEvent {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = SqlUuid)]
    pub event_id: Uuid,
    #[diesel(sql_type = Text)]
    pub event_type: String,
    #[diesel(sql_type = Text)]
    pub routing_key: String,
    #[diesel(sql_type = Text)]
    pub body: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

pub(super) async fn next_sequence(connection: &mut AsyncPgConnection) -> Result<i64, StoreError> {
    let query = diesel::sql_query("SELECT nextval('event_sequence') AS number");
    Ok(query.get_result::<Number>(connection).await?.number)
}

pub(super) async fn insert(
    connection: &mut AsyncPgConnection,
    holder: Holder,
    events: Vec<Event>,
) -> Result<Vec<StoredEvent>, StoreError> {
    let ids: Vec<Uuid> = events.iter().map(|event| event.id.0).collect();
    let types: Vec<&str> = events.iter().map(|event| event.event_type).collect();
    let keys: Vec<&str> = events.iter().map(|event| event.routing_key.as_str()).collect();
    let bodies: Vec<&str> = events.iter().map(|event| event.body.as_str()).collect();
    let query = diesel::sql_query(
        "INSERT INTO outbox (event_id, holder, event_type, routing_key, body)
         SELECT e.event_id, $1, e.event_type, e.routing_key, e.body
         FROM unnest($2, $3, $4, $5) AS e (event_id, event_type, routing_key, body)
         RETURNING id, event_id, event_type, routing_key, body",
    );
    Ok(query
        .bind::<SqlUuid, _>(holder.0)
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<Text>, _>(types)
        .bind::<Array<Text>, _>(keys)
        .bind::<Array<Text>, _>(bodies)
        .load(connection)
        .await?)
}

impl Store {
    /// Forgets events that the broker confirmed.
    pub async fn delete_events(&self, ids: &[i64]) -> Result<(), StoreError> {
        let query = diesel::sql_query("DELETE FROM outbox WHERE id = ANY($1)");
        query.bind::<Array<BigInt>, _>(ids).execute(&mut self.connection().await?).await?;
        Ok(())
    }

    /// The oldest events of this daemon that have waited for `age` without being published.
    pub async fn waiting_events(&self, age: Duration, most: i64) -> Result<Vec<StoredEvent>, StoreError> {
        let query = diesel::sql_query(
            "SELECT id, event_id, event_type, routing_key, body FROM outbox
             WHERE holder = $1 AND written_at <= clock_timestamp() - $2 * interval '1 second'
             ORDER BY id LIMIT $3",
        );
        Ok(query
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<Double, _>(age.as_secs_f64())
            .bind::<BigInt, _>(most)
            .load(&mut self.connection().await?)
            .await?)
    }

    /// Takes over the oldest events of daemons whose heartbeat is gone.
    pub async fn adopt_events(&self, silence: Duration, most: i64) -> Result<Vec<StoredEvent>, StoreError> {
        let query = diesel::sql_query(
            "UPDATE outbox SET holder = $1 WHERE id IN (
                 SELECT o.id FROM outbox o
                 WHERE o.holder <> $1 AND NOT EXISTS (
                     SELECT 1 FROM daemons d
                     WHERE d.holder = o.holder AND d.heartbeat_at > clock_timestamp() - $2 * interval '1 second')
                 ORDER BY o.id LIMIT $3 FOR UPDATE SKIP LOCKED)
             RETURNING id, event_id, event_type, routing_key, body",
        );
        Ok(query
            .bind::<SqlUuid, _>(self.holder.0)
            .bind::<Double, _>(silence.as_secs_f64())
            .bind::<BigInt, _>(most)
            .load(&mut self.connection().await?)
            .await?)
    }
}
