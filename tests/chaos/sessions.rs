//! What is done to Postgres by plain sessions on it: other sessions are ended, and a transaction is held open.

use std::time::Duration;

use diesel::sql_types::Double;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use tokio::task::JoinHandle;

use super::harness::servers::Place;

/// Tells the run's own sessions from the daemons'.
const OURS: &str = "SET application_name = 'chaos'";
/// How often it is looked whether the transaction is there still, and how soon there is another.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Ends half of the daemons' sessions, drawn by `seed`, which lies between -1 and 1.
pub async fn terminate_some(servers: &Place, seed: f64) {
    let mut connection = AsyncPgConnection::establish(&servers.database_url).await.unwrap();
    connection.batch_execute(OURS).await.unwrap();
    diesel::sql_query("SELECT setseed($1)").bind::<Double, _>(seed).execute(&mut connection).await.unwrap();
    let ended = diesel::sql_query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> 'chaos'
           AND random() < 0.5",
    );
    let ended = ended.execute(&mut connection).await.unwrap();
    println!("      {ended} sessions are ended");
}

/// A transaction with a snapshot that is open for the whole run, as a forgotten one or a backup's is: no row that dies after it
/// can be cleaned away. It has read no table, so it stands in nobody's way.
pub struct Snapshot(JoinHandle<()>);

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Snapshot {
    pub fn hold(servers: &Place) -> Self {
        let url = servers.database_url.clone();
        Self(tokio::spawn(async move {
            loop {
                // Ends with the server, which ends every transaction.
                drop(hold_one(&url).await);
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
        }))
    }
}

async fn hold_one(url: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut connection = AsyncPgConnection::establish(url).await?;
    connection.batch_execute(&format!("{OURS}; BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")).await?;
    loop {
        connection.batch_execute("SELECT 1").await?;
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}
