//! Service instances and the load they put on their trunks.

use diesel::dsl::now;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};

use super::agents::from_json;
use super::schema::service_instances;
use super::{Store, StoreError, Transaction};
use crate::domain::ids::{ServiceInstanceId, TrunkName};
use crate::domain::service_instance::{CallerNumber, ServiceInstance, Share, StoredCallerNumber, TrunkLoad};

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = service_instances)]
struct Row {
    service_instance_id: String,
    name: String,
    trunk: String,
    max_concurrent: i32,
    max_cps: i32,
    caller_numbers: Value,
}

impl From<&ServiceInstance> for Row {
    fn from(instance: &ServiceInstance) -> Self {
        let numbers: Vec<_> = instance.caller_numbers.iter().map(StoredCallerNumber::from).collect();
        Self {
            service_instance_id: instance.id.0.clone(),
            name: instance.name.clone(),
            trunk: instance.trunk.0.clone(),
            max_concurrent: i32::try_from(instance.share.max_concurrent).unwrap_or(i32::MAX),
            max_cps: i32::try_from(instance.share.max_cps).unwrap_or(i32::MAX),
            caller_numbers: json!(numbers),
        }
    }
}

impl TryFrom<Row> for ServiceInstance {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self, StoreError> {
        let numbers: Vec<StoredCallerNumber> = from_json(row.caller_numbers)?;
        Ok(Self {
            id: ServiceInstanceId(row.service_instance_id),
            name: row.name,
            trunk: TrunkName(row.trunk),
            share: Share {
                max_concurrent: u32::try_from(row.max_concurrent).unwrap_or(0),
                max_cps: u32::try_from(row.max_cps).unwrap_or(0),
            },
            caller_numbers: numbers.into_iter().map(CallerNumber::from).collect(),
        })
    }
}

#[derive(QueryableByName)]
struct Load {
    #[diesel(sql_type = BigInt)]
    max_concurrent: i64,
    #[diesel(sql_type = BigInt)]
    max_cps: i64,
}

pub(super) async fn find(
    connection: &mut AsyncPgConnection,
    id: &ServiceInstanceId,
) -> Result<Option<ServiceInstance>, StoreError> {
    let query = service_instances::table.find(&id.0).select(Row::as_select());
    query.first(connection).await.optional()?.map(ServiceInstance::try_from).transpose()
}

/// What the service instances on `trunk` may use together, `without` left out. Retired ones use nothing.
pub(super) async fn load_of(
    connection: &mut AsyncPgConnection,
    trunk: &TrunkName,
    without: Option<&ServiceInstanceId>,
) -> Result<TrunkLoad, StoreError> {
    let query = diesel::sql_query(
        "SELECT coalesce(sum(max_concurrent), 0)::bigint AS max_concurrent, coalesce(sum(max_cps), 0)::bigint AS max_cps
         FROM service_instances
         WHERE trunk = $1 AND max_concurrent > 0 AND service_instance_id IS DISTINCT FROM $2",
    );
    let without = without.map(|id| id.0.as_str());
    let load: Load = query.bind::<Text, _>(&trunk.0).bind::<Nullable<Text>, _>(without).get_result(connection).await?;
    let unsigned = |sum: i64| u64::try_from(sum).unwrap_or(0);
    Ok(TrunkLoad { max_concurrent: unsigned(load.max_concurrent), max_cps: unsigned(load.max_cps) })
}

impl Transaction {
    /// Writes the whole record and makes sure that it can be leased. Whoever dials for it learns by the fence
    /// that [`Transaction::narrow`] moves before.
    pub async fn put_service_instance(&mut self, instance: &ServiceInstance) -> Result<(), StoreError> {
        let row = Row::from(instance);
        diesel::insert_into(service_instances::table)
            .values(&row)
            .on_conflict(service_instances::service_instance_id)
            .do_update()
            .set((&row, service_instances::updated_at.eq(now)))
            .execute(&mut self.connection)
            .await?;
        let query = diesel::sql_query("INSERT INTO leases (service_instance_id) VALUES ($1) ON CONFLICT DO NOTHING");
        query.bind::<Text, _>(&instance.id.0).execute(&mut self.connection).await?;
        self.offer_lease(&instance.id).await
    }

    /// The service instance, if it was ever put.
    pub async fn service_instance(&mut self, id: &ServiceInstanceId) -> Result<Option<ServiceInstance>, StoreError> {
        find(&mut self.connection, id).await
    }

    /// What the others use of `trunk`. Holds a lock to the end of the transaction, so that two puts cannot
    /// both fit where only one does.
    pub async fn trunk_load_without(
        &mut self,
        trunk: &TrunkName,
        id: &ServiceInstanceId,
    ) -> Result<TrunkLoad, StoreError> {
        let query = diesel::sql_query("SELECT pg_advisory_xact_lock(hashtext('calltaskd trunk'), hashtext($1))");
        query.bind::<Text, _>(&trunk.0).execute(&mut self.connection).await?;
        load_of(&mut self.connection, trunk, Some(id)).await
    }
}

impl Store {
    /// The service instances after an id, in the order of their ids.
    pub async fn list_service_instances(&self, after: &str, most: i64) -> Result<Vec<ServiceInstance>, StoreError> {
        let after = service_instances::table.filter(service_instances::service_instance_id.gt(after));
        let query = after.order(service_instances::service_instance_id).limit(most).select(Row::as_select());
        let rows: Vec<Row> = query.load(&mut self.connection().await?).await?;
        rows.into_iter().map(ServiceInstance::try_from).collect()
    }

    /// The service instance, if it was ever put.
    pub async fn find_service_instance(&self, id: &ServiceInstanceId) -> Result<Option<ServiceInstance>, StoreError> {
        find(&mut *self.connection().await?, id).await
    }
}
