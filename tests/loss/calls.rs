//! Calls side by side through such a network, and what the daemon tells of them next to what both sides saw.
//!
//! The task's and the trunk's patience is long enough that chance alone fails no call: an INVITE that has to arrive within the ring
//! timeout is sent six times until then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::downstream::Event;
use crate::harness::orders;
use crate::harness::patience::{LATER, SOON, until};
use crate::harness::plan::Plan;
use crate::harness::site::Site;
use crate::manners::{self, Ending};
use crate::network::Traffic;
use crate::phone::{Phone, Side};
use crate::ports;
use crate::witness::{Call, Seen};

const CALLEES: usize = 72;
const RING_TIMEOUT_SECONDS: i64 = 20;

/// What a busy machine may add between a datagram and what is made of it.
const BUSY: TimeDelta = TimeDelta::seconds(2);

/// Of a hundred datagrams, those that must have been lost in any case: or there was nothing to see.
const LEAST_LOST: u32 = 5;

/// A daemon between these two ports, and a task for them.
async fn begin(carrier: u16, agent: u16) -> (Site, String) {
    let own = ports::free();
    let more = format!(
        "[sip]\nbind = \"udp:127.0.0.1:{own}\"\n\
         [trunks.carrier]\nkind = \"sip\"\naddress = \"127.0.0.1:{carrier}\"\noptions_seconds = 0\n\
         agent_timeout_seconds = 30\nusername = \"alice\"\npassword = \"s3cret\"\n"
    );
    let site = Site::start("loss", &Plan { more, grace_seconds: 1, ..Plan::default() }).await;
    let voice = orders::with(orders::agent(orders::AGENT), "sipUri", format!("sip:voice@127.0.0.1:{agent}").into());
    site.upstream.accept("agent.put", &voice).await;
    let line = orders::with(orders::line(orders::LINE, 100, 25), "trunk", "carrier".into());
    site.upstream.accept("service-instance.put", &line).await;
    let task = orders::with(orders::task("loss", 100), "ringTimeoutSeconds", RING_TIMEOUT_SECONDS.into());
    let task = site.create_as(&task).await;
    site.import(&task, &orders::rows(0..CALLEES)).await;
    (site, task)
}

fn time(event: &Event, field: &str) -> DateTime<Utc> {
    event.text(field).parse().unwrap_or_else(|error| panic!("{field}: {error} in {}", event.data()))
}

#[track_caller]
fn assert_near(what: &str, told: DateTime<Utc>, seen: DateTime<Utc>) {
    let late = told - seen;
    assert!((-BUSY..BUSY).contains(&late), "{what}: told {told}, seen {seen}, which is {late} late");
}

/// The only call that a callee had at this side.
fn only<'s>(seen: &'s Seen, call_id: &str, callee: &str) -> &'s Call {
    let calls: Vec<_> = seen.calls.iter().filter(|(_, call)| call.callee == callee).collect();
    let [(found, call)] = calls.as_slice() else { panic!("{callee} has the calls {calls:?}") };
    assert_eq!(*found, call_id, "{callee}");
    call
}

/// The event, and what both sides saw of that call.
struct Account<'s> {
    event: &'s Event,
    callee: &'s str,
    carrier: &'s Call,
    agent: Option<&'s Call>,
}

impl<'s> Account<'s> {
    fn of(event: &'s Event, carrier: &'s Seen, agent: &'s Seen) -> Self {
        let (callee, call_id) = (event.text("calledNumber"), event.text("callId"));
        let is_answered = Ending::of(callee).is_answered();
        if !is_answered {
            assert!(agent.calls.values().all(|call| call.callee != callee), "{callee}: the agent was called");
        }
        let agent = is_answered.then(|| only(agent, &format!("agent-1-{call_id}"), callee));
        Self { event, callee, carrier: only(carrier, call_id, callee), agent }
    }

    fn assert_right(&self) {
        let (ending, data) = (Ending::of(self.callee), self.event.data());
        let what = format!("{ending:?}: {data}, {:?}, {:?}", self.carrier, self.agent);
        let told = (&data["result"], &data["hangupBy"], &data["attempt"], &data["counted"], &data["final"]);
        let (result, by, _) = ending.told();
        let by = by.map_or(Value::Null, Value::from);
        assert_eq!(told, (&json!(result), &by, &json!(1), &json!(true), &json!(true)), "{what}");
        let invitations = if ending == Ending::Challenged { 2 } else { 1 };
        assert_eq!(self.carrier.branches.len(), invitations, "{what}");
        if let Some(agent) = self.agent {
            assert_eq!((agent.branches.len(), agent.offers.len()), (1, 0), "{what}");
        }
        self.assert_joined(ending, &what);
        self.assert_timely(ending, &what);
    }

    /// The callee was told where the agent's audio is, once; an agent that hangs up early can be faster.
    fn assert_joined(&self, ending: Ending, what: &str) {
        let here = format!("m=audio {} ", Side::Agent.media());
        assert!(self.carrier.offers.iter().all(|offer| offer.contains(&here)), "{what}");
        let offers = self.carrier.offers.len();
        match ending {
            Ending::CalleeHangsUp => assert_eq!(offers, 1, "{what}"),
            Ending::AgentHangsUp | Ending::Challenged => assert!(offers <= 1, "{what}"),
            _ => assert_eq!(offers, 0, "{what}"),
        }
    }

    /// What the daemon tells happened when it reached the daemon.
    fn assert_timely(&self, ending: Ending, what: &str) {
        let said = |call: &Call, message: &str| {
            call.said.get(message).copied().unwrap_or_else(|| panic!("{message} of {what}"))
        };
        let agent = |message: &str| said(self.agent.unwrap(), message);
        let ended = match ending {
            Ending::CalleeHangsUp => said(self.carrier, "BYE"),
            Ending::AgentHangsUp | Ending::Challenged => agent("BYE"),
            Ending::AgentBusy => agent("486 INVITE"),
            Ending::CalleeBusy => said(self.carrier, "486 INVITE"),
            Ending::RingsOn => said(self.carrier, "487 INVITE"),
        };
        let (started_at, ended_at) = (time(self.event, "startedAt"), time(self.event, "endedAt"));
        assert_near(what, ended_at, ended);
        if ending == Ending::RingsOn {
            assert!(ended_at - started_at >= TimeDelta::seconds(RING_TIMEOUT_SECONDS), "{what}");
        }
        if !ending.is_answered() {
            assert_eq!(self.event.data()["answeredAt"], Value::Null, "{what}");
            return;
        }
        let answered_at = time(self.event, "answeredAt");
        assert_near(what, answered_at, said(self.carrier, "200 INVITE"));
        assert!(answered_at - started_at >= TimeDelta::from_std(manners::ring(self.callee)).unwrap(), "{what}");
        assert_eq!(self.event.data()["talkSeconds"], (ended_at - answered_at).num_seconds(), "{what}");
    }
}

fn assert_lost(side: Side, seen: &Seen) {
    for Traffic { datagrams, lost } in [seen.incoming, seen.outgoing] {
        assert!(lost * 100 >= datagrams * LEAST_LOST, "{side:?}: {lost} of {datagrams} is no loss");
    }
    let Seen { incoming, outgoing, repeated_requests, .. } = seen;
    println!("{side:?}: in {incoming:?}, out {outgoing:?}; {repeated_requests} requests were heard again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_is_right_when_one_datagram_in_ten_is_lost() {
    let seed = std::env::var("CALLTASKD_TEST_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("seed {seed} (CALLTASKD_TEST_SEED)");
    let at = [ports::free(), ports::free()];
    let carrier = Phone::plug_in(Side::Carrier, at[0], seed).await;
    let agent = Phone::plug_in(Side::Agent, at[1], seed).await;
    let began = Instant::now();
    let (mut site, task) = begin(at[0], at[1]).await;
    let ended = until("every call to end", LATER, || {
        let ended = site.ledger.about("call.ended", &task);
        (ended.len() >= CALLEES).then_some(ended)
    })
    .await;
    let over = began.elapsed();
    until("both sides to have heard the end of every call", Duration::from_secs(40), || {
        (carrier.is_quiet() && agent.is_quiet()).then_some(())
    })
    .await;
    site.daemon.stop(SOON).await;
    site.ledger.settle().await;
    assert_eq!(site.ledger.about("call.ended", &task).len(), CALLEES, "one attempt of each callee");
    let (carrier, agent) = (carrier.seen(), agent.seen());
    println!("{CALLEES} calls ended within {over:?}, all of it took {:?}", began.elapsed());
    assert_lost(Side::Carrier, &carrier);
    assert_lost(Side::Agent, &agent);
    assert_eq!([&carrier.faults, &agent.faults], [&Vec::<String>::new(); 2]);
    let callees: BTreeSet<&str> = ended.iter().map(|event| event.text("calledNumber")).collect();
    assert_eq!(callees.len(), CALLEES);
    let mut right: BTreeMap<Ending, usize> = BTreeMap::new();
    for event in &ended {
        Account::of(event, &carrier, &agent).assert_right();
        *right.entry(Ending::of(event.text("calledNumber"))).or_default() += 1;
    }
    println!("right: {right:?}");
    assert_eq!(carrier.calls.len(), CALLEES, "the carrier was called for nobody else");
}
