//! The fence of the claim, at the statement itself: what narrows the dialling and a claim that meet at the same
//! instant. From outside the instant cannot be chosen, so these tests call the store.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends at once")]

mod harness;

use std::collections::BTreeMap;
use std::time::Duration;

use calltaskd::clock::{Clock, SystemClock};
use calltaskd::domain::agent::Agent;
use calltaskd::domain::callee::NewCallee;
use calltaskd::domain::calling_window::{CallingDays, CallingWindow};
use calltaskd::domain::ids::{AgentId, CallId, CalleeKey, Holder, ServiceInstanceId, TaskId, TaskNo, TrunkName};
use calltaskd::domain::phone_number::PhoneNumber;
use calltaskd::domain::redial::Tally;
use calltaskd::domain::service_instance::{ServiceInstance, Share, TrunkCapacities};
use calltaskd::domain::task::{NewTask, StartMode};
use calltaskd::settings::Settings;
use calltaskd::store::Store;
use calltaskd::store::attempts::NewAttempt;
use calltaskd::store::daemons::SignOfLife;
use calltaskd::store::leases::Fence;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use harness::servers::Servers;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(12);

/// A store with one task of three callees, and a lease on its service instance.
struct Scene {
    store: Store,
    fence: Fence,
    task: TaskNo,
    servers: Servers,
}

impl Scene {
    async fn new() -> Self {
        let servers = Servers::fresh().await;
        let store = open(&servers).await;
        store.migrate().await.unwrap();
        let task = fill(&store).await;
        let fence = lease(&store).await;
        Self { store, fence, task, servers }
    }

    fn attempt(&self, seq: i64) -> NewAttempt {
        let key = CalleeKey { task: self.task, seq };
        NewAttempt {
            key,
            attempt: 1,
            tally: Tally::default(),
            caller_number: "+493055500001".into(),
            call: CallId(Uuid::new_v4()),
        }
    }

    /// How many of these attempts a claim opens.
    async fn claim(&self, fence: &Fence, seqs: &[i64]) -> usize {
        let wanted: Vec<_> = seqs.iter().map(|seq| self.attempt(*seq)).collect();
        self.store.claim_fresh(fence, &wanted).await.unwrap().len()
    }
}

async fn open(servers: &Servers) -> Store {
    let mut settings = Settings::default();
    settings.database.url = servers.place.database_url.clone().into();
    Store::new(&settings.database, Holder(Uuid::new_v4())).0
}

fn instance() -> ServiceInstanceId {
    ServiceInstanceId("line".into())
}

async fn lease(store: &Store) -> Fence {
    let (trunks, capacities) = ([TrunkName::new("simulated")], TrunkCapacities::new());
    store.beat(SignOfLife { node: "test", trunks: &trunks, capacities: &capacities }).await.unwrap();
    let held = store.acquire_leases(&[TrunkName::new("simulated")], LEASE).await.unwrap();
    store.fence(&instance(), held[0].epoch).await.unwrap().unwrap()
}

async fn fill(store: &Store) -> TaskNo {
    let mut transaction = store.begin().await.unwrap();
    let agent = Agent {
        id: AgentId("agent".into()),
        name: "Agent".into(),
        published: true,
        sip_uri: "sip:agent@localhost".into(),
        sip_headers: BTreeMap::new(),
        variables: vec![],
        output_tags: vec![],
    };
    transaction.put_agent(&agent).await.unwrap();
    let line = ServiceInstance {
        id: instance(),
        name: "Line".into(),
        trunk: TrunkName::new("simulated"),
        share: Share { max_concurrent: 10, max_cps: 10 },
        caller_numbers: vec![],
    };
    transaction.put_service_instance(&line).await.unwrap();
    let window = CallingWindow { time_zone: "UTC".parse().unwrap(), days: CallingDays::ALL, times: vec![] };
    let task = NewTask {
        id: TaskId(Uuid::new_v4()),
        name: "task".into(),
        agent: agent.id,
        service_instance: line.id,
        concurrency: 10,
        start: StartMode::Immediate,
        window,
        redial: None,
        ring_timeout_seconds: 45,
        max_talk_seconds: 60,
    };
    let no = transaction.create_task(&task, SystemClock.now()).await.unwrap();
    transaction.lock_counter(no).await.unwrap();
    let callee = |last: u32| NewCallee {
        called_number: PhoneNumber::parse(&format!("+49301234560{last}"), None).unwrap(),
        out_id: None,
        variables: BTreeMap::new(),
    };
    transaction.append_callees(no, None, &[callee(1), callee(2), callee(3)]).await.unwrap();
    transaction.commit().await.unwrap();
    no
}

/// Waits until a statement of this database waits for a lock.
async fn until_somebody_waits(servers: &Servers) {
    let mut connection = AsyncPgConnection::establish(&servers.place.database_url).await.unwrap();
    for _ in 0..500 {
        let query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        if diesel::sql_query(query).execute(&mut connection).await.unwrap() > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the claim did not wait for the change that narrows the dialling");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_waited_for_a_narrowing_opens_nothing() {
    let scene = Scene::new().await;
    let mut narrowing = scene.store.begin().await.unwrap();
    assert!(narrowing.narrow(&instance()).await.unwrap());
    let claim = async {
        let opened = scene.claim(&scene.fence, &[1, 2, 3]).await;
        assert_eq!(opened, 0, "the claim was let through although the fence had moved");
    };
    let commit = async {
        until_somebody_waits(&scene.servers).await;
        narrowing.commit().await.unwrap();
    };
    tokio::join!(claim, commit);
    let moved = scene.store.fence(&instance(), scene.fence.epoch).await.unwrap().unwrap();
    assert_eq!(scene.claim(&moved, &[1, 2, 3]).await, 3, "with the fence as it is now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_waited_for_a_narrowing_that_was_undone_goes_through() {
    let scene = Scene::new().await;
    let mut narrowing = scene.store.begin().await.unwrap();
    narrowing.narrow(&instance()).await.unwrap();
    let undo = async {
        until_somebody_waits(&scene.servers).await;
        narrowing.roll_back().await;
    };
    let (opened, ()) = tokio::join!(scene.claim(&scene.fence, &[1]), undo);
    assert_eq!(opened, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_holder_of_the_lease_claims() {
    let scene = Scene::new().await;
    let stranger = Fence { holder: Holder(Uuid::new_v4()), ..scene.fence.clone() };
    let earlier = Fence { epoch: scene.fence.epoch - 1, ..scene.fence.clone() };
    assert_eq!(scene.claim(&stranger, &[1]).await, 0);
    assert_eq!(scene.claim(&earlier, &[1]).await, 0);

    // Handed over: the successor has another epoch, and the predecessor's fence is worth nothing.
    scene.store.release_leases(&[]).await.unwrap();
    assert_eq!(scene.claim(&scene.fence, &[1]).await, 0);
    let successor = lease(&open(&scene.servers).await).await;
    assert!(successor.epoch > scene.fence.epoch);
    assert_eq!(scene.claim(&scene.fence, &[1]).await, 0);
    assert_eq!(scene.claim(&successor, &[1]).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_lease_claims_nothing_and_can_be_taken() {
    let scene = Scene::new().await;
    scene.store.renew_leases(&[TrunkName::new("simulated")], Duration::ZERO).await.unwrap();
    assert_eq!(scene.claim(&scene.fence, &[1]).await, 0);
    let successor = lease(&open(&scene.servers).await).await;
    assert_eq!(scene.claim(&successor, &[1]).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callee_has_one_licence_at_a_time_and_a_returned_one_is_due_again() {
    let scene = Scene::new().await;
    assert_eq!(scene.claim(&scene.fence, &[1]).await, 1);
    let again = scene.store.claim_fresh(&scene.fence, &[scene.attempt(1), scene.attempt(2)]).await;
    assert!(again.is_err(), "a callee got two licences");
    let key = scene.attempt(1).key;
    assert_eq!(scene.store.read_ahead(scene.task, 0, 10).await.unwrap().len(), 2, "the open one is passed over");
    assert_eq!(scene.store.give_back(&[key], SystemClock.now()).await.unwrap(), 1);
    let redials = scene.store.redials(scene.task, 10).await.unwrap();
    assert_eq!((redials.len(), redials[0].attempt), (1, 1), "the same attempt, not the next");
    assert_eq!(scene.store.claim_waiting(&scene.fence, &[scene.attempt(1)]).await.unwrap().len(), 1);
    assert_eq!(scene.store.claim_waiting(&scene.fence, &[scene.attempt(1)]).await.unwrap().len(), 0);
}

/// What the janitor does with a deleted task, row by row; its own row stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rows_of_a_deleted_task_go_and_its_id_stays_taken() {
    let scene = Scene::new().await;
    let mut transaction = scene.store.begin().await.unwrap();
    transaction.delete_task(scene.task, SystemClock.now()).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(scene.store.deleted_partitions().await.unwrap(), Vec::<i64>::new(), "tasks may still come into it");
    assert_eq!(scene.store.tasks_to_purge().await.unwrap(), [scene.task]);
    let mut after = 0;
    while let Some(next) = scene.store.purge_slice(scene.task, after).await.unwrap() {
        after = next;
    }
    assert!(scene.store.read_ahead(scene.task, 0, 10).await.unwrap().is_empty());
    assert!(scene.store.tasks_to_purge().await.unwrap().is_empty());

    // A thousand tasks later its partition is over, and goes as a whole.
    let mut connection = AsyncPgConnection::establish(&scene.servers.place.database_url).await.unwrap();
    for statement in [
        "UPDATE tasks SET purged_at = NULL",
        "ALTER TABLE tasks ALTER task_no RESTART WITH 1500",
        "INSERT INTO tasks (task_id, name, state, agent_id, service_instance_id, concurrency, start_mode, calling_window,
             ring_timeout_seconds, max_talk_seconds, created_at)
         SELECT gen_random_uuid(), 'later', state, agent_id, service_instance_id, concurrency, start_mode, calling_window,
             ring_timeout_seconds, max_talk_seconds, created_at FROM tasks",
    ] {
        diesel::sql_query(statement).execute(&mut connection).await.unwrap();
    }
    assert_eq!(scene.store.deleted_partitions().await.unwrap(), [0]);
    assert!(scene.store.drop_partition(0).await.unwrap());
    assert!(scene.store.deleted_partitions().await.unwrap().is_empty());
    let left = diesel::sql_query("SELECT 1 FROM pg_class WHERE relname LIKE '%\\_0' AND relkind = 'r'");
    assert_eq!(left.execute(&mut connection).await.unwrap(), 0, "its tables are gone");
}
