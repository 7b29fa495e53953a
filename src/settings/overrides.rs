//! The setting `overrides` of a SIP trunk: rules for what its endings mean.
//!
//! Must not let a rule contradict itself: an end that was not the callee's fault uses up none of its redials, and one
//! that was does.

use serde_json::Value;

use crate::domain::call::{CallResult, Scope};
use crate::domain::classification::{self, Override, StatusRange};
use crate::domain::fields::{self, Fields, Parsed, excerpt, wrong_type};
use crate::domain::problem::{Code, Problem, Problems};

const MOST_RULES: usize = 200;

/// Results that no ending of an unanswered call can have.
const NOT_AN_ENDING: [CallResult; 5] = [
    CallResult::Answered,
    CallResult::IntelligentAnswer,
    CallResult::Cancel,
    CallResult::AgentFailed,
    CallResult::UnknownOutcome,
];

pub(super) fn read(value: &Value) -> Parsed<Vec<Override>> {
    let mut rules = fields::list(0..=MOST_RULES, rule)(value)?;
    let mut problems = Problems::none();
    for index in 0..rules.len() {
        if rules[index].name.is_empty() {
            rules[index].name = format!("{}", index + 1);
        }
        if rules[..index].iter().any(|other| other.name == rules[index].name) {
            let message = "another rule has this name; choose another, so that the evidence tells them apart";
            problems.add(Problem::of(format!("[{index}].name"), Code::InvalidValue, message));
        }
    }
    problems.unless_any(rules)
}

fn rule(value: &Value) -> Parsed<Override> {
    let mut fields = Fields::of(value)?;
    let name = fields.optional("name", fields::line(1..=64));
    let status = fields.optional("status", |value| one_or_more(value, status));
    let text = fields.optional("text", |value| one_or_more(value, fields::line(1..=256)));
    let q850 = fields.optional("q850", |value| one_or_more(value, cause));
    let rang = fields.optional("rang", fields::boolean);
    let asks = ["status", "text", "q850", "rang"];
    if !asks.iter().any(|key| fields.has(key)) {
        let message = "fits every ending; say which it is for with status, text, q850 or rang";
        fields.problem(Problem::new(Code::Required, message));
    }
    let result = fields.required("result", result);
    let scope = fields.optional("scope", scope);
    let counted = fields.optional("counted", fields::boolean);
    let slow_down = fields.optional("slow_down", fields::boolean).unwrap_or(false);
    // A result that is wrong is noted already; any will do for the rest.
    let result = result.unwrap_or(CallResult::Others);
    let scope = scope.unwrap_or_else(|| scope_of(result));
    let by_scope = classification::counts(scope);
    if counted.is_some_and(|counted| counted != by_scope) {
        let message = match by_scope {
            true => "an ending that is not counted is the trunk's: write scope = \"TRUNK\", or remove counted",
            false => {
                "an ending that is counted is the callee's or the caller number's: change scope, or remove counted"
            }
        };
        fields.problem(Problem::of("counted", Code::InvalidValue, message));
    }
    if !by_scope && ![CallResult::NetworkBusy, CallResult::Others].contains(&result) {
        let message =
            "an ending with scope TRUNK has the result NETWORK_BUSY or OTHERS; change the result or the scope";
        fields.problem(Problem::of("scope", Code::InvalidValue, message));
    }
    let rule = Override {
        name: name.unwrap_or_default(),
        status: status.unwrap_or_default(),
        text: text.unwrap_or_default(),
        q850: q850.unwrap_or_default(),
        rang,
        result,
        scope,
        counted: by_scope,
        slow_down,
    };
    fields.finish().unless_any(rule)
}

/// Whose doing an ending with this result is, when the rule does not say.
fn scope_of(result: CallResult) -> Scope {
    match result {
        CallResult::OperatorBlock => Scope::CallerNumber,
        CallResult::NetworkBusy | CallResult::Others => Scope::Trunk,
        _ => Scope::Callee,
    }
}

fn one_or_more<T>(value: &Value, parse: impl Fn(&Value) -> Parsed<T>) -> Parsed<Vec<T>> {
    match value {
        Value::Array(_) => fields::list(1..=64, parse)(value),
        one => parse(one).map(|one| vec![one]),
    }
}

/// A number like 403, or a text: `403`, `5xx`, `500-504`.
fn status(value: &Value) -> Parsed<StatusRange> {
    let range = match value {
        Value::Number(number) => number.as_u64().and_then(|status| u16::try_from(status).ok()).map(|one| one..=one),
        Value::String(text) => range(&text.trim().to_ascii_lowercase()),
        other => return Err(wrong_type("a status, or a range of them in quotes", other)),
    };
    let sound = range.filter(|range| range.start() <= range.end() && *range.start() >= 300 && *range.end() <= 699);
    let message = "must be a status from 300 to 699, like 403, or a range in quotes, like \"5xx\" or \"500-504\"";
    sound.ok_or_else(|| Problem::new(Code::InvalidValue, message).into())
}

fn range(text: &str) -> Option<StatusRange> {
    let number = |text: &str| text.trim().parse::<u16>().ok();
    if let Some((from, to)) = text.split_once('-') {
        return Some(number(from)?..=number(to)?);
    }
    let open = text.bytes().rev().take_while(|byte| *byte == b'x').count();
    if text.len() != 3 || open > 2 {
        return None;
    }
    let with = |digit: &str| number(&format!("{}{}", &text[..3 - open], digit.repeat(open)));
    Some(with("0")?..=with("9")?)
}

fn cause(value: &Value) -> Parsed<u16> {
    fields::count(1..=127)(value).map(|cause| u16::try_from(cause).unwrap_or(u16::MAX))
}

fn result(value: &Value) -> Parsed<CallResult> {
    let name = fields::line(1..=64)(value)?;
    let parsed = name.trim().to_ascii_uppercase().parse().ok();
    parsed.filter(|result| !NOT_AN_ENDING.contains(result)).ok_or_else(|| {
        let known = CallResult::ALL.iter().filter(|result| !NOT_AN_ENDING.contains(result));
        let known: Vec<_> = known.map(|result| result.as_str()).collect();
        let message = format!(
            "\"{}\" is no result of a call that was not answered; the known ones are {}",
            excerpt(&name, 64),
            known.join(", ")
        );
        Problem::new(Code::InvalidValue, message).into()
    })
}

fn scope(value: &Value) -> Parsed<Scope> {
    let name = fields::line(1..=64)(value)?;
    let parsed = name.trim().to_ascii_uppercase().parse().ok();
    let message = "must be CALLEE, CALLER_NUMBER or TRUNK";
    parsed.filter(|scope| *scope != Scope::Local).ok_or_else(|| Problem::new(Code::InvalidValue, message).into())
}
