//! `calltaskd service-instance`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::caller_number::{caller_number, caller_numbers};
use super::listing::Listing;
use super::readable::{cell_of, fields};
use super::reply::{items, number, text};
use super::session::Session;
use super::table::Table;
use super::{Once, input};

#[derive(Debug, Subcommand)]
pub enum ServiceInstanceCommand {
    /// Make a service instance known, or replace its whole record
    Put(Box<ServiceInstancePut>),
    /// Show a service instance with its caller numbers
    Get(ServiceInstanceGet),
    /// List the service instances in the order of their ids
    List,
}

const CHANGES: &str = "\
A caller number may have a limit and times of its own, which narrow those of the tasks; all but the number may be left out:

  --number '+493023125000:5 time-zone=Europe/Berlin days=MONDAY-FRIDAY hours=09:00-12:00,14:00-18:00 no-call=10:00-10:15'

Many of them stand in a file, one in each line and written in the same way: --numbers FILE.

What is not given is not there afterwards: a put replaces the whole record. To change one thing:

  calltaskd service-instance get berlin --json >berlin.json
  calltaskd service-instance put --file berlin.json --max-cps 10";

#[derive(Debug, Args)]
#[command(after_help = CHANGES)]
pub struct ServiceInstancePut {
    /// A record in JSON, as `service-instance get --json` prints it (- for stdin); the options beside it replace its fields
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Its id in the upstream system
    #[arg(long, value_name = "ID", required_unless_present = "file")]
    id: Option<String>,
    /// What people call it
    #[arg(long, required_unless_present = "file")]
    name: Option<String>,
    /// A trunk of the settings
    #[arg(long, value_name = "NAME", required_unless_present = "file")]
    trunk: Option<String>,
    /// Calls at a time; 0 retires the service instance
    #[arg(long, value_name = "N", required_unless_present = "file")]
    max_concurrent: Option<u32>,
    /// Calls placed in any second
    #[arg(long, value_name = "N", required_unless_present = "file")]
    max_cps: Option<u32>,
    /// A caller number, with its own limit of calls at a time and its times if it has any, see below; may be given many times
    #[arg(long = "number", value_name = "NUMBER[:MAX][ KEY=VALUE…]", value_parser = caller_number)]
    numbers: Vec<Value>,
    /// A file with a caller number in each line (- for stdin)
    #[arg(long = "numbers", value_name = "FILE")]
    numbers_file: Option<PathBuf>,
    #[command(flatten)]
    once: Once,
}

#[derive(Debug, Args)]
pub struct ServiceInstanceGet {
    /// The id of the service instance
    id: String,
}

impl ServiceInstanceCommand {
    pub async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        match self {
            Self::Put(instance) => instance.put(session).await,
            Self::Get(ServiceInstanceGet { id }) => {
                let answer = session.query("service-instance.get", &json!({ "serviceInstanceId": id })).await?;
                session.show(&answer, |answer| shown(answer.get("serviceInstance").unwrap_or(&Value::Null)))?;
                Ok(ExitCode::SUCCESS)
            }
            Self::List => list(session).await,
        }
    }
}

impl ServiceInstancePut {
    fn body(&self) -> anyhow::Result<Value> {
        let mut body = match &self.file {
            Some(file) => input::record(file, "serviceInstance")?,
            None => Map::from_iter([("callerNumbers".to_owned(), json!([]))]),
        };
        input::set(&mut body, "serviceInstanceId", self.id.as_ref());
        input::set(&mut body, "name", self.name.as_ref());
        input::set(&mut body, "trunk", self.trunk.as_ref());
        input::set(&mut body, "maxConcurrent", self.max_concurrent);
        input::set(&mut body, "maxCps", self.max_cps);
        let mut numbers = self.numbers.clone();
        if let Some(file) = &self.numbers_file {
            let read = caller_numbers(&input::text(file)?).map_err(anyhow::Error::msg);
            numbers.extend(read.with_context(|| file.display().to_string())?);
        }
        let given = !numbers.is_empty() || self.numbers_file.is_some();
        input::set(&mut body, "callerNumbers", given.then_some(numbers));
        Ok(Value::Object(body))
    }

    async fn put(self, session: &Session) -> anyhow::Result<ExitCode> {
        let body = self.body()?;
        let answer = session.command("service-instance.put", &self.once, &body).await?;
        let numbers = items(&body, "callerNumbers").len();
        session.show(&answer, |answer| {
            let plural = if numbers == 1 { "" } else { "s" };
            format!(
                "service instance {} is known, with {numbers} caller number{plural}",
                text(answer, "serviceInstanceId")
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn list(session: &Session) -> anyhow::Result<ExitCode> {
    let listing = Listing {
        query: "service-instance.list",
        question: json!({}),
        headings: ["SERVICE INSTANCE ID", "NAME", "TRUNK", ">MAX CONCURRENT", ">MAX CPS", ">NUMBERS"],
        nothing: "no service instances",
    };
    let row = |instance: &Value| {
        let [id, name, trunk] = ["serviceInstanceId", "name", "trunk"].map(|key| cell_of(instance, key));
        let [most, cps] = ["maxConcurrent", "maxCps"].map(|key| number(instance, key).to_string());
        [id, name, trunk, most, cps, items(instance, "callerNumbers").len().to_string()]
    };
    listing.print(session, row).await
}

fn shown(instance: &Value) -> String {
    let mut instance = instance.clone();
    let numbers = instance.as_object_mut().and_then(|fields| fields.remove("callerNumbers")).unwrap_or_default();
    let mut table = Table::new(["CALLER NUMBER", ">MAX", "TIME ZONE", "DAYS", "HOURS", "NO CALLS"]);
    for number in numbers.as_array().into_iter().flatten() {
        let keys = ["number", "maxConcurrent", "timeZone", "callingDays", "callingTimes", "noCallTimes"];
        table.row(keys.map(|key| cell_of(number, key)));
    }
    let above = fields(&instance, &["serviceInstanceId", "name", "trunk"]);
    if table.is_empty() { format!("{above}\n\nno caller numbers") } else { format!("{above}\n\n{table}") }
}
