//! Agents and service instances: put, read back, changed by a file, rejected.

use std::fs;

use serde_json::json;

use super::harness::plan::Plan;
use super::harness::site::{Site, folder};
use super::said::{done, json, say, say_with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_and_service_instances_are_put_and_read_back() {
    let site = Site::start("records", &Plan::default()).await;
    agents(&site);
    service_instances(&site);
    done(&site, &["check"]).has(&["settings are fine"]);
    assert_eq!(json(&site, &["check"]).ends(0).json(), json!({"status": "OK"}));
    done(&site, &["migrate"]).has(&["up to date"]);
    assert_eq!(json(&site, &["migrate"]).ends(0).json(), json!({"status": "OK", "applied": []}));
}

fn agents(site: &Site) {
    done(site, &["agent", "list"]).has(&["no agents"]);
    let put = ["agent", "put", "--id", "reminder", "--name", "Reminder", "--sip-uri", "sip:a@voice.example"];
    let more = ["--sip-header", "X-Language: de", "--variable", "firstName:required", "--variable", "time"];
    let tags = ["--output-tag", "outcome=YES,NO", "--output-tag", "note"];
    done(site, &[&put[..], &more, &tags].concat()).has(&["agent reminder is known"]);
    let get = ["agent", "get", "reminder"];
    done(site, &get).has(&["agentId ", "X-Language", "firstName:required, time", "outcome=YES,NO; note"]);
    let got = json(site, &get).ends(0);
    let expected = json!({"agentId": "reminder", "name": "Reminder", "published": true, "sipUri": "sip:a@voice.example",
        "sipHeaders": {"X-Language": "de"}, "outputTags": [{"name": "outcome", "values": ["YES", "NO"]}, {"name": "note"}],
        "variables": [{"key": "firstName", "required": true}, {"key": "time", "required": false}]});
    assert_eq!(got.json()["agent"], expected);
    // What was read is put again, but for one thing.
    let change = ["agent", "put", "--file", "-", "--published", "false", "--json"];
    assert_eq!(say_with(site, &got.out, &change).ends(0).json(), json!({"status": "ACCEPTED", "agentId": "reminder"}));
    let changed = json(site, &["agent", "list"]).ends(0).lines();
    assert_eq!((changed.len(), &changed[0]["published"]), (1, &json!(false)));
    assert_eq!(changed[0]["outputTags"], expected["outputTags"]);
    done(site, &["agent", "list"]).has(&["AGENT ID", "reminder  Reminder  false"]);
    say(site, &["agent", "get", "nobody"]).ends(1).complains(&["NOT_FOUND"]);
    assert_eq!(json(site, &["agent", "get", "nobody"]).ends(1).json(), json!({"status": "NOT_FOUND"}));
    let wrong = ["agent", "put", "--id", "", "--name", "N", "--sip-uri", "no uri"];
    say(site, &wrong).ends(1).complains(&["agentId: ", "sipUri: INVALID_VALUE: "]);
    let rejected = json(site, &wrong).ends(1).complains(&["sipUri: "]);
    assert_eq!(rejected.json()["errors"].as_array().unwrap().len(), 2);
    say(site, &["agent", "put", "--id", "x"]).ends(2).complains(&["--sip-uri"]);
    say(site, &[&put[..], &["--sip-header", "X"]].concat()).ends(2).complains(&["NAME: VALUE"]);
}

fn service_instances(site: &Site) {
    let files = folder("records-files");
    done(site, &["service-instance", "list"]).has(&["no service instances"]);
    let put = ["service-instance", "put", "--id", "berlin", "--name", "Berlin", "--trunk", "simulated"];
    let put = [&put[..], &["--max-concurrent", "50", "--max-cps", "20"]].concat();
    let number = "+493023125000:5 time-zone=Europe/Berlin days=MONDAY-TUESDAY hours=09:00-12:00,14:00-18:00 \
        no-call=10:00-10:15";
    let given = [&put[..], &["--number", number, "--number", "+493023125001:7"]].concat();
    done(site, &given).has(&["service instance berlin is known, with 2 caller numbers"]);
    let get = ["service-instance", "get", "berlin"];
    done(site, &get).has(&["CALLER NUMBER", "Europe/Berlin", "09:00-12:00, 14:00-18:00", "10:00-10:15"]);
    let got = json(site, &get).ends(0);
    let first = json!({"number": "+493023125000", "maxConcurrent": 5, "timeZone": "Europe/Berlin",
        "callingDays": ["MONDAY", "TUESDAY"], "noCallTimes": [{"start": "10:00", "end": "10:15"}],
        "callingTimes": [{"start": "09:00", "end": "12:00"}, {"start": "14:00", "end": "18:00"}]});
    let second = json!({"number": "+493023125001", "maxConcurrent": 7});
    assert_eq!(got.json()["serviceInstance"]["callerNumbers"], json!([first, second]));
    // Fifty of them.
    let file = files.join("numbers");
    let lines: Vec<_> = (0..50).map(|n| format!("+4930231251{n:02}:{} no-call=20:00-24:00\n", n + 1)).collect();
    fs::write(&file, format!("# Berlin\n\n{}", lines.concat())).unwrap();
    let many = [&put[..], &["--numbers", file.to_str().unwrap(), "--json"]].concat();
    assert_eq!(say(site, &many).ends(0).json()["serviceInstanceId"], "berlin");
    let listed = json(site, &["service-instance", "list"]).ends(0).lines();
    assert_eq!(listed[0]["callerNumbers"].as_array().unwrap().len(), 50);
    assert_eq!(listed[0]["callerNumbers"][49]["maxConcurrent"], 50);
    done(site, &["service-instance", "list"]).has(&["SERVICE INSTANCE ID", "berlin", "50"]);
    // What was read is put again, but for one thing.
    say_with(site, &got.out, &["service-instance", "put", "--file", "-", "--max-cps", "3"]).ends(0);
    let changed = json(site, &get).json();
    assert_eq!(changed["serviceInstance"]["maxCps"], 3);
    assert_eq!(changed["serviceInstance"]["callerNumbers"], json!([first, second]));
    wrong_service_instances(site, &put);
}

fn wrong_service_instances(site: &Site, put: &[&str]) {
    let wrong = [put, &["--number", "12", "--number", "+493023125001 hours=12:00-09:00"]].concat();
    let fields = ["callerNumbers[0].number: NUMBER_INVALID: ", "callerNumbers[1].callingTimes[0]"];
    say(site, &wrong).ends(1).complains(&fields);
    assert_eq!(json(site, &wrong).ends(1).complains(&fields).json()["status"], "REJECTED");
    say(site, &[put, &["--number", "+493023125001 hour=9"]].concat()).ends(2).complains(&["no-call=START-END"]);
    say_with(site, "+493023125001\n+493023125002:x\n", &[put, &["--numbers", "-"]].concat())
        .ends(1)
        .complains(&["line 2: "]);
    say_with(site, "[]", &["service-instance", "put", "--file", "-"]).ends(1).complains(&["no JSON object"]);
    let help = done(site, &["service-instance", "put", "--help"]).has(&["--numbers FILE", "no-call=10:00-10:15"]);
    help.has(&["What is not given is not there afterwards"]);
    say(site, &["service-instance", "get", "paris"]).ends(1).complains(&["NOT_FOUND"]);
}
