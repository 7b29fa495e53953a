//! `agent.put`: what it answers, and that it names every problem at once.

use serde_json::json;

use crate::harness::orders;
use crate::harness::plan::Plan;
use crate::harness::site::Site;

#[tokio::test]
async fn an_agent_is_accepted_with_everything_it_may_have() {
    let site = Site::start("agent-whole", &Plan::default()).await;
    let least = site.upstream.accept("agent.put", &orders::agent("least")).await;
    assert_eq!(least, json!({"status": "ACCEPTED", "agentId": "least"}));
    let whole = json!({
        "agentId": "w".repeat(64), "name": "Whole", "published": false, "sipUri": "sip:whole@voice.example",
        "sipHeaders": {"X-Campaign": "autumn"},
        "variables": [{"key": "name", "required": true}, {"key": "note", "required": false}],
        "outputTags": [{"name": "mood", "values": ["good", "bad"]}, {"name": "topic"}],
    });
    let reply = site.upstream.accept("agent.put", &whole).await;
    assert_eq!(reply["agentId"], "w".repeat(64));
}

#[tokio::test]
async fn every_problem_of_an_agent_is_named_at_once() {
    let site = Site::start("agent-problems", &Plan::default()).await;
    let body = json!({
        "agentId": 7, "published": "yes", "odd": true,
        "variables": [{"key": "name", "required": true}, {"key": "note"}],
        "sipHeaders": {"X-Number": 5},
    });
    let errors = [
        "WRONG_TYPE agentId",
        "REQUIRED name",
        "WRONG_TYPE published",
        "REQUIRED sipUri",
        "REQUIRED variables[1].required",
        "WRONG_TYPE sipHeaders.X-Number",
        "UNKNOWN_FIELD odd",
    ];
    site.upstream.reject("agent.put", &body, &errors).await;
    let long = orders::agent(&"a".repeat(65));
    site.upstream.reject("agent.put", &long, &["TOO_LONG agentId"]).await;
    let no_uri = orders::with(orders::agent("a"), "sipUri", json!("voice.example"));
    site.upstream.reject("agent.put", &no_uri, &["INVALID_VALUE sipUri"]).await;
    // What could not be called, each callee would have to find out.
    let nowhere =
        ["sip:a@h:99999", "sip:a@h;lr;transport=sctp", "sip:a@h?Route=x", "sip:a@:5060", "sip:a@[2001:db8::1]:0"];
    let no_host = ["sip:a@[", "sip:a@..", "sip:a@1.2.3.999", "sip:a@b,sip:c@d", "sip:a@b#x"];
    for uri in nowhere.into_iter().chain(no_host) {
        let agent = orders::with(orders::agent("a"), "sipUri", json!(uri));
        site.upstream.reject("agent.put", &agent, &["INVALID_VALUE sipUri"]).await;
    }
    for uri in ["sip:a@[2001:db8::1]", "sips:a@h:5061;transport=tcp", "sip:h;lr", "sip:a%20b@h"] {
        site.upstream.accept("agent.put", &orders::with(orders::agent("a"), "sipUri", json!(uri))).await;
    }
    for name in ["Call-ID", "v", "X-Calltaskd-Call-Id"] {
        let agent = orders::with(orders::agent("a"), "sipHeaders", json!({name: "x"}));
        site.upstream.reject("agent.put", &agent, &[&format!("INVALID_VALUE sipHeaders.{name}")]).await;
    }
    let twice = orders::with(orders::agent("a"), "sipHeaders", json!({"X-A": "1", "x-a": "2"}));
    site.upstream.reject("agent.put", &twice, &["INVALID_VALUE sipHeaders.x-a"]).await;
}

#[tokio::test]
async fn ids_names_and_keys_are_single_lines() {
    let site = Site::start("single-lines", &Plan::default()).await;
    for odd in ["a\nb", "a\u{9b}b", "a\u{2028}b", "a\u{2029}b", "a\u{202e}b", "a\u{2066}b"] {
        let mut body = orders::with(orders::agent(odd), "name", json!(odd));
        body["variables"] = json!([{"key": odd, "required": false}]);
        body["sipHeaders"] = json!({"X-A": odd});
        body[odd] = json!(1);
        let errors = [
            "INVALID_VALUE agentId",
            "INVALID_VALUE name",
            "INVALID_VALUE variables[0].key",
            "INVALID_VALUE sipHeaders.X-A",
            "UNKNOWN_FIELD a\u{fffd}b",
        ];
        site.upstream.reject("agent.put", &body, &errors).await;
    }
    site.upstream.accept("agent.put", &orders::with(orders::agent("שלום"), "name", json!("Zoë 👩\u{200d}👧"))).await;
}
