//! A communication agent: the voice agent that an answered call is connected to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::AgentId;

/// The whole record of an agent; a put replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    pub id: AgentId,
    pub name: String,
    /// Tasks start only with a published agent; unpublishing stops none that runs.
    pub published: bool,
    /// Where answered calls are connected (RFC 3261, section 19.1).
    pub sip_uri: String,
    pub sip_headers: BTreeMap<String, String>,
    pub variables: Vec<AgentVariable>,
    pub output_tags: Vec<OutputTag>,
}

/// A variable that the agent knows; a callee without a required one is rejected at the import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentVariable {
    pub key: String,
    pub required: bool,
}

/// A tag that the agent reports about a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputTag {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<String>>,
}

impl Agent {
    /// The first required variable that `variables` lacks.
    pub fn missing_variable<'a>(&'a self, variables: &BTreeMap<String, String>) -> Option<&'a str> {
        let missing = |variable: &&AgentVariable| variable.required && !variables.contains_key(&variable.key);
        self.variables.iter().find(missing).map(|variable| variable.key.as_str())
    }
}

/// Headers that the signalling itself needs (RFC 3261, section 20, and the timers of RFC 4028), with their short forms.
const SIGNALLING: [&str; 33] = [
    "via",
    "v",
    "from",
    "f",
    "to",
    "t",
    "call-id",
    "i",
    "cseq",
    "contact",
    "m",
    "max-forwards",
    "route",
    "record-route",
    "content-length",
    "l",
    "content-type",
    "c",
    "content-encoding",
    "e",
    "authorization",
    "proxy-authorization",
    "require",
    "proxy-require",
    "supported",
    "k",
    "allow",
    "user-agent",
    "session-expires",
    "x",
    "min-se",
    "rack",
    "rseq",
];

/// How the headers begin that tell the agent of the call and of the callee.
pub const OWN_HEADERS: &str = "x-calltaskd-";

/// Whether the signalling itself needs a header of this name, so that no record may set it.
pub fn is_signalling(name: &str) -> bool {
    SIGNALLING.contains(&name.to_ascii_lowercase().as_str())
}
