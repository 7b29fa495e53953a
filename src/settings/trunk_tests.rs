//! What a trunk's table may say, and every mistake that is found in it.

use std::time::Duration;

use super::tests::{found, loaded};
use super::*;
use crate::domain::call::CallResult;
use crate::domain::problem::Code;

fn simulated(settings: &Settings, name: &str) -> SimulatedTrunk {
    let Trunk::Simulated(trunk) = &settings.trunks[&TrunkName::new(name)] else { panic!("{name}") };
    trunk.clone()
}

#[test]
fn trunk_and_result_names_are_read_without_case() {
    let text = r#"
        [trunks.Carrier-A]
        kind = "simulated"
        max_channels = 3
        force = { "0001" = "user_busy, Answered,not_diallable" }
        [trunks.Carrier-A.results]
        no_Answer = 1
        ANSWERED = 0
        agent_failed = 2
        [trunks.SIMULATED]
        talk_millis = [0, 0]
    "#;
    let settings = loaded(text, &[]).unwrap();
    let trunk = simulated(&settings, "CARRIER-a");
    let capacity = settings.trunks[&TrunkName::new("carrier-a")].capacity();
    assert_eq!((capacity.max_channels, capacity.max_cps), (Some(3), None));
    let (no_answer, failed) = (CallResult::NoAnswer, CallResult::AgentFailed);
    assert_eq!(trunk.results, [(CallResult::Answered, 0), (no_answer, 1), (failed, 2)]);
    let (busy, answered) = (CallResult::UserBusy, CallResult::Answered);
    assert_eq!(trunk.force["0001"], [Forced::Result(busy), Forced::Result(answered), Forced::NotDiallable]);
    assert_eq!(settings.trunks.len(), 2);
    let trunk = simulated(&settings, "simulated");
    assert_eq!(trunk.talk, Duration::ZERO..=Duration::ZERO);
    assert_eq!(trunk.results, SimulatedTrunk::default().results);
}

#[test]
fn every_mistake_in_a_trunk_is_found() {
    let text = r#"
        trunks.e = "simulated"
        [trunks.a]
        kind = "simulated"
        max_cps = 0
        ring_millis = [5, 4]
        talk_millis = [1, "x"]
        results = { UNKNOWN_OUTCOME = 1, answered = 1, ANSWERED = 1, NO_ANSWER = -1 }
        force = { "12a" = "ANSWERED", "1" = "MAYBE,,ANSWERED" }
        colour = "red"
        [trunks.A]
        kind = "simulated"
        [trunks.b]
        results = { ANSWERED = 0 }
        [trunks.c]
        kind = "simulated"
        results = { ANSWERED = 0 }
        [trunks.d]
        kind = "carrier pigeon"
    "#;
    let others = [
        ("trunks.b.kind", Code::Required),
        ("trunks.c.results", Code::InvalidValue),
        ("trunks.d.kind", Code::InvalidValue),
        ("trunks.e", Code::WrongType),
    ];
    let of_a = [
        ("trunks.a", Code::InvalidValue),
        ("trunks.a.max_cps", Code::OutOfRange),
        ("trunks.a.ring_millis", Code::InvalidValue),
        ("trunks.a.talk_millis[1]", Code::WrongType),
        ("trunks.a.results.NO_ANSWER", Code::OutOfRange),
        ("trunks.a.results.UNKNOWN_OUTCOME", Code::InvalidValue),
        ("trunks.a.results.answered", Code::InvalidValue),
        ("trunks.a.force.1", Code::InvalidValue),
        ("trunks.a.force.1", Code::InvalidValue),
        ("trunks.a.force.12a", Code::InvalidValue),
        ("trunks.a.colour", Code::UnknownField),
    ];
    let found = found(text, &[]);
    let keys = |list: &[(&str, Code)]| -> Vec<(String, Code)> {
        list.iter().map(|(key, code)| (key.to_string(), *code)).collect()
    };
    assert_eq!(found, [keys(&of_a), keys(&others)].concat());
}
