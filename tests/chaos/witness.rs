//! What the database saw, kept by triggers that the daemon knows nothing of, and the dump at the end.
//!
//! Licences and outbox rows are gone when their work is done; the witnesses stay. When a licence was committed is told
//! by Postgres itself (`track_commit_timestamp`).

use std::fs;
use std::path::Path;

use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

const WITNESSES: &str = "
    CREATE TABLE witness_claims (task_no bigint, seq bigint, attempt integer, holder uuid);
    CREATE TABLE witness_dialogs (task_no bigint, seq bigint, attempt integer);
    CREATE TABLE witness_events (event_id uuid, event_type text);
    CREATE FUNCTION witness_claim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO witness_claims SELECT task_no, seq, attempt, holder FROM added; RETURN NULL; END $$;
    CREATE FUNCTION witness_dialog() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO witness_dialogs SELECT task_no, seq, attempt FROM changed WHERE dialogs IS NOT NULL;
        RETURN NULL; END $$;
    CREATE FUNCTION witness_event() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO witness_events SELECT event_id, event_type FROM added; RETURN NULL; END $$;
    CREATE TRIGGER witness AFTER INSERT ON open_attempts
        REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION witness_claim();
    CREATE TRIGGER witness_of_dialogs AFTER UPDATE ON open_attempts
        REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION witness_dialog();
    CREATE TRIGGER witness AFTER INSERT ON outbox
        REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION witness_event();";

const DUMPED: [&str; 10] = [
    "tasks",
    "callees",
    "callee_results",
    "attempts",
    "open_attempts",
    "redials",
    "outbox",
    "parked_events",
    "inbox",
    "witness_events",
];

const CLAIMS: &str = "
    SELECT json_build_object('task_no', task_no, 'seq', seq, 'attempt', attempt, 'holder', holder, 'committed_at',
        (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint)::text AS line
    FROM witness_claims";

/// When each call was first written down as one that another run can go on with.
const DIALOGS: &str = "
    SELECT json_build_object('task_no', task_no, 'seq', seq, 'attempt', attempt, 'committed_at',
        (min(extract(epoch FROM pg_xact_commit_timestamp(xmin))) * 1000000)::bigint)::text AS line
    FROM witness_dialogs GROUP BY task_no, seq, attempt";

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Sets the witnesses up, in a database that has its tables already.
pub async fn set_up(url: &str) {
    let mut connection = AsyncPgConnection::establish(url).await.unwrap();
    let shown = diesel::sql_query("SELECT current_setting('track_commit_timestamp') AS line");
    let shown: Line = shown.get_result(&mut connection).await.unwrap();
    assert_eq!(shown.line, "on", "the server must keep the commits' timestamps: restart it by scripts/services.sh");
    connection.batch_execute(WITNESSES).await.unwrap();
}

/// Writes every table that the checker reads into the folder `dump`.
pub async fn dump(url: &str, folder: &Path) {
    let folder = folder.join("dump");
    fs::create_dir_all(&folder).unwrap();
    let mut connection = AsyncPgConnection::establish(url).await.unwrap();
    for table in DUMPED {
        let statement = format!("SELECT row_to_json(t)::text AS line FROM {table} t");
        write(&mut connection, statement, &folder.join(format!("{table}.jsonl"))).await;
    }
    write(&mut connection, CLAIMS.to_owned(), &folder.join("witness_claims.jsonl")).await;
    write(&mut connection, DIALOGS.to_owned(), &folder.join("witness_dialogs.jsonl")).await;
}

async fn write(connection: &mut AsyncPgConnection, statement: String, path: &Path) {
    let lines: Vec<Line> = diesel::sql_query(statement).load(connection).await.unwrap();
    let text: String = lines.into_iter().map(|line| line.line + "\n").collect();
    fs::write(path, text).unwrap();
}
