//! What the readers say to commands and queries: all problems, those of rows and of a merged update among them.

use calltaskd::bus::wire::v1::reading::Rules;
use calltaskd::bus::wire::v1::{commands, import, queries};
use calltaskd::domain::fields::Parsed;
use calltaskd::domain::ids::{TaskNo, TrunkName};
use calltaskd::domain::problem::{Problem, Problems};
use calltaskd::domain::service_instance::TrunkCapacity;
use calltaskd::domain::task::{Task, TaskState};
use serde_json::{Value, json};

use crate::document::document;

pub fn rules() -> Rules {
    Rules {
        default_region: None,
        default_time_zone: "UTC".parse().unwrap(),
        most_concurrency: 500,
        trunks: [(TrunkName::new("simulated"), TrunkCapacity::default())].into(),
        recordings_root: Some("/srv/recordings".into()),
    }
}

/// The commands and queries of the document, each with the component of its payload.
pub fn requests() -> Vec<(String, Value)> {
    let channels = document()["channels"].as_object().unwrap();
    let is_request = |binding: &str| binding.ends_with("/commands") || binding.ends_with("/queries");
    let requests = channels.iter().filter(|(_, channel)| is_request(channel["bindings"]["$ref"].as_str().unwrap()));
    let named = |(name, _): (&String, &Value)| (name.clone(), resolved(&message(name)["payload"]).clone());
    requests.map(named).collect()
}

pub fn message(name: &str) -> &'static Value {
    &document()["components"]["messages"][name]
}

/// The schema itself, behind any references.
pub fn resolved(schema: &'static Value) -> &'static Value {
    match schema["$ref"].as_str() {
        Some(reference) => resolved(document().pointer(&reference[1..]).unwrap()),
        None => schema,
    }
}

/// The payload of the first example of a message.
pub fn example(name: &str) -> &'static Value {
    &message(name)["examples"][0]["payload"]
}

/// Everything that is wrong with a command or query.
pub fn problems(name: &str, body: &Value) -> Vec<Problem> {
    if !commands::is_command(name) {
        return queries::read(name, body, &rules()).err().into_iter().flatten().collect();
    }
    match commands::read(name, body, &rules()) {
        Err(problems) => problems.into_iter().collect(),
        Ok(commands::Command::TaskCreate(draft)) => draft.complete().err().into_iter().flatten().collect(),
        Ok(commands::Command::TaskUpdate(update)) => {
            update.merged(&task(), &rules()).complete().err().into_iter().flatten().collect()
        }
        Ok(commands::Command::CalleesImport(_)) => rows(body),
        Ok(_) => Vec::new(),
    }
}

/// The first problem of each row; the receipt has them too, cut.
fn rows(body: &Value) -> Vec<Problem> {
    let mut problems = Problems::none();
    for (index, row) in body["callees"].as_array().unwrap().iter().enumerate() {
        let judged: Parsed<_> = import::read_row(row, None).map_err(Problems::from);
        if let Err(found) = judged {
            problems.append(found.under(&format!("callees[{index}]")));
        }
    }
    problems.into_iter().collect()
}

/// The task that is updated.
fn task() -> Task {
    let Ok(commands::Command::TaskCreate(draft)) = commands::read("task.create", example("task.create"), &rules())
    else {
        panic!("the example of task.create")
    };
    Task {
        no: TaskNo(1),
        settings: draft.complete().unwrap(),
        state: TaskState::Stopped,
        armed: false,
        reason: None,
        created_at: chrono::DateTime::UNIX_EPOCH,
        started_at: None,
        completed_at: None,
    }
}

/// Commands and queries beside the examples, so that together they have every field and every way to name something.
pub fn more_requests() -> Vec<(&'static str, Value)> {
    let (id, name) = ("7f9c24e8-3b1e-4d6a-9f0e-1c2d3e4f5a6b", "Monday reminders");
    let create = example("task.create");
    let mut update = create.clone();
    update.as_object_mut().unwrap().remove("agentId");
    let day = json!([{"start": "09:00", "end": "12:00"}]);
    let number = json!({"number": "+493023125000", "maxConcurrent": 3, "timeZone": "Europe/Berlin",
        "callingDays": ["MONDAY"], "callingTimes": day, "noCallTimes": day});
    vec![
        ("task.update", update),
        ("task.stop", json!({"taskName": name})),
        ("task.start", json!({"taskId": id})),
        (
            "service-instance.put",
            json!({"serviceInstanceId": "b", "name": "B", "trunk": "simulated",
            "maxConcurrent": 0, "maxCps": 1, "callerNumbers": [number]}),
        ),
        (
            "callees.import",
            json!({"taskName": name, "allowDuplicateNumbers": true,
            "callees": [{"calledNumber": "+4915123450001", "outId": "1", "variables": {"a": ""}}]}),
        ),
        ("callees.cancel", json!({"taskId": id, "calleeIds": [id]})),
        ("callees.cancel", json!({"taskId": id, "calledNumbers": ["+4915123450001"]})),
        ("callees.cancel", json!({"taskId": id, "batchId": "2026-11-23"})),
        ("call.report", json!({"callId": id, "recording": {"url": "https://a.example/1.wav", "seconds": 0}})),
        ("export.create", json!({"exportId": id, "taskName": name, "name": "n", "format": "CSV"})),
        ("task.list", json!({"after": "t2f"})),
        ("agent.list", json!({"after": "ia"})),
        (
            "callees.list",
            json!({"taskId": id, "tab": "FAILED", "batchId": "b", "outId": "o", "after": "c1",
            "calledNumber": "+4915123450001", "endedFrom": "2026-11-23T09:00:00+01:00",
            "endedTo": "2026-11-23T09:00:00Z"}),
        ),
        ("call.get", json!({"taskId": id, "outId": "patient-17"})),
        ("call.get", json!({"taskName": name, "outId": "patient-17"})),
        ("export.list", json!({"taskName": name, "limit": 10, "after": "e7"})),
        ("export.list", json!({})),
    ]
}
