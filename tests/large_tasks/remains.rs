//! What is left of a deleted task, looked at directly: from outside it is gone at once.

use std::time::{Duration, Instant};

use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use crate::harness::servers::Place;

#[derive(QueryableByName)]
struct Left {
    #[diesel(sql_type = BigInt)]
    left: i64,
}

/// The rows of a deleted task that are still there, seen from its end; they go from its beginning.
pub struct Remains {
    connection: AsyncPgConnection,
    task: String,
    callees: i64,
}

impl Remains {
    pub async fn of(place: &Place, task: String, callees: i64) -> Self {
        Self { connection: AsyncPgConnection::establish(&place.database_url).await.unwrap(), task, callees }
    }

    async fn left(&mut self) -> i64 {
        let query = "SELECT coalesce($2::bigint - min(seq) + 1, 0) AS left FROM callees
                     WHERE task_no = (SELECT task_no FROM tasks WHERE task_id::text = $1)";
        let query = sql_query(query).bind::<Text, _>(&self.task).bind::<BigInt, _>(self.callees);
        query.get_result::<Left>(&mut self.connection).await.unwrap().left
    }

    /// Waits until no more than so many are left, at most so long; gives how many are.
    pub async fn until_left(&mut self, most: i64, within: Duration) -> i64 {
        let began = Instant::now();
        loop {
            let left = self.left().await;
            if left <= most || began.elapsed() > within {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
