//! What Postgres read, by its own counting, which it publishes when a connection ends: ask when no daemon is up.

use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use crate::harness::patience::{SOON, within};
use crate::harness::site::Site;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

async fn connection(site: &Site) -> AsyncPgConnection {
    AsyncPgConnection::establish(&site.place().database_url).await.unwrap()
}

/// Begins to count anew.
pub async fn forget(site: &Site) {
    sql_query("SELECT pg_stat_reset()").execute(&mut connection(site).await).await.unwrap();
}

/// A connection on which everything is counted that the daemons did.
async fn settled(site: &Site) -> AsyncPgConnection {
    let mut connection = connection(site).await;
    let query = "SELECT count(*) AS number FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'calltaskd'";
    let gone = async {
        while sql_query(query).get_result::<Number>(&mut connection).await.unwrap().number > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    within("the daemons' connections to end", SOON, gone).await;
    connection
}

/// Rows of the tables that hold a task's callees, read one by one or by index.
pub async fn rows(site: &Site) -> i64 {
    let query = "SELECT ((SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables
                          WHERE relname IN ('callees_0', 'callee_results_0', 'attempts_0', 'redials'))
                       + (SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes
                          WHERE relname IN ('callees_0', 'callee_results_0', 'attempts_0', 'redials')))::bigint AS number";
    sql_query(query).get_result::<Number>(&mut settled(site).await).await.unwrap().number
}

/// The large tables that were read from their beginning to their end.
pub async fn whole_tables(site: &Site) -> Vec<String> {
    let query = "SELECT relname::text AS name FROM pg_stat_user_tables
                 WHERE seq_scan > 0 AND relname IN ('callees_0', 'callee_results_0', 'attempts_0')";
    let names: Vec<Name> = sql_query(query).load(&mut settled(site).await).await.unwrap();
    names.into_iter().map(|row| row.name).collect()
}
