//! `calltaskd agent`.

use std::convert::Infallible;
use std::process::ExitCode;

use clap::{ArgAction, Args, Subcommand};
use serde_json::{Value, json};

use super::session::Session;
use super::{Once, reply};

#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Make an agent known, or replace its whole record
    Put(AgentPut),
}

#[derive(Debug, Args)]
pub struct AgentPut {
    /// Its id in the upstream system
    #[arg(long, value_name = "ID")]
    id: String,
    #[arg(long)]
    name: String,
    /// Where answered calls are connected, like sip:agent@voice.example
    #[arg(long, value_name = "URI")]
    sip_uri: String,
    /// Whether tasks may start with it
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    published: bool,
    /// A variable that it is told with each call; callees without a required one are rejected
    #[arg(long = "variable", value_name = "KEY[:required]", value_parser = variable)]
    variables: Vec<Value>,
    #[command(flatten)]
    once: Once,
}

fn variable(argument: &str) -> Result<Value, Infallible> {
    let (key, required) = match argument.strip_suffix(":required") {
        Some(key) => (key, true),
        None => (argument, false),
    };
    Ok(json!({"key": key, "required": required}))
}

impl AgentCommand {
    pub async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let Self::Put(agent) = self;
        let body = json!({
            "agentId": agent.id,
            "name": agent.name,
            "published": agent.published,
            "sipUri": agent.sip_uri,
            "variables": agent.variables,
        });
        let answer = session.command("agent.put", &agent.once, &body).await?;
        session.show(&answer, |answer| format!("agent {} is known", reply::text(answer, "agentId")))?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_optional_unless_it_says_otherwise() {
        assert_eq!(variable("firstName:required"), Ok(json!({"key": "firstName", "required": true})));
        assert_eq!(variable("at:home"), Ok(json!({"key": "at:home", "required": false})));
    }
}
