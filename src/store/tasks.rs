//! Call tasks: their records, their states, and what their owner needs of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use uuid::Uuid;

use super::agents::{find_all, from_json};
use super::cancellations::cancelled_so_far;
use super::schema::tasks;
use super::service_instances;
use super::{Store, StoreError, Transaction};
use crate::domain::agent::Agent;
use crate::domain::ids::{AgentId, ServiceInstanceId, TaskId, TaskNo};
use crate::domain::service_instance::{ServiceInstance, TrunkLoad};
use crate::domain::task::{NewTask, StartMode, StartObstacle, Task, TaskFilter, TaskRef, TaskState};

/// What the owner of a service instance dials by.
#[derive(Debug, Clone)]
pub struct Work {
    pub service_instance: ServiceInstance,
    pub trunk_load: TrunkLoad,
    pub tasks: Vec<RunningTask>,
}

/// A running task, for its owner.
#[derive(Debug, Clone)]
pub struct RunningTask {
    pub no: TaskNo,
    pub settings: NewTask,
    pub agent: Arc<Agent>,
    /// How many of its callees were cancelled so far.
    pub cancelled: u64,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = tasks)]
struct Row {
    task_no: i64,
    task_id: Uuid,
    name: String,
    state: String,
    reason: Option<String>,
    agent_id: String,
    service_instance_id: String,
    concurrency: i32,
    start_at: Option<DateTime<Utc>>,
    start_armed: bool,
    calling_window: Value,
    redial: Option<Value>,
    ring_timeout_seconds: i32,
    max_talk_seconds: i32,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    completed_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Task {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self, StoreError> {
        let state = row.state.parse().map_err(|()| StoreError::Unreadable(format!("task state {}", row.state)))?;
        Ok(Self {
            no: TaskNo(row.task_no),
            settings: NewTask {
                id: TaskId(row.task_id),
                name: row.name,
                agent: AgentId(row.agent_id),
                service_instance: ServiceInstanceId(row.service_instance_id),
                concurrency: u32::try_from(row.concurrency).unwrap_or(0),
                start: row.start_at.map_or(StartMode::Immediate, StartMode::Scheduled),
                window: from_json(row.calling_window)?,
                redial: row.redial.map(from_json).transpose()?,
                ring_timeout_seconds: u32::try_from(row.ring_timeout_seconds).unwrap_or(0),
                max_talk_seconds: u32::try_from(row.max_talk_seconds).unwrap_or(0),
            },
            state,
            armed: row.start_armed,
            reason: row.reason,
            created_at: row.created_at,
            started_at: row.started_at,
            completed_at: row.completed_at,
        })
    }
}

/// What the sender decides of a task and may decide anew; whoever writes it arms the scheduled start again.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = tasks, treat_none_as_null = true)]
struct Settings<'t> {
    name: &'t str,
    service_instance_id: &'t str,
    concurrency: i32,
    start_mode: &'static str,
    start_at: Option<DateTime<Utc>>,
    start_armed: bool,
    calling_window: Value,
    redial: Option<Value>,
    ring_timeout_seconds: i32,
    max_talk_seconds: i32,
}

impl<'t> From<&'t NewTask> for Settings<'t> {
    fn from(task: &'t NewTask) -> Self {
        let signed = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        Self {
            name: &task.name,
            service_instance_id: &task.service_instance.0,
            concurrency: signed(task.concurrency),
            start_mode: task.start.as_str(),
            start_at: task.start.start_at(),
            start_armed: task.start.start_at().is_some(),
            calling_window: json!(task.window),
            redial: task.redial.as_ref().map(|rule| json!(rule)),
            ring_timeout_seconds: signed(task.ring_timeout_seconds),
            max_talk_seconds: signed(task.max_talk_seconds),
        }
    }
}

#[derive(QueryableByName)]
struct ScheduledStart {
    #[diesel(sql_type = SqlUuid)]
    task_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    start_at: DateTime<Utc>,
}

/// Whether a new task's id and name can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    pub id: bool,
    pub name: bool,
}

impl Transaction {
    /// Whether the id was ever used, and whether a task that is not deleted has the name.
    pub async fn taken(&mut self, id: Option<TaskId>, name: Option<&str>) -> Result<Taken, StoreError> {
        let mut taken = Taken { id: false, name: false };
        if let Some(id) = id {
            let query = diesel::select(diesel::dsl::exists(tasks::table.filter(tasks::task_id.eq(id.0))));
            taken.id = query.get_result(&mut self.connection).await?;
        }
        if let Some(name) = name {
            let same = tasks::table.filter(tasks::name.eq(name)).filter(tasks::deleted_at.is_null());
            taken.name = diesel::select(diesel::dsl::exists(same)).get_result(&mut self.connection).await?;
        }
        Ok(taken)
    }

    /// Writes a new task and its counter.
    pub async fn create_task(&mut self, task: &NewTask, now: DateTime<Utc>) -> Result<TaskNo, StoreError> {
        let no: i64 = diesel::insert_into(tasks::table)
            .values((
                tasks::task_id.eq(task.id.0),
                tasks::agent_id.eq(&task.agent.0),
                tasks::state.eq(TaskState::Initializing.as_str()),
                tasks::created_at.eq(now),
                Settings::from(task),
            ))
            .returning(tasks::task_no)
            .get_result(&mut self.connection)
            .await?;
        let query = diesel::sql_query("INSERT INTO task_counters (task_no) VALUES ($1)");
        query.bind::<BigInt, _>(no).execute(&mut self.connection).await?;
        Ok(TaskNo(no))
    }

    /// The task of a command. Lock its counter before deciding by its state.
    pub async fn task(&mut self, task: &TaskRef) -> Result<Option<Task>, StoreError> {
        let query = tasks::table.filter(tasks::deleted_at.is_null()).select(Row::as_select()).into_boxed();
        let query = match task {
            TaskRef::Id(id) => query.filter(tasks::task_id.eq(id.0)),
            TaskRef::Name(name) => query.filter(tasks::name.eq(name)),
        };
        query.first(&mut self.connection).await.optional()?.map(Task::try_from).transpose()
    }

    /// Moves a task to another state and keeps when and why.
    pub async fn set_task_state(
        &mut self,
        task: TaskNo,
        (state, obstacle): (TaskState, Option<StartObstacle>),
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let reason = obstacle.map(StartObstacle::as_str);
        let row = diesel::update(tasks::table.find(task.0));
        row.set((tasks::state.eq(state.as_str()), tasks::reason.eq(reason))).execute(&mut self.connection).await?;
        if state == TaskState::Running {
            let first_start = tasks::table.find(task.0).filter(tasks::started_at.is_null());
            diesel::update(first_start).set(tasks::started_at.eq(now)).execute(&mut self.connection).await?;
        }
        let completed_at = (state == TaskState::Completed).then_some(now);
        if matches!(state, TaskState::Completed | TaskState::Running | TaskState::StartFailed) {
            let row = diesel::update(tasks::table.find(task.0));
            row.set(tasks::completed_at.eq(completed_at)).execute(&mut self.connection).await?;
        }
        Ok(())
    }

    /// Writes the settings of a task anew.
    pub async fn update_task(&mut self, task: &Task) -> Result<(), StoreError> {
        let settings = Settings { start_armed: task.armed, ..Settings::from(&task.settings) };
        diesel::update(tasks::table.find(task.no.0)).set(settings).execute(&mut self.connection).await?;
        Ok(())
    }

    /// Makes a task gone for everyone outside: its name is free, its id never. The rows go later.
    pub async fn delete_task(&mut self, task: TaskNo, now: DateTime<Utc>) -> Result<(), StoreError> {
        let row = diesel::update(tasks::table.find(task.0));
        row.set((tasks::deleted_at.eq(now), tasks::start_armed.eq(false))).execute(&mut self.connection).await?;
        Ok(())
    }

    /// Whether calls of the task are in the air, or may be any moment. The fence must have moved before.
    pub async fn has_open_attempts(&mut self, task: TaskNo) -> Result<bool, StoreError> {
        let query = diesel::sql_query("SELECT 1 FROM open_attempts WHERE task_no = $1 LIMIT 1");
        let open = query.bind::<diesel::sql_types::BigInt, _>(task.0).execute(&mut self.connection).await?;
        Ok(open > 0)
    }

    /// Uses up the scheduled start of a task, so that it does not fire any more.
    pub async fn disarm_start(&mut self, task: TaskNo) -> Result<(), StoreError> {
        let armed = tasks::table.find(task.0).filter(tasks::start_armed);
        diesel::update(armed).set(tasks::start_armed.eq(false)).execute(&mut self.connection).await?;
        Ok(())
    }

    /// What stands in the way of a start, by the records as they are now.
    pub async fn start_obstacle(
        &mut self,
        task: &NewTask,
        now: DateTime<Utc>,
    ) -> Result<Option<StartObstacle>, StoreError> {
        let agent = self.agent(&task.agent).await?;
        let service_instance = self.service_instance(&task.service_instance).await?;
        Ok(StartObstacle::find((agent.as_ref(), service_instance.as_ref()), &task.window, now))
    }
}

impl Store {
    /// The stopped tasks whose scheduled start comes next, with when it comes.
    pub async fn scheduled_starts(&self, most: i64) -> Result<Vec<(TaskId, DateTime<Utc>)>, StoreError> {
        // The state stands in the text, so that the plan can always use the index on just these rows.
        let query = diesel::sql_query(
            "SELECT task_id, start_at FROM tasks WHERE start_armed AND state IN ('STOPPED', 'START_FAILED') AND deleted_at IS NULL
             ORDER BY start_at LIMIT $1",
        );
        let query = query.bind::<BigInt, _>(most);
        let rows: Vec<ScheduledStart> = query.load(&mut self.connection().await?).await?;
        Ok(rows.into_iter().map(|row| (TaskId(row.task_id), row.start_at)).collect())
    }

    /// Tasks from the newest to the oldest.
    pub async fn list_tasks(&self, filter: &TaskFilter) -> Result<Vec<Task>, StoreError> {
        let mut query = tasks::table
            .filter(tasks::deleted_at.is_null())
            .order(tasks::task_no.desc())
            .limit(filter.most)
            .select(Row::as_select())
            .into_boxed();
        if let Some(state) = filter.state {
            query = query.filter(tasks::state.eq(state.as_str()));
        }
        if let Some(name) = &filter.name {
            let escaped = name.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
            query = query.filter(tasks::name.ilike(format!("%{escaped}%")));
        }
        if let Some(before) = filter.before {
            query = query.filter(tasks::task_no.lt(before.0));
        }
        let rows = query.load(&mut self.connection().await?).await?;
        rows.into_iter().map(Task::try_from).collect()
    }

    /// Everything that the owner of a service instance dials by.
    pub async fn work(&self, id: &ServiceInstanceId) -> Result<Option<Work>, StoreError> {
        let mut connection = self.connection().await?;
        let Some(service_instance) = service_instances::find(&mut connection, id).await? else {
            return Ok(None);
        };
        let trunk_load = service_instances::load_of(&mut connection, &service_instance.trunk, None).await?;
        let rows: Vec<Row> = tasks::table
            .filter(tasks::service_instance_id.eq(&id.0))
            .filter(tasks::state.eq(TaskState::Running.as_str()))
            .filter(tasks::deleted_at.is_null())
            .order(tasks::task_no)
            .select(Row::as_select())
            .load(&mut connection)
            .await?;
        let agent_ids: Vec<String> = rows.iter().map(|row| row.agent_id.clone()).collect();
        let agents = find_all(&mut connection, &agent_ids).await?;
        let task_nos: Vec<i64> = rows.iter().map(|row| row.task_no).collect();
        let cancelled = cancelled_so_far(&mut connection, &task_nos).await?;
        let agents: BTreeMap<_, _> = agents.into_iter().map(|(id, agent)| (id, Arc::new(agent))).collect();
        let mut running = Vec::with_capacity(rows.len());
        for row in rows {
            let task = Task::try_from(row)?;
            let agent = agents.get(&task.settings.agent).cloned();
            let agent = agent.ok_or_else(|| StoreError::Unreadable(format!("agent {}", task.settings.agent)))?;
            let cancelled = cancelled.get(&task.no).copied().unwrap_or(0);
            running.push(RunningTask { no: task.no, settings: task.settings, agent, cancelled });
        }
        Ok(Some(Work { service_instance, trunk_load, tasks: running }))
    }
}
