//! ③ Postgres: the only place with SQL.
//!
//! The stages meet here and nowhere else. One file for each kind of thing that is kept; each function is one
//! statement or a few that belong together. What becomes one commit is composed by the caller in a
//! [`Transaction`]; the events written in it go to the publisher's feed when it has committed, not before.
//!
//! A future that is inside a statement must never be dropped: the statement may commit all the same. Stages
//! therefore await the store outside of `select!`.

pub mod agents;
pub mod attempts;
pub mod callees;
pub mod cancellations;
mod counts;
pub mod daemons;
pub mod error;
pub mod exports;
mod feed;
pub mod inbox;
pub mod leases;
pub mod listener;
mod lists;
pub mod migrations;
pub mod outbox;
mod parked;
pub mod partitions;
pub mod progress;
pub mod purge;
pub mod recordings;
pub mod records;
pub mod reports;
mod schema;
pub mod scratch;
pub mod service_instances;
pub mod tasks;

use std::time::Duration;

use diesel::ConnectionError;
use diesel_async::pooled_connection::bb8::{Pool, PooledConnection};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection, TransactionManager};
use futures_util::FutureExt;
use secrecy::{ExposeSecret, SecretString};

pub use error::{StoreError, Verdict};
pub use feed::{Feed, FeedReader};
pub use outbox::StoredEvent;

use crate::domain::event::Event;
use crate::domain::ids::Holder;
use crate::settings::Database;

type Connection = PooledConnection<'static, AsyncPgConnection>;
type Manager = <AsyncPgConnection as AsyncConnection>::TransactionManager;

/// How long to wait for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// The way to Postgres; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool<AsyncPgConnection>,
    url: SecretString,
    holder: Holder,
    feed: Feed,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("holder", &self.holder).finish_non_exhaustive()
    }
}

impl Store {
    /// Prepares the way; connects only when somebody asks, so that a database that is away is waited for.
    pub fn new(database: &Database, holder: Holder) -> (Self, FeedReader) {
        // No just-in-time compiling: it costs up to a second wherever the planner expects more rows than come.
        let session = format!(
            "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
             SET jit = off; SET application_name = 'calltaskd'",
            database.statement_timeout.as_millis(),
            database.lock_timeout.as_millis(),
            database.idle_in_transaction_timeout.as_millis(),
        );
        let mut config = ManagerConfig::default();
        config.custom_setup = Box::new(move |url| connect(url.to_owned(), session.clone()).boxed());
        let manager = AsyncDieselConnectionManager::new_with_config(database.url.expose_secret().to_owned(), config);
        let pool = Pool::builder()
            .max_size(database.max_connections)
            .connection_timeout(ACQUIRE_TIMEOUT)
            .build_unchecked(manager);
        let (feed, reader) = feed::new();
        (Self { pool, url: database.url.clone(), holder, feed }, reader)
    }

    /// This run of the daemon.
    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// The events on their way to the publisher.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    async fn connection(&self) -> Result<Connection, StoreError> {
        Ok(self.pool.get_owned().await?)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut connection = self.connection().await?;
        diesel::sql_query("SELECT 1").execute(&mut connection).await?;
        Ok(())
    }

    /// Begins a transaction. Dropped without a commit, it is rolled back with its connection.
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        let mut connection = self.connection().await?;
        Manager::begin_transaction(&mut *connection).await?;
        Ok(Transaction { connection, holder: self.holder, feed: self.feed.clone(), written: Vec::new() })
    }
}

async fn connect(url: String, session: String) -> Result<AsyncPgConnection, ConnectionError> {
    let mut connection = AsyncPgConnection::establish(&url).await?;
    connection.batch_execute(&session).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// Changes that become true together.
pub struct Transaction {
    connection: Connection,
    holder: Holder,
    feed: Feed,
    written: Vec<StoredEvent>,
}

impl Transaction {
    /// Commits, then hands the events to the publisher.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        let committed = Manager::commit_transaction(&mut *self.connection).await;
        match committed {
            Ok(()) => self.feed.offer(self.written),
            Err(_) => self.feed.missed(self.written.len()),
        }
        Ok(committed?)
    }

    /// Undoes everything. Should that fail, the connection is given up, and the server undoes it.
    pub async fn roll_back(mut self) {
        if let Err(error) = Manager::rollback_transaction(&mut *self.connection).await {
            tracing::debug!(%error, "a rollback failed; its connection is given up");
        }
    }

    /// Writes events that become public with the commit.
    pub async fn write_events(&mut self, events: Vec<Event>) -> Result<(), StoreError> {
        if !events.is_empty() {
            self.written.extend(outbox::insert(&mut self.connection, self.holder, events).await?);
        }
        Ok(())
    }

    /// The next number of the sequence that orders a task's events.
    pub async fn next_event_sequence(&mut self) -> Result<i64, StoreError> {
        outbox::next_sequence(&mut self.connection).await
    }
}
