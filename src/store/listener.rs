//! Being told at once that something changed (LISTEN, NOTIFY).
//!
//! Only rare control messages come this way; whoever listens also polls, so that a lost one costs a second
//! and nothing else.

use std::pin::pin;

use diesel::sql_types::Text;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::StreamExt;
use secrecy::ExposeSecret;

use super::{Store, StoreError, Transaction};
use crate::domain::ids::ServiceInstanceId;

const CHANNEL: &str = "calltaskd_work";

impl Transaction {
    /// Tells the owner of a service instance, after the commit, that there is something new for it.
    pub async fn wake(&mut self, id: &ServiceInstanceId) -> Result<(), StoreError> {
        let query = diesel::sql_query("SELECT pg_notify($1, $2)");
        query.bind::<Text, _>(CHANNEL).bind::<Text, _>(&id.0).execute(&mut self.connection).await?;
        Ok(())
    }
}

impl Store {
    /// Calls `wake` for each message until the connection is lost.
    pub async fn listen(&self, mut wake: impl FnMut(ServiceInstanceId)) -> Result<(), StoreError> {
        let unreachable = |error: diesel::ConnectionError| StoreError::Unreachable(error.to_string());
        let mut connection = AsyncPgConnection::establish(self.url.expose_secret()).await.map_err(unreachable)?;
        connection.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        let mut messages = pin!(connection.notifications_stream());
        while let Some(message) = messages.next().await {
            wake(ServiceInstanceId(message?.payload));
        }
        Err(StoreError::Unreachable("the listening connection was closed".to_owned()))
    }
}
