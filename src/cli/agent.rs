//! `calltaskd agent`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, Subcommand};
use serde_json::{Map, Value, json};

use super::listing::Listing;
use super::readable::{cell, cell_of, fields};
use super::reply::{items, text};
use super::session::Session;
use super::{Once, input};

#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Make an agent known, or replace its whole record
    Put(Box<AgentPut>),
    /// Show an agent
    Get(AgentGet),
    /// List the agents in the order of their ids
    List,
}

const CHANGES: &str = "\
What is not given is not there afterwards: a put replaces the whole record. To change one thing:

  calltaskd agent get reminder --json >reminder.json
  calltaskd agent put --file reminder.json --published false";

#[derive(Debug, Args)]
#[command(after_help = CHANGES)]
pub struct AgentPut {
    /// A record in JSON, as `agent get --json` prints it (- for stdin); the options beside it replace its fields
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Its id in the upstream system
    #[arg(long, value_name = "ID", required_unless_present = "file")]
    id: Option<String>,
    /// What people call it
    #[arg(long, required_unless_present = "file")]
    name: Option<String>,
    /// Where answered calls are connected, like sip:agent@voice.example
    #[arg(long, value_name = "URI", required_unless_present = "file")]
    sip_uri: Option<String>,
    /// Whether tasks may start with it [default: true]
    #[arg(long, value_name = "BOOL", action = ArgAction::Set)]
    published: Option<bool>,
    /// A SIP header of each call to it; may be given many times
    #[arg(long = "sip-header", value_name = "NAME: VALUE", value_parser = sip_header)]
    sip_headers: Vec<(String, String)>,
    /// A variable that it is told with each call; callees without a required one are rejected
    #[arg(long = "variable", value_name = "KEY[:required]", value_parser = variable)]
    variables: Vec<Value>,
    /// A tag that it reports, with its values if they are known; may be given many times
    #[arg(long = "output-tag", value_name = "NAME[=VALUE,…]", value_parser = output_tag)]
    output_tags: Vec<Value>,
    #[command(flatten)]
    once: Once,
}

#[derive(Debug, Args)]
pub struct AgentGet {
    /// The id of the agent
    id: String,
}

fn sip_header(argument: &str) -> Result<(String, String), String> {
    let header = argument.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    header.ok_or_else(|| "write the header as NAME: VALUE, like 'X-Language: de'".to_owned())
}

/// The key of a variable, and whether it is required. A colon is no part of a key here, so that no misspelt suffix makes an
/// optional variable of a required one.
pub fn key(argument: &str) -> Result<(String, bool), String> {
    let (key, required) = match argument.rsplit_once(':') {
        Some((key, "required")) => (key, true),
        Some((key, suffix)) => {
            return Err(format!("{suffix:?} is not known; write {key}:required, or {key} alone where it is optional"));
        }
        None => (argument, false),
    };
    if key.contains(':') {
        return Err("a key with a colon in it is taken from a file only (agent put --file)".to_owned());
    }
    Ok((key.to_owned(), required))
}

fn variable(argument: &str) -> Result<Value, String> {
    key(argument).map(|(key, required)| json!({"key": key, "required": required}))
}

fn output_tag(argument: &str) -> Result<Value, Infallible> {
    Ok(match argument.split_once('=') {
        Some((name, values)) => json!({"name": name, "values": values.split(',').map(str::trim).collect::<Vec<_>>()}),
        None => json!({ "name": argument }),
    })
}

impl AgentCommand {
    pub async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        match self {
            Self::Put(agent) => agent.put(session).await,
            Self::Get(AgentGet { id }) => {
                let answer = session.query("agent.get", &json!({ "agentId": id })).await?;
                session.show(&answer, |answer| shown(answer.get("agent").unwrap_or(&Value::Null)))?;
                Ok(ExitCode::SUCCESS)
            }
            Self::List => list(session).await,
        }
    }
}

impl AgentPut {
    fn body(&self) -> anyhow::Result<Value> {
        let mut body = match &self.file {
            Some(file) => input::record(file, "agent")?,
            None => Map::from_iter([("published".to_owned(), json!(true))]),
        };
        input::set(&mut body, "agentId", self.id.as_ref());
        input::set(&mut body, "name", self.name.as_ref());
        input::set(&mut body, "sipUri", self.sip_uri.as_ref());
        input::set(&mut body, "published", self.published);
        let headers = || self.sip_headers.iter().cloned().collect::<std::collections::BTreeMap<_, _>>();
        input::set(&mut body, "sipHeaders", (!self.sip_headers.is_empty()).then(headers));
        input::set(&mut body, "variables", (!self.variables.is_empty()).then_some(&self.variables));
        input::set(&mut body, "outputTags", (!self.output_tags.is_empty()).then_some(&self.output_tags));
        Ok(Value::Object(body))
    }

    async fn put(self, session: &Session) -> anyhow::Result<ExitCode> {
        let answer = session.command("agent.put", &self.once, &self.body()?).await?;
        session.show(&answer, |answer| format!("agent {} is known", text(answer, "agentId")))?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn list(session: &Session) -> anyhow::Result<ExitCode> {
    let listing = Listing {
        query: "agent.list",
        question: json!({}),
        headings: ["AGENT ID", "NAME", "PUBLISHED", "SIP URI", "VARIABLES"],
        nothing: "no agents",
    };
    let row = |agent: &Value| {
        let [id, name, published, uri] = ["agentId", "name", "published", "sipUri"].map(|key| cell_of(agent, key));
        [id, name, published, uri, variables(agent).join(", ")]
    };
    listing.print(session, row).await
}

/// As `--variable` takes them.
fn variables(agent: &Value) -> Vec<String> {
    let variable = |variable: &Value| match variable["required"] == true {
        true => format!("{}:required", text(variable, "key")),
        false => text(variable, "key").to_owned(),
    };
    items(agent, "variables").iter().map(variable).collect()
}

fn shown(agent: &Value) -> String {
    let mut agent = agent.clone();
    let tag = |tag: &Value| {
        let values: Vec<_> = items(tag, "values").iter().map(cell).collect();
        let name = text(tag, "name");
        if values.is_empty() { name.to_owned() } else { format!("{name}={}", values.join(",")) }
    };
    let tags: Vec<_> = items(&agent, "outputTags").iter().map(tag).collect();
    if let Some(fields) = agent.as_object_mut() {
        let variables = variables(&Value::Object(fields.clone())).join(", ");
        fields.insert("variables".to_owned(), json!(variables));
        fields.insert("outputTags".to_owned(), json!(tags.join("; ")));
        fields.retain(|_, value| value != "");
    }
    fields(&agent, &["agentId", "name", "published", "sipUri", "sipHeaders", "variables"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_optional_unless_it_says_otherwise() {
        assert_eq!(variable("firstName:required"), Ok(json!({"key": "firstName", "required": true})));
        assert_eq!(variable("time"), Ok(json!({"key": "time", "required": false})));
        let misspelt = variable("firstName:requird").unwrap_err();
        assert_eq!(
            misspelt,
            "\"requird\" is not known; write firstName:required, or firstName alone where it is optional"
        );
        for wrong in ["firstName:", "firstName:Required", "first:name:required"] {
            assert!(variable(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_and_tags_are_written_in_one_argument() {
        assert_eq!(sip_header("X-Language: de"), Ok(("X-Language".to_owned(), "de".to_owned())));
        assert!(sip_header("X-Language=de").is_err());
        assert_eq!(output_tag("outcome=YES, NO"), Ok(json!({"name": "outcome", "values": ["YES", "NO"]})));
        assert_eq!(output_tag("note"), Ok(json!({"name": "note"})));
    }

    #[test]
    fn an_agent_is_shown_as_it_was_written() {
        let agent = json!({"agentId": "a", "variables": [{"key": "x", "required": true}, {"key": "y"}],
            "outputTags": [{"name": "outcome", "values": ["YES", "NO"]}, {"name": "note"}]});
        let expected = "agentId     a\nvariables   x:required, y\noutputTags  outcome=YES,NO; note";
        assert_eq!(shown(&agent), expected);
    }
}
