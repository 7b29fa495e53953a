//! Cases, and what their events have to tell.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::exchange::{Case, Other};
use crate::sipp::{Script, play};

/// Cases with what is expected of each.
pub type Table = Vec<(Case, Value)>;

/// The phone is not answered, so nobody calls the agent.
pub const fn case(name: &'static str, carrier: Script) -> Case {
    Case {
        name,
        carrier: Other::Plays(carrier),
        agent: Other::Absent,
        trunk: "",
        closed_first: false,
        loses_each_once: false,
        host: "127.0.0.1",
        domain: "",
        trunk_port: 0,
        carrier_port: 0,
        callees: 1,
        concurrency: 100,
        variable_length: 0,
        max_talk_seconds: 10,
    }
}

pub const fn answered(name: &'static str, carrier: Script, agent: Script) -> Case {
    Case { agent: Other::Plays(agent), ..case(name, carrier) }
}

pub const fn without_agent(name: &'static str, agent: Other) -> Case {
    Case { agent, ..case(name, play("answers_and_is_released")) }
}

pub const fn refused(name: &'static str, status: &'static str) -> Case {
    case(name, play("refuses").saying(status))
}

pub const fn rung(name: &'static str, status: &'static str) -> Case {
    case(name, play("rings_and_refuses").saying(status))
}

/// What an event has to tell; what is `null` must not be there.
#[track_caller]
pub fn assert_tells(event: &Value, name: &str, expected: &Value) {
    for (field, value) in expected.as_object().unwrap() {
        let found = field.split('.').try_fold(event, |data, part| data.get(part)).unwrap_or(&Value::Null);
        assert_eq!(found, value, "{name}: {field} in {event}");
    }
}

pub fn seconds_between(event: &Value, from: &str, to: &str) -> f64 {
    let at = |field: &str| event[field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    (at(to) - at(from)).as_seconds_f64()
}
