//! Brings the schema up to date, from files that are part of the program.

use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use secrecy::ExposeSecret;

use super::{Store, StoreError};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// Two daemons that start together must not both migrate.
const LOCK: &str = "SELECT pg_advisory_lock(hashtext('calltaskd migrations'))";

impl Store {
    /// Applies what is missing and names it. Another daemon that migrates meanwhile is waited for.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        let url = self.url.expose_secret().to_owned();
        let unreachable = |error: diesel::ConnectionError| StoreError::Unreachable(error.to_string());
        // A connection of its own: the lock goes with it, whatever happens.
        let mut connection = AsyncPgConnection::establish(&url).await.map_err(unreachable)?;
        diesel::sql_query(LOCK).execute(&mut connection).await?;
        let applied = tokio::task::spawn_blocking(move || {
            let mut connection = <AsyncConnectionWrapper<AsyncPgConnection> as diesel::Connection>::establish(&url)
                .map_err(|error| StoreError::Unreachable(error.to_string()))?;
            let versions = connection
                .run_pending_migrations(MIGRATIONS)
                .map_err(|error| StoreError::Migration(error.to_string()))?;
            Ok(versions.iter().map(ToString::to_string).collect())
        });
        applied.await.map_err(|error| StoreError::Migration(error.to_string()))?
    }
}
