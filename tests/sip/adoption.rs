//! What a daemon makes of the calls that another run left up, where more has happened than that it was away: over a
//! connection, after a long silence, before both sides were joined, at another address.

use std::time::{Duration, Instant};

use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use serde_json::json;

use crate::cases::{answered, assert_tells, case};
use crate::certificate;
use crate::exchange::{Case, Exchange, Other, sip_settings};
use crate::harness::patience::{LATER, SOON, until, within};
use crate::harness::site::folder;
use crate::kamailio::{Door, Kamailio, Ports};
use crate::ports;
use crate::sipp::{Script, play};
use crate::survival::all_joined;

const TAKEN_UP: &str = "calls that an earlier run left up are taken up again";

/// Longer than the daemon is away.
const TALKS: (u32, u32) = (16_000, 16_000);

/// Behind a proxy that listens there.
fn behind((transport, port): (&str, u16), name: &'static str, carrier: Script, agent: Script) -> Case {
    let phone = ports::free();
    let trunk = format!("transport = \"{transport}\"\nusername = \"phone-{phone}\"\npassword = \"s3cret\"\n");
    Case {
        trunk: Box::leak(trunk.into_boxed_str()),
        trunk_port: port,
        carrier_port: phone,
        ..answered(name, carrier, agent)
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

async fn connect(exchange: &Exchange) -> AsyncPgConnection {
    AsyncPgConnection::establish(&exchange.site.place().database_url).await.unwrap()
}

/// Waits until a query counts this many.
async fn counted(exchange: &Exchange, (what, query): (&str, &str), wanted: i64) {
    let mut connection = connect(exchange).await;
    let look = async {
        while sql_query(query).get_result::<Count>(&mut connection).await.unwrap().count < wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(what, SOON, look).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_outlive_the_daemon_whatever_happened_meanwhile() {
    let folder = folder("adoption-kamailio");
    certificate::issue(&folder);
    let listens = Ports::free();
    let _kamailio = Kamailio::start(&folder, &listens, &[Door::free()]).await;
    // It finds us at our Contact, and we find it.
    let tcp = ("tcp", listens.tcp);
    let table = [
        (behind(tcp, "tcp-callee", play("is_asked_and_hangs_up"), play("agent")), "CALLEE"),
        (behind(tcp, "tcp-agent", play("is_asked_within"), play("agent_hangs_up").talking(TALKS)), "AGENT"),
        (behind(tcp, "tcp-unheard", play("hangs_up_unheard").talking((8_000, 8_000)), play("agent")), "CALLEE"),
        (answered("silent-known", play("is_asked_within"), play("agent_is_asked_within")), "SYSTEM"),
        (answered("silent-callee-gone", play("forgets"), play("agent_is_asked_within")), "CALLEE"),
        (answered("silent-agent-gone", play("is_asked_within"), play("agent_forgets")), "AGENT"),
        (answered("unjoined", play("joined_after_all"), play("agent_told_the_same")), "CALLEE"),
    ];
    let table = table.map(|(case, by)| (Case { max_talk_seconds: 25, ..case }, by));
    let mut exchange = Exchange::open("adoption", &table.map(|(case, _)| case)).await;
    // One of them has an agent, and is not joined.
    let written = "SELECT count(*) FROM open_attempts WHERE dialogs ->> 'agent' IS NOT NULL \
                   AND (dialogs ->> 'joined')::boolean = (dialogs ->> 'trunk' <> 'unjoined')";
    counted(&exchange, ("all calls to be written down", written), 7).await;
    exchange.site.daemon.kill();
    until("a side to hang up unheard", SOON, || exchange.has_sent("tcp-unheard-carrier", "BYE ").then_some(())).await;
    let silence =
        "UPDATE open_attempts SET left_at = now() - interval '1 minute' WHERE dialogs ->> 'trunk' LIKE 'silent%'";
    assert_eq!(sql_query(silence).execute(&mut connect(&exchange).await).await.unwrap(), 3);
    exchange.start_again().await;
    for (case, by) in &table {
        let ended = exchange.ended(case.name).await;
        let expected = json!({"result": "ANSWERED", "hangupBy": by, "counted": true, "final": true});
        assert_tells(ended[0].data(), case.name, &expected);
    }
    for case in table.iter().map(|(case, _)| case) {
        for who in ["carrier", "agent"] {
            let numbers = exchange.numbers_of(&format!("{}-{who}", case.name));
            assert!(numbers.is_sorted_by(|one, next| one < next), "{} of {}: {numbers:?}", who, case.name);
        }
    }
    exchange.close().await;
}

#[derive(QueryableByName)]
struct Holder {
    #[diesel(sql_type = Text)]
    holder: String,
}

/// Whose the only open attempt is.
async fn holder(exchange: &Exchange) -> String {
    let query = sql_query("SELECT holder::text FROM open_attempts");
    query.get_result::<Holder>(&mut connect(exchange).await).await.unwrap().holder
}

/// The daemon at the address that both sides know never comes back: whoever dials for the service instance ends the call when
/// its time is over, from another address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_comes_back_for_is_ended_by_whoever_holds_the_lease() {
    let folder = folder("abandoned-kamailio");
    certificate::issue(&folder);
    let listens = Ports::free();
    // SIPp answers to where a call began; a proxy, to whoever asks.
    let _kamailio = Kamailio::start(&folder, &listens, &[Door::free()]).await;
    let case = behind(("udp", listens.udp), "abandoned", play("answers"), play("agent"));
    let mut exchange = Exchange::open("abandoned", &[case]).await;
    all_joined(&exchange, 1).await;
    let killed = holder(&exchange).await;
    exchange.site.daemon.kill();
    exchange.start_elsewhere(&sip_settings()).await;
    assert_eq!(holder(&exchange).await, killed, "a call of another address is not taken up");
    // The limits are past, and a little.
    let aged = "UPDATE open_attempts SET claimed_at = claimed_at - interval '1 minute'";
    assert_eq!(sql_query(aged).execute(&mut connect(&exchange).await).await.unwrap(), 1);
    let expected = json!({"result": "ANSWERED", "hangupBy": "SYSTEM", "counted": true, "final": true});
    assert_tells(exchange.ended("abandoned").await[0].data(), "abandoned", &expected);
    exchange.close().await;
}

/// How long a new owner starts nothing, and a little.
const TAKEOVER: Duration = Duration::from_secs(3);

/// Its phone may be ringing, whoever has the lease meanwhile, and however often that changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_rang_at_a_kill_holds_its_slot_through_two_takeovers() {
    let rings = play("goes_on").saying("180 Ringing").times(2);
    let case = Case { callees: 2, concurrency: 1, ..case("ringing", rings) };
    let mut exchange = Exchange::open("two-takeovers", &[case]).await;
    let called = |exchange: &Exchange| exchange.first_sent("ringing-carrier", "SIP/2.0 180").len();
    until("the first callee to be called", SOON, || (called(&exchange) == 1).then_some(())).await;
    exchange.site.daemon.kill();
    for heir in ["the first heir", "the second heir"] {
        exchange.start_elsewhere(&sip_settings()).await;
        let taken = || exchange.site.daemon.has_logged("lease taken").then_some(());
        until(&format!("{heir} to have the lease"), LATER, taken).await;
        let since = Instant::now();
        until(&format!("{heir} to be free to call"), SOON, || (since.elapsed() > TAKEOVER).then_some(())).await;
        assert!(exchange.site.ledger.events().iter().all(|event| event.kind() != "call.ended"), "{heir}: it may ring");
        assert_eq!(called(&exchange), 1, "{heir}: the task may have one call");
        if heir == "the first heir" {
            exchange.site.daemon.stop(SOON).await;
        }
    }
    let aged = "UPDATE open_attempts SET claimed_at = claimed_at - interval '2 minutes'";
    assert_eq!(sql_query(aged).execute(&mut connect(&exchange).await).await.unwrap(), 1);
    until("the second callee to be called", SOON, || (called(&exchange) == 2).then_some(())).await;
    let unknown = exchange.some_ended("ringing", 1).await;
    assert_tells(unknown[0].data(), "ringing", &json!({"result": "UNKNOWN_OUTCOME", "counted": true, "final": true}));
    exchange.abandon().await;
}

/// Whoever picks up a phone that an earlier run left ringing hears nobody: better a moment than as long as SIP lets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_picks_up_when_the_daemon_is_back_is_hung_up_at_once() {
    let rings = play("answers_and_is_released").pausing(8_000);
    let case = Case { agent: Other::Absent, ..case("orphan", rings) };
    let mut exchange = Exchange::open("orphan", &[case]).await;
    let has_sent = |exchange: &Exchange, text| exchange.has_sent("orphan-carrier", text).then_some(());
    until("the phone to ring", SOON, || has_sent(&exchange, "180 Ringing")).await;
    exchange.site.daemon.kill();
    exchange.start_again().await;
    assert!(!exchange.has_sent("orphan-carrier", "SIP/2.0 200"), "it answered too early to show anything");
    // It has the ACK and the BYE, or fails.
    exchange.finish_carrier("orphan").await;
}

/// Locks every open attempt until this is dropped: nothing can be written down of any.
async fn lock_all(exchange: &Exchange) -> AsyncPgConnection {
    let mut connection = connect(exchange).await;
    connection.batch_execute("BEGIN; SELECT FROM open_attempts FOR UPDATE").await.unwrap();
    connection
}

/// Settings by which several daemons are known by one address, which the documents forbid.
fn known_as(public: u16) -> String {
    format!("{}public_address = \"127.0.0.1:{public}\"\n", sip_settings())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_daemons_at_one_address_one_takes_a_call_up() {
    let public = ports::free();
    let case = answered("twice", play("answers"), play("agent"));
    let mut exchange = Exchange::open_at("twice", &[case], known_as(public)).await;
    all_joined(&exchange, 1).await;
    exchange.site.daemon.kill();
    let lock = lock_all(&exchange).await;
    let plans = [(); 2].map(|()| exchange.plan_of(&known_as(public)));
    let daemons = plans.map(|plan| exchange.site.launch(&plan));
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock' AND query LIKE '%left_at = NULL%'";
    counted(&exchange, ("both to be about to take the call up", waiting), 2).await;
    drop(lock);
    for daemon in &daemons {
        until("both to be ready", SOON, || daemon.has_logged("ready").then_some(())).await;
    }
    let taken = daemons.iter().map(|daemon| daemon.all_logged(TAKEN_UP).len());
    assert_eq!(taken.sum::<usize>(), 1);
}

/// What is not written down would be lost with the daemon: it is hung up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_leaves_nobody_in_a_call_that_is_not_written_down() {
    let case = answered("unwritten", play("answers").pausing(1_500), play("agent"));
    let mut exchange = Exchange::open("unwritten", &[case]).await;
    let has_sent = |exchange: &Exchange, text| exchange.has_sent("unwritten-carrier", text).then_some(());
    until("the phone to ring", SOON, || has_sent(&exchange, "180 Ringing")).await;
    let lock = lock_all(&exchange).await;
    until("both sides to talk", SOON, || has_sent(&exchange, "CSeq: 2 INVITE")).await;
    exchange.site.daemon.terminate();
    until("the phone to be hung up", SOON, || has_sent(&exchange, "CSeq: 3 BYE")).await;
    drop(lock);
    assert_eq!(exchange.site.daemon.exit(SOON).await.code(), Some(0));
    exchange.site.ledger.settle().await;
    let expected = json!({"result": "ANSWERED", "hangupBy": "SYSTEM", "counted": true, "final": true});
    assert_tells(exchange.ended("unwritten").await[0].data(), "unwritten", &expected);
    exchange.compare().await;
}
