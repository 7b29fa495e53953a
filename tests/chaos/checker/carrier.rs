//! What the carrier was asked for, against the licences: nobody is called twice for one attempt, and nobody without
//! a committed row.

use super::history::History;
use super::names;
use super::record::Placing;
use super::report::Invariant;

/// Over all records together: a call that two daemons placed is in both.
pub fn set_ups(history: &History) -> Invariant {
    let most = history.placings.values().map(Vec::len).max().unwrap_or(0);
    let process = |placing: &&Placing| history.evidence.records.process(placing);
    let repeated = history.placings.iter().filter(|(_, placings)| placings.len() > 1);
    let found = repeated.map(|(call, placings)| {
        let by: Vec<&str> = placings.iter().map(process).collect();
        format!("{call} was placed {} times, by {}", placings.len(), by.join(", "))
    });
    Invariant::new(names::SET_UPS, (most, 1), found.collect())
}

/// A licence that was given back and claimed again was there from the first commit on: whether it was dialled more than
/// once in that time is for [`set_ups`].
pub fn licences(history: &History) -> Invariant {
    let complaint = |placing: &Placing| {
        let (call, at) = (placing.call, placing.at);
        match history.attempts.get(&call).and_then(|attempt| attempt.claims) {
            None => Some(format!("{call} was placed at {at}, and nobody claimed it")),
            Some(claims) if claims.first_at > at => {
                Some(format!("{call} was placed at {at}, and its licence was committed at {}", claims.first_at))
            }
            Some(_) => None,
        }
    };
    let found = history.evidence.records.placings.iter().filter_map(complaint);
    Invariant::none(names::LICENCES, found.collect())
}

/// A further INVITE of an attempt may come after a last response alone: after silence nobody knows whether the first one rang.
pub fn after_silence(history: &History) -> Invariant {
    let found = history.evidence.records.placings.iter().filter(|placing| placing.after_silence);
    let complaint =
        |placing: &Placing| format!("{} was placed again at {}, and the first was not over", placing.call, placing.at);
    Invariant::none(names::AFTER_SILENCE, found.map(complaint).collect())
}
