//! The settings: the code's defaults, under the file, under the environment; all that is wrong with them at once.
//!
//! Must not read the process's environment by itself ([`load`] is given it, so that tests need not change it)
//! and must never print a secret. Nothing here connects to anything: a setting is judged by itself.

mod admin;
mod exports;
mod layers;
mod overrides;
mod pem;
mod place;
mod reader;
mod recordings;
mod secret;
mod sections;
mod simulated;
mod sip;
mod sip_trunk;
mod trunk;

#[cfg(test)]
mod layer_tests;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod sip_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trunk_tests;

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::ids::TrunkName;
use crate::domain::problem::{Problem, Problems};
use crate::domain::visible;
pub use crate::telemetry::{LogFormat, Logging};

use layers::Layers;
use reader::Reader;

pub use admin::Admin;
pub use exports::Exports;
pub use place::{Bucket, Place};
pub use recordings::Recordings;
pub use sections::{Bus, Database, Events, Inbox, Limits, Node, Numbers, Shutdown, Tasks};
pub use simulated::{Forced, SimulatedTrunk};
pub use sip::{Bind, Certificate, HostPort, Sip, Transport};
pub use sip_trunk::{Codec, Credentials, Identity, NumberFormat, OfferStrategy, Place as TrunkPlace, SipTrunk};
pub use trunk::Trunk;

/// Every setting of the daemon.
#[derive(Debug, Clone)]
pub struct Settings {
    pub node: Node,
    pub database: Database,
    pub bus: Bus,
    pub limits: Limits,
    pub tasks: Tasks,
    pub numbers: Numbers,
    pub inbox: Inbox,
    pub recordings: Recordings,
    pub events: Events,
    pub exports: Exports,
    pub shutdown: Shutdown,
    pub logging: Logging,
    pub admin: Admin,
    pub sip: Sip,
    pub trunks: BTreeMap<TrunkName, Trunk>,
}

/// What the reader gives when there is nothing to read: each default stands once, where its setting is read.
impl Default for Settings {
    fn default() -> Self {
        Self::read(&mut Reader::of(&Layers::none()))
    }
}

impl Settings {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            node: reader.section("node", Node::read),
            database: reader.section("database", Database::read),
            bus: reader.section("bus", Bus::read),
            limits: reader.section("limits", Limits::read),
            tasks: reader.section("tasks", Tasks::read),
            numbers: reader.section("numbers", Numbers::read),
            inbox: reader.section("inbox", Inbox::read),
            recordings: reader.section("recordings", Recordings::read),
            events: reader.section("events", Events::read),
            exports: reader.section("exports", Exports::read),
            shutdown: reader.section("shutdown", Shutdown::read),
            logging: reader.section("logging", sections::logging),
            admin: reader.section("admin", Admin::read),
            sip: reader.section("sip", Sip::read),
            trunks: trunk::read(reader),
        }
    }
}

/// Reads the settings: `/etc/calltaskd/calltaskd.toml` if it exists, or `config_file`, which must exist; over
/// it the variables `CALLTASKD__SECTION__KEY` of `environment`.
pub fn load(
    config_file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Settings, Problems> {
    let (layers, mut problems) = Layers::read(config_file, environment, &known_keys());
    let mut reader = Reader::of(&layers);
    let settings = Settings::read(&mut reader);
    problems.append(reader.finish().problems);
    problems.unless_any(settings)
}

/// This process's environment, for [`load`]. `std::env::vars` would panic on a variable that is not UTF-8,
/// even one that is none of ours; `load` refuses such a value of a setting.
pub fn process_environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

/// The problems for a person: one line each, `key: what is wrong and the remedy (from where)`.
pub fn render(problems: &Problems) -> String {
    let line = |field: &str, message: &str| match field {
        "" => message.to_owned(),
        field => format!("{field}: {message}"),
    };
    // A path or a key in it is whatever was typed.
    let shown = |problem: &Problem| visible::line(&line(&problem.field, &problem.message)).into_owned();
    let lines: Vec<_> = problems.iter().map(shown).collect();
    lines.join("\n")
}

/// The settings that the environment may give: what the reader asks for. The keys of trunks are not among
/// them, because it asks for those only when the file names a trunk.
fn known_keys() -> Vec<String> {
    let layers = Layers::none();
    let mut reader = Reader::of(&layers);
    Settings::read(&mut reader);
    reader.finish().asked
}
