//! `service-instance.put`.

use serde_json::json;

use super::apply::Handled;
use crate::bus::wire::v1::reading::Rules;
use crate::bus::wire::v1::replies::accepted;
use crate::domain::problem::{Code, Problem, Problems};
use crate::domain::service_instance::{ServiceInstance, TrunkLoad};
use crate::store::{StoreError, Transaction};

/// Writes the whole record, if its trunk carries it.
pub(super) async fn put(rules: &Rules, transaction: &mut Transaction, instance: &ServiceInstance) -> Handled {
    // First of all: a claim under the old limits must not slip in after the reply.
    transaction.narrow(&instance.id).await?;
    let problems = judge(rules, transaction, instance).await?;
    if !problems.is_empty() {
        return Ok(Err(problems.into()));
    }
    transaction.put_service_instance(instance).await?;
    transaction.wake(&instance.id).await?;
    Ok(Ok(accepted(json!({"serviceInstanceId": instance.id}))))
}

async fn judge(
    rules: &Rules,
    transaction: &mut Transaction,
    instance: &ServiceInstance,
) -> Result<Problems, StoreError> {
    let mut problems = Problems::none();
    let capacity = rules.trunks.get(&instance.trunk).copied().unwrap_or_default();
    if instance.share.max_concurrent == 0 {
        return Ok(problems);
    }
    let others = transaction.trunk_load_without(&instance.trunk, &instance.id).await?;
    let load = TrunkLoad {
        max_concurrent: others.max_concurrent + u64::from(instance.share.max_concurrent),
        max_cps: others.max_cps + u64::from(instance.share.max_cps),
    };
    if !capacity.carries(load) {
        let limit = |limit: Option<u32>| limit.map_or_else(|| "any number of".to_owned(), |limit| limit.to_string());
        let message = format!(
            "the trunk has {} channels and {} calls per second; with this, its shares add up to {} and {}",
            limit(capacity.max_channels),
            limit(capacity.max_cps),
            load.max_concurrent,
            load.max_cps,
        );
        problems.add(Problem::of("trunk", Code::TrunkOvercommitted, message));
    }
    Ok(problems)
}
