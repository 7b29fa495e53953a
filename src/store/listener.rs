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

/// There is something to do for a service instance.
const WORK: &str = "calltaskd_work";
/// A lease is free, or has another holder.
pub(super) const LEASES: &str = "calltaskd_leases";

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The owner of this service instance finds something new.
    Work(ServiceInstanceId),
    /// There may be a lease to take, or one was handed on to this daemon.
    Leases,
}

impl Transaction {
    /// Tells the owner of a service instance, after the commit, that there is something new for it.
    pub async fn wake(&mut self, id: &ServiceInstanceId) -> Result<(), StoreError> {
        self.notify(WORK, id).await
    }

    /// Tells every daemon, after the commit, that there may be a lease to take.
    pub(super) async fn offer_lease(&mut self, id: &ServiceInstanceId) -> Result<(), StoreError> {
        self.notify(LEASES, id).await
    }

    async fn notify(&mut self, channel: &str, id: &ServiceInstanceId) -> Result<(), StoreError> {
        let query = diesel::sql_query("SELECT pg_notify($1, $2)");
        query.bind::<Text, _>(channel).bind::<Text, _>(&id.0).execute(&mut self.connection).await?;
        Ok(())
    }
}

impl Store {
    /// Calls `tell` for each message until the connection is lost.
    pub async fn listen(&self, mut tell: impl FnMut(News)) -> Result<(), StoreError> {
        let unreachable = |error: diesel::ConnectionError| StoreError::Unreachable(error.to_string());
        let mut connection = AsyncPgConnection::establish(self.url.expose_secret()).await.map_err(unreachable)?;
        connection.batch_execute(&format!("LISTEN {WORK}; LISTEN {LEASES}")).await?;
        let mut messages = pin!(connection.notifications_stream());
        while let Some(message) = messages.next().await {
            let message = message?;
            tell(match message.channel.as_str() {
                WORK => News::Work(ServiceInstanceId(message.payload)),
                _ => News::Leases,
            });
        }
        Err(StoreError::Unreachable("the listening connection was closed".to_owned()))
    }
}
