//! Faults at the one moment in which a safeguard is needed, where chance would need a long run to find it. They go on beside
//! the others from the beginning of a run to the end of its faults.
//!
//! They do what the world does as well: a session ends under a statement, a statement waits, a queue is bound and unbound. None of
//! it may break a promise; what it does is not in the ledger of the faults, because nobody's silence is excused by it.

use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use lapin::Channel;
use lapin::options::QueueBindOptions;
use lapin::types::FieldTable;
use tokio_util::sync::CancellationToken;

use super::book::now;
use super::harness::patience::{SOON, within};
use super::harness::servers::Place;

const MINUTE: i64 = 60_000_000;

/// At what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// A cancel waits when it has moved the fence, so that a claim of the same callees waits for it.
    CancelsOnTheirWay,
    /// The sessions of claims end when these are sent and not committed.
    ClaimsOnTheirWay,
    /// Claims wait across the end of a minute, as calling windows end: less than the two seconds for which a licence is good.
    TheEndOfAMinute,
    /// The queue of events is bound and unbound all the time, and publishers are held up now and then, so that they have many events
    /// for one window: some find the queue and others do not.
    TheQueueOfEvents,
}

/// Between one blow at the claims and the next.
const BETWEEN_BLOWS: Duration = Duration::from_secs(3);
/// How long claims are held up at most: a licence must still be good then.
const HELD_UP: Duration = Duration::from_millis(1_000);
/// From when to when claims wait around the end of a minute.
const BEFORE_THE_END: i64 = 700_000;
const AFTER_THE_END: i64 = 500_000;
const EVERYTHING: &str = "#";
/// How long the queue is bound, and how long it is not.
const BETWEEN_BINDINGS: Duration = Duration::from_millis(10);
/// Publishers wait for this with what was confirmed; whoever writes events does not.
const LOCK_EVENTS: &str = "BEGIN; SELECT 1 FROM outbox FOR UPDATE";
const PUBLISHERS_WAIT: Duration = Duration::from_millis(1_500);
const PUBLISHERS_PASS: Duration = Duration::from_millis(500);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
const BEFORE_ANOTHER_SESSION: Duration = Duration::from_millis(500);

/// Cancels wait for this when they are nearly done, and so do ends.
const LOCK_RESULTS: &str = "BEGIN; LOCK TABLE callee_results IN SHARE MODE";
/// How long they wait, and for how long they need not: so seldom is one not held up.
const CANCELS_WAIT: Duration = Duration::from_millis(900);
const CANCELS_PASS: Duration = Duration::from_millis(100);

/// Claims and ends wait for this, reading does not.
const LOCK: &str = "BEGIN; LOCK TABLE open_attempts IN SHARE MODE";

const END_WAITING_CLAIMS: &str = "
    SELECT count(pg_terminate_backend(pid)) AS figure FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO open_attempts%'";

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    figure: i64,
}

/// Goes on until it is told to stop, and says how often it struck.
pub async fn harass(aim: Aim, place: Place, stop: CancellationToken) {
    let mut blows = 0;
    while !stop.is_cancelled() {
        let session = async {
            match aim {
                Aim::CancelsOnTheirWay => hold_cancels_up(&place, &stop, &mut blows).await,
                Aim::ClaimsOnTheirWay => end_claims(&place, &stop, &mut blows).await,
                Aim::TheEndOfAMinute => hold_claims_up(&place, &stop, &mut blows).await,
                Aim::TheQueueOfEvents => {
                    let waiting = hold_publishers_up(&place, &stop);
                    tokio::try_join!(toggle(&place, &stop, &mut blows), waiting).map(drop)
                }
            }
        };
        // The server may be away.
        if session.await.is_err() {
            tokio::time::sleep(BEFORE_ANOTHER_SESSION).await;
        }
    }
    if aim == Aim::TheQueueOfEvents {
        let bound = async { while bind_for_good(&place).await.is_err() {} };
        within("the queue of events to be bound for good", SOON, bound).await;
    }
    println!("      {aim:?}: {blows} blows");
}

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn hold_cancels_up(place: &Place, stop: &CancellationToken, blows: &mut i64) -> Outcome {
    let mut holder = AsyncPgConnection::establish(&place.database_url).await?;
    while pause(stop, CANCELS_PASS).await {
        holder.batch_execute(LOCK_RESULTS).await?;
        tokio::time::sleep(CANCELS_WAIT).await;
        holder.batch_execute("COMMIT").await?;
        *blows += 1;
    }
    Ok(())
}

async fn end_claims(place: &Place, stop: &CancellationToken, blows: &mut i64) -> Outcome {
    let mut holder = AsyncPgConnection::establish(&place.database_url).await?;
    let mut striker = AsyncPgConnection::establish(&place.database_url).await?;
    while pause(stop, BETWEEN_BLOWS).await {
        holder.batch_execute(LOCK).await?;
        let deadline = tokio::time::Instant::now() + HELD_UP;
        let mut struck = 0;
        while struck == 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            struck = diesel::sql_query(END_WAITING_CLAIMS).get_result::<Count>(&mut striker).await?.figure;
        }
        holder.batch_execute("COMMIT").await?;
        *blows += struck;
    }
    Ok(())
}

async fn hold_claims_up(place: &Place, stop: &CancellationToken, blows: &mut i64) -> Outcome {
    let mut holder = AsyncPgConnection::establish(&place.database_url).await?;
    while pause(stop, until_of_minute(MINUTE - BEFORE_THE_END)).await {
        holder.batch_execute(LOCK).await?;
        tokio::time::sleep(until_of_minute(AFTER_THE_END)).await;
        holder.batch_execute("COMMIT").await?;
        *blows += 1;
    }
    Ok(())
}

/// How long it is until this many microseconds of a minute are over.
pub fn until_of_minute(moment: i64) -> Duration {
    Duration::from_micros((moment - now()).rem_euclid(MINUTE).unsigned_abs())
}

async fn hold_publishers_up(place: &Place, stop: &CancellationToken) -> Outcome {
    let mut holder = AsyncPgConnection::establish(&place.database_url).await?;
    while pause(stop, PUBLISHERS_PASS).await {
        holder.batch_execute(LOCK_EVENTS).await?;
        tokio::time::sleep(PUBLISHERS_WAIT).await;
        holder.batch_execute("COMMIT").await?;
    }
    Ok(())
}

async fn toggle(place: &Place, stop: &CancellationToken, blows: &mut i64) -> Outcome {
    let (_connection, channel) = place.channel().await?;
    while pause(stop, BETWEEN_BINDINGS).await {
        let (queue, events) = (place.name("ledger"), place.name("events"));
        channel.queue_unbind(queue.into(), events.into(), EVERYTHING.into(), FieldTable::default()).await?;
        tokio::time::sleep(BETWEEN_BINDINGS).await;
        bind(place, &channel).await?;
        *blows += 1;
    }
    Ok(())
}

async fn bind_for_good(place: &Place) -> Result<(), lapin::Error> {
    let (_connection, channel) = place.channel().await?;
    bind(place, &channel).await
}

async fn bind(place: &Place, channel: &Channel) -> Result<(), lapin::Error> {
    let (queue, events, options) = (place.name("ledger"), place.name("events"), QueueBindOptions::default());
    channel.queue_bind(queue.into(), events.into(), EVERYTHING.into(), options, FieldTable::default()).await
}

/// False: it is to stop.
async fn pause(stop: &CancellationToken, pause: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(pause) => true,
    }
}
