//! Calls that are up outlive the daemon: whoever is started at its address goes on with them.
//!
//! `CALLTASKD_TEST_LIVE_CALLS`: how many are up when it is killed.

use std::collections::HashMap;
use std::env;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};

use crate::cases::{answered, assert_tells};
use crate::exchange::{Case, Exchange};
use crate::harness::patience::{LATER, SOON, until, within};
use crate::sipp::play;

/// How long the calls last: all of them have to be up at once, and enough of them to end while nobody is there.
fn talk_millis(calls: u32) -> (u32, u32) {
    let least = 3_000 + calls * 5;
    (least, least + 8_000)
}

/// The share of calls that have to be hung up while nobody is there, in hundredths of those of a side.
const UNHEARD: usize = 40;
/// How long the daemon may be away.
const MOST_DOWN: Duration = Duration::from_secs(10);

#[derive(QueryableByName)]
struct Joined {
    #[diesel(sql_type = BigInt)]
    joined: i64,
}

/// How many calls are written down as joined.
async fn joined(connection: &mut AsyncPgConnection) -> i64 {
    let query = "SELECT count(*) AS joined FROM open_attempts WHERE (dialogs ->> 'joined')::boolean";
    sql_query(query).get_result::<Joined>(connection).await.unwrap().joined
}

/// Waits until another run of the daemon could go on with this many calls.
pub async fn all_joined(exchange: &Exchange, calls: u32) {
    let mut connection = AsyncPgConnection::establish(&exchange.site.place().database_url).await.unwrap();
    let look = async {
        while joined(&mut connection).await < i64::from(calls) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("every call to be joined and written down", SOON, look).await;
}

fn of_many(case: Case, calls: u32) -> Case {
    Case { callees: calls, concurrency: calls, max_talk_seconds: 60, ..case }
}

/// When each call was hung up, by the call's id.
fn hung_up(exchange: &Exchange, who: &str) -> HashMap<String, DateTime<Utc>> {
    let first = exchange.first_sent(who, "BYE ");
    first.into_iter().map(|(call_id, at)| (call_id.trim_start_matches("agent-1-").to_owned(), at)).collect()
}

fn time(event: &Value, field: &str) -> DateTime<Utc> {
    event[field].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_outlive_a_daemon_that_is_killed() {
    let calls = env::var("CALLTASKD_TEST_LIVE_CALLS").map_or(100, |calls| calls.parse().unwrap());
    let half = calls / 2;
    let (short, talk) = (play("answers").times(half), talk_millis(calls));
    let cases = [
        of_many(
            answered(
                "callees-leave",
                play("answers_and_hangs_up").times(half).talking(talk),
                play("agent").times(half),
            ),
            half,
        ),
        of_many(answered("agents-leave", short, play("agent_hangs_up").times(half).talking(talk)), half),
    ];
    let mut exchange = Exchange::open("survival", &cases).await;
    all_joined(&exchange, calls).await;
    let unheard = half as usize * UNHEARD / 100;
    let sides = [("callees-leave", "callees-leave-carrier", "CALLEE"), ("agents-leave", "agents-leave-agent", "AGENT")];
    let before = sides.map(|(_, who, _)| hung_up(&exchange, who).len());
    exchange.site.daemon.kill();
    let killed = Instant::now();
    until("enough calls to be hung up while nobody is there", MOST_DOWN, || {
        let now = sides.map(|(_, who, _)| hung_up(&exchange, who).len());
        (0..2).all(|side| now[side] >= before[side] + unheard).then_some(())
    })
    .await;
    exchange.start_again().await;
    let down = killed.elapsed();
    println!("{calls} calls up, {before:?} hung up before the kill; down for {down:?}");
    for (name, who, by) in sides {
        let ended = exchange.all_ended(name, LATER).await;
        let hung_up = hung_up(&exchange, who);
        let mut latest = 0.0_f64;
        for event in &ended {
            let event = event.data();
            assert_tells(event, name, &json!({"result": "ANSWERED", "hangupBy": by, "counted": true, "final": true}));
            let late = (time(event, "endedAt") - hung_up[event["callId"].as_str().unwrap()]).as_seconds_f64();
            assert!((-0.1..down.as_secs_f64() + 4.0).contains(&late), "{name}: {late} s late: {event}");
            latest = latest.max(late);
        }
        println!("{name}: {} calls ended right, at most {latest:.1} s late", ended.len());
    }
    exchange.close().await;
}
