//! `callees.import`: rows become callees, and the first of them set the task going.

use std::collections::HashSet;

use super::Context;
use super::apply::{Handled, task_not_found};
use super::tasks::{change, lock};
use crate::bus::wire::v1::events::About;
use crate::bus::wire::v1::import::{Import, Receipt, RejectedRow};
use crate::bus::wire::v1::replies::accepted;
use crate::domain::agent::Agent;
use crate::domain::callee::NewCallee;
use crate::domain::ids::TaskNo;
use crate::domain::problem::{Code, Problem};
use crate::domain::task::{Task, TaskState};
use crate::store::callees::Present;
use crate::store::{StoreError, Transaction};

/// Imports what is good of a batch and says what became of every row.
pub(super) async fn import(context: &Context, transaction: &mut Transaction, import: Import) -> Handled {
    let Some(task) = lock(transaction, &import.task).await? else { return Ok(Err(task_not_found())) };
    let agent = transaction.agent(&task.settings.agent).await?;
    let present = present(transaction, task.no, &import).await?;
    let mut sorter = Sorter::new(agent.as_ref(), present, import.allow_duplicate_numbers);
    for (index, row) in import.rows.into_iter().enumerate() {
        sorter.sort(index, row);
    }
    let Sorter { accepted: callees, duplicates, rejected, .. } = sorter;
    if !callees.is_empty() {
        transaction.append_callees(task.no, import.batch_id.as_deref(), &callees).await?;
    }
    let task_id = task.settings.id;
    let receipt =
        Receipt { task_id: task_id.0, batch_id: import.batch_id, accepted: callees.len(), duplicates, rejected };
    let about = About::task(task_id, transaction.next_event_sequence().await?, context.clock.now());
    transaction.write_events(vec![context.events.callees_imported(&receipt, about)]).await?;
    if !callees.is_empty() {
        set_going(context, transaction, &task).await?;
    }
    Ok(Ok(accepted(&receipt)))
}

async fn set_going(context: &Context, transaction: &mut Transaction, task: &Task) -> Result<(), StoreError> {
    if task.state.after_import(None).is_some() {
        let now = context.clock.now();
        if task.waits_for_start(now) {
            // It runs at its startAt, by itself.
            change(context, transaction, task, (TaskState::Stopped, None)).await?;
        } else {
            let obstacle = transaction.start_obstacle(&task.settings, now).await?;
            transaction.disarm_start(task.no).await?;
            if let Some(state) = task.state.after_import(obstacle) {
                change(context, transaction, task, (state, obstacle)).await?;
            }
        }
    }
    transaction.wake(&task.settings.service_instance).await
}

async fn present(transaction: &mut Transaction, task: TaskNo, import: &Import) -> Result<Present, StoreError> {
    let rows = || import.rows.iter().flatten();
    let out_ids: Vec<&str> = rows().filter_map(|row| row.out_id.as_deref()).collect();
    let numbers: Vec<&str> = match import.allow_duplicate_numbers {
        true => Vec::new(),
        false => rows().filter(|row| row.out_id.is_none()).map(|row| row.called_number.e164()).collect(),
    };
    transaction.present(task, &numbers, &out_ids).await
}

/// Sorts rows into those that are taken, those that the task has already, and those that are wrong.
struct Sorter<'a> {
    agent: Option<&'a Agent>,
    allow_duplicate_numbers: bool,
    numbers: HashSet<String>,
    out_ids: HashSet<String>,
    accepted: Vec<NewCallee>,
    duplicates: usize,
    rejected: Vec<RejectedRow>,
}

impl<'a> Sorter<'a> {
    fn new(agent: Option<&'a Agent>, present: Present, allow_duplicate_numbers: bool) -> Self {
        Self {
            agent,
            allow_duplicate_numbers,
            numbers: present.numbers,
            out_ids: present.out_ids,
            accepted: Vec::new(),
            duplicates: 0,
            rejected: Vec::new(),
        }
    }

    fn sort(&mut self, index: usize, row: Result<NewCallee, RejectedRow>) {
        let row = match row {
            Ok(row) => row,
            Err(rejected) => return self.rejected.push(rejected),
        };
        if let Some(key) = self.agent.and_then(|agent| agent.missing_variable(&row.variables)) {
            let problem = Problem::new(Code::VariableMissing, format!("give the variable {key}"));
            return self.rejected.push(RejectedRow::new(index, Some(row.called_number.e164()), &problem));
        }
        if self.is_duplicate(&row) {
            self.duplicates += 1;
            return;
        }
        self.numbers.insert(row.called_number.e164().to_owned());
        self.out_ids.extend(row.out_id.clone());
        self.accepted.push(row);
    }

    fn is_duplicate(&self, row: &NewCallee) -> bool {
        match &row.out_id {
            Some(out_id) => self.out_ids.contains(out_id),
            None => !self.allow_duplicate_numbers && self.numbers.contains(row.called_number.e164()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::phone_number::PhoneNumber;

    fn row(number: &str, out_id: Option<&str>) -> Result<NewCallee, RejectedRow> {
        let called_number = PhoneNumber::from_stored(number.into());
        Ok(NewCallee { called_number, out_id: out_id.map(str::to_owned), variables: BTreeMap::new() })
    }

    fn accepted(allow_duplicate_numbers: bool, rows: &[(&str, Option<&str>)]) -> Vec<usize> {
        let numbers = HashSet::from(["+491".to_owned()]);
        let present = Present { numbers, out_ids: HashSet::from(["a".to_owned()]) };
        let mut sorter = Sorter::new(None, present, allow_duplicate_numbers);
        let mut taken = Vec::new();
        for (index, (number, out_id)) in rows.iter().enumerate() {
            let before = sorter.accepted.len();
            sorter.sort(index, row(number, *out_id));
            if sorter.accepted.len() > before {
                taken.push(index);
            }
        }
        assert_eq!(sorter.accepted.len() + sorter.duplicates, rows.len());
        taken
    }

    #[test]
    fn an_out_id_is_what_a_row_is_known_by_else_its_number() {
        let rows = [("+491", None), ("+491", Some("b")), ("+492", Some("a")), ("+492", None), ("+492", None)];
        assert_eq!(accepted(false, &rows), [1, 3]);
        assert_eq!(accepted(true, &rows), [0, 1, 3, 4]);
        assert_eq!(accepted(true, &[("+493", Some("c")), ("+494", Some("c"))]), [0]);
    }
}
