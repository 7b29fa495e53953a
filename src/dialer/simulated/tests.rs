//! The simulated trunk, call by call.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::*;
use crate::clock::SystemClock;
use crate::domain::agent::Agent;
use crate::domain::ids::{AgentId, CalleeId, TaskId};
use crate::domain::phone_number::PhoneNumber;

fn order(last_digits: u32, attempt: u32) -> CallOrder {
    let task_id = TaskId(Uuid::nil());
    let agent = Agent {
        id: AgentId("a".into()),
        name: "a".into(),
        published: true,
        sip_uri: "sip:a@localhost".into(),
        sip_headers: BTreeMap::new(),
        variables: vec![],
        output_tags: vec![],
    };
    CallOrder {
        call_id: CallId::of(task_id, i64::from(last_digits), attempt),
        task_id,
        callee_id: CalleeId::of(task_id, i64::from(last_digits)),
        out_id: None,
        variables: BTreeMap::new(),
        called: PhoneNumber::from_stored(format!("+49301{last_digits:04}")),
        caller: PhoneNumber::from_stored("+49302000".into()),
        attempt,
        agent: Arc::new(agent),
        ring_timeout: Duration::from_secs(45),
        max_talk: Duration::from_secs(1_800),
    }
}

fn dialer(settings: SimulatedTrunk) -> SimulatedDialer {
    let instantly = Duration::ZERO..=Duration::ZERO;
    let settings = SimulatedTrunk { ring: instantly.clone(), talk: instantly, ..settings };
    SimulatedDialer::new(settings, Arc::new(SystemClock)).unwrap()
}

async fn call(dialer: &SimulatedDialer, order: CallOrder) -> CallEnd {
    end_of(dialer.place(order).unwrap()).await
}

async fn end_of(call: PlacedCall) -> CallEnd {
    let Some(Outcome::Ended(end)) = call.outcome().await else { panic!("no end") };
    end
}

#[tokio::test]
async fn forced_results_come_in_order_and_the_last_repeats() {
    use CallResult::{Answered, UserBusy};
    let script = |results: &[CallResult]| results.iter().copied().map(Forced::Result).collect::<Vec<_>>();
    let force = BTreeMap::from([
        ("01".to_owned(), script(&[UserBusy])),
        ("0001".to_owned(), script(&[UserBusy, Answered])),
        ("9".to_owned(), vec![Forced::NotDiallable]),
    ]);
    let dialer = dialer(SimulatedTrunk { force, ..SimulatedTrunk::default() });
    for (attempt, result) in [(1, UserBusy), (2, Answered), (3, Answered)] {
        assert_eq!(call(&dialer, order(1, attempt)).await.result, result);
    }
    assert_eq!(call(&dialer, order(101, 2)).await.result, UserBusy);
    assert_eq!(dialer.place(order(9, 1)).unwrap_err(), FailedReason::NotDiallable);
}

#[tokio::test]
async fn a_call_above_the_channels_is_refused_and_not_counted() {
    let capacity = TrunkCapacity { max_channels: Some(2), max_cps: None };
    let talk = Duration::from_secs(600)..=Duration::from_secs(600);
    let results = vec![(CallResult::Answered, 1)];
    let settings = SimulatedTrunk { capacity, talk, results, ..SimulatedTrunk::default() };
    let dialer = SimulatedDialer::new(settings, Arc::new(SystemClock)).unwrap();
    let up: Vec<_> = (1..=2).map(|last| dialer.place(order(last, 1)).unwrap()).collect();

    let refused = call(&dialer, order(3, 1)).await;
    assert_eq!((refused.result, refused.scope, refused.counted), (CallResult::NetworkBusy, Scope::Trunk, false));
    assert_eq!(dialer.fate(order(1, 1).call_id), Fate::InTheAir);
    assert_eq!(dialer.fate(order(3, 1).call_id), Fate::Gone);

    dialer.hang_up_all();
    for call in up {
        let end = end_of(call).await;
        assert_eq!((end.result, end.scope, end.counted), (CallResult::Cancel, Scope::Local, false));
    }
    assert_eq!(dialer.fate(order(1, 1).call_id), Fate::Gone);
}

#[tokio::test]
async fn weights_and_seed_decide_the_rest_always_the_same_way() {
    let results = vec![(CallResult::Answered, 70), (CallResult::UserBusy, 30)];
    let settings = SimulatedTrunk { results, seed: 7, ..SimulatedTrunk::default() };
    let (one, two) = (dialer(settings.clone()), dialer(settings));
    let mut answered = 0;
    for last in 0..1_000 {
        let result = call(&one, order(last, 1)).await.result;
        assert_eq!(call(&two, order(last, 1)).await.result, result);
        answered += u32::from(result == CallResult::Answered);
    }
    assert!((640..760).contains(&answered), "{answered} of 1000 answered");
}

#[tokio::test]
async fn ring_timeout_and_talk_limit_are_ours_to_keep() {
    let second = Duration::from_secs(1)..=Duration::from_secs(1);
    let results = vec![(CallResult::Answered, 1)];
    let settings = SimulatedTrunk { ring: second.clone(), talk: second, results, ..SimulatedTrunk::default() };
    let dialer = SimulatedDialer::new(settings, Arc::new(SystemClock)).unwrap();
    let short = Duration::from_millis(1);
    let unanswered = call(&dialer, CallOrder { ring_timeout: short, ..order(1, 1) }).await;
    assert_eq!(unanswered.result, CallResult::NoAnswer);
    let cut = call(&dialer, CallOrder { max_talk: short, ..order(2, 1) }).await;
    assert_eq!((cut.result, cut.hangup_by), (CallResult::Answered, Some(HangupBy::System)));
}
