//! Calls that are up: what another run of the daemon needs to go on with them, kept in the row of their open attempt.
//!
//! So it is gone with the row when the end is recorded, and nothing can be written of a call that is not open any more.
//! Must not look into the dialogs: what they hold is the dialer's.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, Double, Json, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::ids::{CallId, Holder};
use crate::store::{Store, StoreError};

/// A call that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveCall {
    pub call: CallId,
    /// The URI by which its sides look for us.
    pub sip_address: String,
    pub dialogs: Value,
}

/// A call that another run of the daemon left up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftCall {
    pub call: CallId,
    /// Who looked after it last.
    pub holder: Holder,
    pub dialogs: Value,
    /// How long nobody has looked after it; `None` where that is not known any more.
    pub silence: Option<Duration>,
}

#[derive(QueryableByName)]
struct CallRow {
    #[diesel(sql_type = SqlUuid)]
    call_id: Uuid,
}

#[derive(QueryableByName)]
struct AddressRow {
    #[diesel(sql_type = Text)]
    sip_address: String,
}

#[derive(QueryableByName)]
struct LeftRow {
    #[diesel(sql_type = SqlUuid)]
    call_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    holder: Uuid,
    #[diesel(sql_type = Json)]
    dialogs: Value,
    #[diesel(sql_type = Nullable<Double>)]
    silence_seconds: Option<f64>,
}

impl From<LeftRow> for LeftCall {
    fn from(row: LeftRow) -> Self {
        Self {
            call: CallId(row.call_id),
            holder: Holder(row.holder),
            dialogs: row.dialogs,
            silence: row.silence_seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
        }
    }
}

fn ids(rows: Vec<CallRow>) -> Vec<CallId> {
    rows.into_iter().map(|row| CallId(row.call_id)).collect()
}

impl Store {
    /// Writes down calls of this daemon as they are now; gives those whose attempts are open.
    pub async fn keep_live_calls(&self, calls: &[LiveCall]) -> Result<Vec<CallId>, StoreError> {
        let query = diesel::sql_query(
            "UPDATE open_attempts o SET sip_address = k.sip_address, dialogs = k.dialogs
             FROM unnest($1, $2, $3) AS k (call_id, sip_address, dialogs)
             WHERE o.call_id = k.call_id AND o.holder = $4
             RETURNING o.call_id",
        );
        let rows: Vec<CallRow> = query
            .bind::<Array<SqlUuid>, _>(calls.iter().map(|live| live.call.0).collect::<Vec<_>>())
            .bind::<Array<Text>, _>(calls.iter().map(|live| live.sip_address.as_str()).collect::<Vec<_>>())
            .bind::<Array<Json>, _>(calls.iter().map(|live| &live.dialogs).collect::<Vec<_>>())
            .bind::<SqlUuid, _>(self.holder.0)
            .load(&mut self.connection().await?)
            .await?;
        Ok(ids(rows))
    }

    /// Where the calls of other runs are looked for.
    pub async fn live_addresses(&self) -> Result<Vec<String>, StoreError> {
        let query = diesel::sql_query(
            "SELECT DISTINCT sip_address FROM open_attempts WHERE sip_address IS NOT NULL AND holder <> $1",
        );
        let rows: Vec<AddressRow> = query.bind::<SqlUuid, _>(self.holder.0).load(&mut self.connection().await?).await?;
        Ok(rows.into_iter().map(|row| row.sip_address).collect())
    }

    /// The calls of other runs that are looked for at these addresses.
    pub async fn calls_left_at(&self, addresses: &[String]) -> Result<Vec<LeftCall>, StoreError> {
        let query = diesel::sql_query(
            "SELECT o.call_id, o.holder, o.dialogs,
                    extract(epoch FROM clock_timestamp() - coalesce(o.left_at, d.heartbeat_at))::double precision
                    AS silence_seconds
             FROM open_attempts o LEFT JOIN daemons d ON d.holder = o.holder
             WHERE o.sip_address = ANY ($1) AND o.holder <> $2",
        );
        let rows: Vec<LeftRow> = query
            .bind::<Array<Text>, _>(addresses)
            .bind::<SqlUuid, _>(self.holder.0)
            .load(&mut self.connection().await?)
            .await?;
        Ok(rows.into_iter().map(LeftCall::from).collect())
    }

    /// Attempts of other runs of which nothing is written down for whoever follows: their calls may ring.
    pub async fn unwritten_calls(&self) -> Result<Vec<CallId>, StoreError> {
        let query = diesel::sql_query("SELECT call_id FROM open_attempts WHERE dialogs IS NULL AND holder <> $1");
        let rows: Vec<CallRow> = query.bind::<SqlUuid, _>(self.holder.0).load(&mut self.connection().await?).await?;
        Ok(ids(rows))
    }

    /// Makes calls of other runs this daemon's own, where they are still open and nobody was faster; gives those.
    pub async fn adopt_calls(&self, calls: &[LeftCall]) -> Result<Vec<CallId>, StoreError> {
        let query = diesel::sql_query(
            "UPDATE open_attempts o SET holder = $3, left_at = NULL FROM unnest($1, $2) AS k (call_id, holder)
             WHERE o.call_id = k.call_id AND o.holder = k.holder AND o.dialogs IS NOT NULL
             RETURNING o.call_id",
        );
        let rows: Vec<CallRow> = query
            .bind::<Array<SqlUuid>, _>(calls.iter().map(|left| left.call.0).collect::<Vec<_>>())
            .bind::<Array<SqlUuid>, _>(calls.iter().map(|left| left.holder.0).collect::<Vec<_>>())
            .bind::<SqlUuid, _>(self.holder.0)
            .load(&mut self.connection().await?)
            .await?;
        Ok(ids(rows))
    }

    /// A call of another run whose time is over, made this daemon's own. `None`: it is not open any more, or `holder` is not
    /// its holder.
    pub async fn adopt_overdue(&self, call: CallId, holder: Holder) -> Result<Option<LeftCall>, StoreError> {
        let query = diesel::sql_query(
            "UPDATE open_attempts SET holder = $3, left_at = NULL
             WHERE call_id = $1 AND holder = $2 AND dialogs IS NOT NULL
             RETURNING call_id, holder, dialogs, 0::double precision AS silence_seconds",
        );
        let row: Option<LeftRow> = query
            .bind::<SqlUuid, _>(call.0)
            .bind::<SqlUuid, _>(holder.0)
            .bind::<SqlUuid, _>(self.holder.0)
            .get_result(&mut self.connection().await?)
            .await
            .optional()?;
        Ok(row.map(LeftCall::from))
    }
}
