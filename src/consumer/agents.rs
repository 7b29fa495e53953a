//! `agent.put`.

use serde_json::json;

use super::apply::Handled;
use crate::bus::wire::v1::replies::accepted;
use crate::domain::agent::Agent;
use crate::store::Transaction;

/// Writes the whole record. Tasks that run are not stopped by it.
pub(super) async fn put(transaction: &mut Transaction, agent: &Agent) -> Handled {
    transaction.put_agent(agent).await?;
    Ok(Ok(accepted(json!({"agentId": agent.id}))))
}
