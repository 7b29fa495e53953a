//! `calltaskd service-instance`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::session::Session;
use super::{Once, reply};

#[derive(Debug, Subcommand)]
pub enum ServiceInstanceCommand {
    /// Make a service instance known, or replace its whole record
    Put(ServiceInstancePut),
}

#[derive(Debug, Args)]
pub struct ServiceInstancePut {
    /// Its id in the upstream system
    #[arg(long, value_name = "ID")]
    id: String,
    #[arg(long)]
    name: String,
    /// A trunk of the settings
    #[arg(long, value_name = "NAME")]
    trunk: String,
    /// Calls at a time; 0 retires the service instance
    #[arg(long, value_name = "N")]
    max_concurrent: u32,
    /// Calls placed in any second
    #[arg(long, value_name = "N")]
    max_cps: u32,
    /// A caller number, with its own limit of calls at a time if it has one; may be given many times
    #[arg(long = "number", value_name = "NUMBER[:MAX]", value_parser = caller_number)]
    numbers: Vec<Value>,
    #[command(flatten)]
    once: Once,
}

fn caller_number(argument: &str) -> Result<Value, String> {
    let Some((number, most)) = argument.split_once(':') else {
        return Ok(json!({ "number": argument }));
    };
    let most: u32 = most.parse().map_err(|_| format!("{most:?} after the colon is no limit; write NUMBER:5"))?;
    Ok(json!({"number": number, "maxConcurrent": most}))
}

impl ServiceInstanceCommand {
    pub async fn run(self, session: &Session) -> anyhow::Result<ExitCode> {
        let Self::Put(instance) = self;
        let body = json!({
            "serviceInstanceId": instance.id,
            "name": instance.name,
            "trunk": instance.trunk,
            "maxConcurrent": instance.max_concurrent,
            "maxCps": instance.max_cps,
            "callerNumbers": instance.numbers,
        });
        let answer = session.command("service-instance.put", &instance.once, &body).await?;
        let known = |answer: &Value| format!("service instance {} is known", reply::text(answer, "serviceInstanceId"));
        session.show(&answer, known)?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_number_may_have_a_limit() {
        assert_eq!(caller_number("+493023125000"), Ok(json!({"number": "+493023125000"})));
        let limited = json!({"number": "+493023125000", "maxConcurrent": 5});
        assert_eq!(caller_number("+493023125000:5"), Ok(limited));
        assert!(caller_number("+493023125000:").is_err());
        assert!(caller_number("+493023125000:-1").is_err());
    }
}
