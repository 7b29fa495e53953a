//! Each field of each command with what does not belong there: every reply names what is wrong, and nothing of it
//! reaches the store or the log as it is.

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};

use crate::harness::orders;
use crate::harness::upstream::Request;
use crate::scene::Scene;

/// Numbers as JSON can say them and no integer can.
const NUMBERS: [&str; 8] =
    ["1.5", "-1", "18446744073709551616", "-9223372036854775809", "1e300", "1E-400", "9007199254740993", "-0"];

/// Texts that are something else to a database, a log, a header or a path.
const TEXTS: [&str; 12] = [
    "",
    "\0",
    "a\0b",
    "a\r\nX-Evil: 1",
    "\u{1b}[2J",
    "\u{2028}\u{202e}\u{feff}",
    "{\"level\":\"ERROR\"}",
    "'; DROP TABLE tasks; --",
    "../../../etc/passwd",
    "\u{10ffff}",
    "99999999999999999999",
    "\\u0000",
];

fn values() -> Vec<String> {
    let texts = TEXTS.iter().map(|text| json!(text).to_string());
    let long = [json!("x".repeat(70_000)).to_string(), json!(vec!["x"; 6_000]).to_string()];
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let odd = ["null", "true", "[]", "{}", "[null]", r#"{"":""}"#, r#"{"\u0000":"\u0000"}"#, r#"["\u0000"]"#, &nested];
    NUMBERS.iter().chain(&odd).map(ToString::to_string).chain(texts).chain(long).collect()
}

/// Everything that a command may have in it.
fn commands(task: &str) -> Vec<(&'static str, Value)> {
    let hours = json!([{"start": "09:00", "end": "12:00"}]);
    let agent = json!({"agentId": "odd", "name": "Odd", "published": true, "sipUri": "sip:odd@voice.example",
        "sipHeaders": {"X-Tenant": "7"}, "variables": [{"key": "name", "required": false}],
        "outputTags": [{"name": "mood", "values": ["good"]}]});
    let line = json!({"serviceInstanceId": "odd", "name": "Odd", "trunk": "simulated", "maxConcurrent": 1, "maxCps": 1,
        "callerNumbers": [{"number": orders::CALLER, "maxConcurrent": 1, "timeZone": "UTC", "callingDays": ["MONDAY"],
            "callingTimes": hours, "noCallTimes": hours}]});
    let id = "7f9c24e8-3b1e-4d6a-9f0e-1c2d3e4f5a6b";
    let created = json!({"taskId": id, "name": "odd", "agentId": orders::AGENT,
        "serviceInstanceId": orders::LINE, "concurrency": 1, "startMode": "SCHEDULED", "startAt": "2099-01-01T00:00:00Z",
        "timeZone": "UTC", "callingDays": ["MONDAY"], "callingTimes": hours, "ringTimeoutSeconds": 30,
        "maxTalkSeconds": 60, "redial": {"reasons": ["NO_ANSWER"], "times": 1, "intervalMinutes": 1}});
    let updated = orders::with(orders::with(created.clone(), "agentId", Value::Null), "taskId", json!(task));
    let callee = json!({"calledNumber": orders::number(1), "outId": "o", "variables": {"name": "Ann"}});
    let report = json!({"callId": id, "majorIntent": "buy", "outputTags": {"mood": "good"}, "variables": {"a": "b"},
        "conversation": [{"role": "agent", "content": "hello", "at": "2026-01-01T00:00:00Z"}],
        "recording": {"url": "https://voice.example/a.wav", "seconds": 1}});
    vec![
        ("agent.put", agent),
        ("service-instance.put", line),
        ("task.create", created),
        ("task.update", updated),
        ("task.start", json!({"taskName": "nobody's"})),
        ("task.stop", json!({"taskId": id})),
        ("task.delete", json!({"taskId": id})),
        (
            "callees.import",
            json!({"taskId": task, "batchId": "b", "allowDuplicateNumbers": false, "callees": [callee]}),
        ),
        ("callees.cancel", json!({"taskId": task, "outIds": ["o"]})),
        ("callees.cancel", json!({"taskId": task, "calleeIds": [id]})),
        ("callees.cancel", json!({"taskId": task, "calledNumbers": [orders::number(1)]})),
        ("callees.cancel", json!({"taskId": task, "batchId": "b"})),
        ("call.report", report),
        ("export.create", json!({"exportId": id, "taskId": task, "name": "odd", "format": "CSV", "status": "ALL"})),
    ]
}

const QUERIES: [(&str, &str); 7] = [
    ("task.list", r#"{"state": "RUNNING", "name": "odd", "limit": 1, "after": "t1"}"#),
    ("agent.list", r#"{"limit": 1, "after": "ia"}"#),
    ("agent.get", r#"{"agentId": "odd"}"#),
    ("service-instance.get", r#"{"serviceInstanceId": "odd"}"#),
    ("call.get", r#"{"taskName": "odd", "outId": "o"}"#),
    ("export.list", r#"{"taskName": "odd", "limit": 1, "after": "e1"}"#),
    (
        "callees.list",
        r#"{"taskName": "odd", "tab": "PENDING", "batchId": "b", "outId": "o", "calledNumber": "+493012345678",
            "result": "ANSWERED", "endedFrom": "2026-01-01T00:00:00Z", "endedTo": "2026-01-01T00:00:00Z", "limit": 1, "after": "c1"}"#,
    ),
];

/// A text in the place of each value of the body, deep ones too, and one field more in each object.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, inner)| places(inner, &format!("{path}/{key}"), found));
            found.push(format!("{path}/stranger\r\n"));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| places(item, &format!("{path}/{at}"), found))
        }
        _ => {}
    }
}

/// The body as text: numbers that a JSON value cannot hold are written as they are.
fn spoilt(body: &Value, place: &str, value: &str) -> String {
    const HERE: &str = "@here@";
    let mut body = body.clone();
    let (parent, key) = place.rsplit_once('/').unwrap();
    match body.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = json!(HERE),
        object => object[key] = json!(HERE),
    }
    body.to_string().replace(&json!(HERE).to_string(), value)
}

fn requests(task: &str) -> Vec<Request> {
    let queries = QUERIES.iter().map(|(name, body)| (*name, serde_json::from_str(body).unwrap()));
    let wanted = commands(task).into_iter().map(|command| ("commands", command));
    let mut requests = Vec::new();
    for (exchange, (name, body)) in wanted.chain(queries.map(|query| ("queries", query))) {
        let mut found = Vec::new();
        places(&body, "", &mut found);
        let pairs = found[1..].iter().flat_map(|place| values().into_iter().map(move |value| (place, value)));
        // Each place gets a third of the values, another third than its neighbours.
        for (place, value) in pairs.step_by(3) {
            let request = Request::raw(name, spoilt(&body, place, &value));
            requests.push(Request { exchange, ..request });
        }
    }
    requests
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_field_with_what_does_not_belong_there() {
    let scene = Scene::set("fields").await;
    scene.site.put_mute_line().await;
    let task = scene.site.create("target", 1).await;
    let requests = requests(&task);
    println!("{} messages", requests.len());
    let upstream = &scene.site.upstream;
    let asked = requests.iter().map(|request| async move { (request, upstream.ask(request).await) });
    let mut replies = stream::iter(asked).buffered(32);
    let mut rejections = 0;
    while let Some((request, reply)) = replies.next().await {
        if reply.status() != "REJECTED" {
            continue;
        }
        rejections += usize::from(request.exchange == "commands");
        for error in reply.json["errors"].as_array().unwrap() {
            let sent = || String::from_utf8_lossy(&request.body[..request.body.len().min(300)]).into_owned();
            let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
            let is_state = text("code") == "WRONG_STATE";
            assert!(is_state || !text("field").is_empty(), "{} {}: {error}", request.routing_key, sent());
            assert!(
                !text("message").is_empty() && text("message").len() < 600,
                "{} {}: {error}",
                request.routing_key,
                sent()
            );
            let plain = format!("{}{}", text("field"), text("message"));
            assert!(!plain.contains(char::is_control), "{} {}: {error}", request.routing_key, sent());
        }
    }
    drop(replies);
    println!("{rejections} commands were rejected");
    scene.end(rejections).await;
}
