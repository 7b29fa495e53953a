//! `calltaskd call`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::callees::of_task;
use super::readable::{cell_of, fields};
use super::reply::{items, number, text};
use super::session::Session;

/// What of an attempt stands above it already.
const OF_THE_CALLEE: [&str; 7] = ["taskId", "taskName", "calleeId", "outId", "batchId", "calledNumber", "attempt"];

#[derive(Debug, Subcommand)]
pub enum CallCommand {
    /// Show a callee with all its calls, by one of them or by the task and your id of the callee
    Show(CallShow),
}

#[derive(Debug, Args)]
pub struct CallShow {
    /// The id of a call
    #[arg(required_unless_present = "task", conflicts_with_all = ["task", "out_id"])]
    call: Option<String>,
    /// The task's id, or its name
    #[arg(long, requires = "out_id")]
    task: Option<String>,
    /// Your id of the callee
    #[arg(long, value_name = "ID", requires = "task")]
    out_id: Option<String>,
}

impl CallCommand {
    pub async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let Self::Show(CallShow { call, task, out_id }) = self;
        let body = match task {
            Some(task) => of_task(&task, json!({ "outId": out_id })),
            None => json!({ "callId": call }),
        };
        let answer = session.query("call.get", &body).await?;
        session.show(&answer, shown)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn shown(answer: &Value) -> String {
    let callee = answer.get("callee").unwrap_or(&Value::Null);
    let attempts = items(answer, "attempts");
    let first =
        ["calledNumber", "outId", "batchId", "state", "result", "failedReason", "attempts", "redialAt", "endedAt"];
    let name = attempts.first().map_or("", |attempt| text(attempt, "taskName"));
    let mut callee_shown = callee.clone();
    if let (Some(fields), false) = (callee_shown.as_object_mut(), name.is_empty()) {
        fields.insert("taskName".to_owned(), json!(name));
    }
    let above = format!("CALLEE {}\n{}", text(callee, "calledNumber"), indented(&fields(&callee_shown, &first)));
    let calls = attempts.iter().map(|attempt| call(attempt, callee));
    std::iter::once(above).chain(calls).collect::<Vec<_>>().join("\n\n")
}

/// One call: how it ended, the signalling's evidence, and what the agent reported.
fn call(attempt: &Value, callee: &Value) -> String {
    let outcome = match text(attempt, "result") {
        "" => "not ended yet",
        result => result,
    };
    let mut shown = attempt.clone();
    if let Some(fields) = shown.as_object_mut() {
        fields.retain(|key, _| !OF_THE_CALLEE.contains(&key.as_str()) && key != "conversation");
        if attempt.get("variables") == callee.get("variables") {
            fields.remove("variables");
        }
        if let Some(sip) = attempt.get("sip") {
            fields.insert("sip".to_owned(), json!(evidence(sip)));
        }
        if let Some(recording) = attempt.get("recording") {
            fields.insert("recording".to_owned(), json!(place(recording)));
        }
    }
    let first = [
        "callId",
        "callerNumber",
        "startedAt",
        "ringingAt",
        "answeredAt",
        "endedAt",
        "talkSeconds",
        "hangupBy",
        "result",
        "sip",
        "scope",
        "counted",
        "final",
        "redialAt",
        "majorIntent",
        "outputTags",
        "variables",
        "recording",
    ];
    let mut parts = vec![format!("CALL {}: {outcome}", number(attempt, "attempt")), indented(&fields(&shown, &first))];
    let conversation = items(attempt, "conversation");
    if !conversation.is_empty() {
        parts.push("  conversation".to_owned());
        parts.extend(conversation.iter().map(said));
    }
    parts.join("\n")
}

fn said(turn: &Value) -> String {
    let at = if turn.get("at").is_some() { format!("{}  ", cell_of(turn, "at")) } else { String::new() };
    format!("    {at}{}: {}", cell_of(turn, "role"), cell_of(turn, "content"))
}

fn evidence(sip: &Value) -> String {
    let status = [cell_of(sip, "status"), cell_of(sip, "reason")].join(" ");
    let q850 = if sip.get("q850").is_some() { format!("Q.850 {}, ", cell_of(sip, "q850")) } else { String::new() };
    format!("{} ({q850}rule {})", status.trim(), text(sip, "rule"))
}

/// Where it is, how far the daemon is with fetching it, and why it failed.
fn place(recording: &Value) -> String {
    let mut parts = vec![[text(recording, "path"), text(recording, "url")].concat()];
    parts.extend(recording.get("seconds").map(|seconds| format!("({seconds} s)")));
    let state = text(recording, "state");
    parts.extend((!state.is_empty()).then(|| match cell_of(recording, "reason") {
        reason if reason.is_empty() => state.to_owned(),
        reason => format!("{state}: {reason}"),
    }));
    parts.join(" ")
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_shown_with_its_evidence_and_what_was_said() {
        let answer = json!({"status": "OK", "callee": {"calledNumber": "+491", "state": "COMPLETED"}, "attempts": [
            {"attempt": 1, "calledNumber": "+491", "taskName": "autumn", "callId": "c", "result": "ANSWERED",
             "sip": {"status": 200, "reason": "OK", "q850": 16, "rule": "simulated"},
             "conversation": [{"role": "agent", "content": "Good\nmorning"}], "recording": {"path": "a.wav", "seconds": 3}},
            {"attempt": 2, "callId": "d"}]});
        let expected = "CALLEE +491\n  calledNumber  +491\n  state         COMPLETED\n  taskName      autumn\n\n\
            CALL 1: ANSWERED\n  callId     c\n  result     ANSWERED\n  sip        200 OK (Q.850 16, rule simulated)\n  \
            recording  a.wav (3 s)\n  conversation\n    agent: Good morning\n\nCALL 2: not ended yet\n  callId  d";
        assert_eq!(shown(&answer), expected);
    }

    #[test]
    fn a_recording_is_shown_with_what_became_of_it() {
        let mut recording =
            json!({"url": "https://a.example/1.wav", "seconds": 3, "state": "STORED", "location": "/x"});
        assert_eq!(place(&recording), "https://a.example/1.wav (3 s) STORED");
        recording["state"] = json!("FAILED");
        recording["reason"] = json!("the host a.example is not among recordings.hosts");
        let failed = "https://a.example/1.wav (3 s) FAILED: the host a.example is not among recordings.hosts";
        assert_eq!(place(&recording), failed);
    }
}
