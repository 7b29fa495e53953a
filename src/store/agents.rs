//! Communication agents.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::schema::agents;
use super::{Store, StoreError, Transaction};
use crate::domain::agent::Agent;
use crate::domain::ids::AgentId;

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = agents)]
struct Row {
    agent_id: String,
    name: String,
    published: bool,
    sip_uri: String,
    sip_headers: Value,
    variables: Value,
    output_tags: Value,
}

impl From<&Agent> for Row {
    fn from(agent: &Agent) -> Self {
        Self {
            agent_id: agent.id.0.clone(),
            name: agent.name.clone(),
            published: agent.published,
            sip_uri: agent.sip_uri.clone(),
            sip_headers: json!(agent.sip_headers),
            variables: json!(agent.variables),
            output_tags: json!(agent.output_tags),
        }
    }
}

impl TryFrom<Row> for Agent {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: AgentId(row.agent_id),
            name: row.name,
            published: row.published,
            sip_uri: row.sip_uri,
            sip_headers: from_json(row.sip_headers)?,
            variables: from_json(row.variables)?,
            output_tags: from_json(row.output_tags)?,
        })
    }
}

/// Reads a JSON column.
pub(super) fn from_json<T: DeserializeOwned>(value: Value) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError::Unreadable(error.to_string()))
}

pub(super) async fn find_all(
    connection: &mut AsyncPgConnection,
    ids: &[String],
) -> Result<BTreeMap<AgentId, Agent>, StoreError> {
    let query = agents::table.filter(agents::agent_id.eq_any(ids)).select(Row::as_select());
    let agents: Result<Vec<Agent>, _> = query.load(connection).await?.into_iter().map(Agent::try_from).collect();
    Ok(agents?.into_iter().map(|agent| (agent.id.clone(), agent)).collect())
}

impl Transaction {
    /// Writes the whole record.
    pub async fn put_agent(&mut self, agent: &Agent) -> Result<(), StoreError> {
        let row = Row::from(agent);
        diesel::insert_into(agents::table)
            .values(&row)
            .on_conflict(agents::agent_id)
            .do_update()
            .set(&row)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// The agent, if it was ever put.
    pub async fn agent(&mut self, id: &AgentId) -> Result<Option<Agent>, StoreError> {
        let query = agents::table.find(&id.0).select(Row::as_select());
        query.first(&mut self.connection).await.optional()?.map(Agent::try_from).transpose()
    }
}

impl Store {
    /// The agents after an id, in the order of their ids.
    pub async fn list_agents(&self, after: &str, most: i64) -> Result<Vec<Agent>, StoreError> {
        let query = agents::table.filter(agents::agent_id.gt(after)).order(agents::agent_id).limit(most);
        let rows: Vec<Row> = query.select(Row::as_select()).load(&mut self.connection().await?).await?;
        rows.into_iter().map(Agent::try_from).collect()
    }

    /// The agent, if it was ever put.
    pub async fn find_agent(&self, id: &AgentId) -> Result<Option<Agent>, StoreError> {
        let query = agents::table.find(&id.0).select(Row::as_select());
        query.first(&mut self.connection().await?).await.optional()?.map(Agent::try_from).transpose()
    }
}
