//! `callees.list` in each tab and by each filter: the first pages must be those that the crowd has.

use serde_json::{Value, json};

use crate::crowd::{Crowd, Stage};
use crate::harness::orders::with;
use crate::harness::site::Site;

const LIMIT: usize = 100;

/// A question, and whom it is after.
struct Question {
    body: Value,
    is_it: Box<dyn Fn(i64) -> bool>,
}

fn filters(crowd: Crowd) -> Vec<Question> {
    let ask = |body: Value, is_it: Box<dyn Fn(i64) -> bool>| Question { body, is_it };
    let (late, middle) = (crowd.callees * 3 / 4, crowd.callees / 2);
    let result = move |seq| crowd.stage(seq);
    let final_ = move |seq| matches!(crowd.stage(seq), Stage::Completed(_) | Stage::Cancelled);
    vec![
        ask(json!({}), Box::new(|_| true)),
        ask(json!({"batchId": Crowd::batch(3)}), Box::new(|seq| seq % 10 == 3)),
        ask(json!({"outId": format!("out-{late}")}), Box::new(move |seq| seq == late)),
        ask(json!({"calledNumber": Crowd::number(late)}), Box::new(move |seq| seq == late)),
        ask(json!({"result": "NO_ANSWER"}), Box::new(move |seq| result(seq) == Stage::Completed("NO_ANSWER"))),
        ask(json!({"result": "USER_BUSY"}), Box::new(move |seq| result(seq) == Stage::Completed("USER_BUSY"))),
        ask(json!({"endedFrom": Crowd::ended(late)}), Box::new(move |seq| final_(seq) && seq >= late)),
        ask(json!({"endedTo": Crowd::ended(50)}), Box::new(move |seq| final_(seq) && seq < 50)),
        ask(
            json!({"endedFrom": Crowd::ended(middle), "endedTo": Crowd::ended(middle + 30), "batchId": Crowd::batch(1)}),
            Box::new(move |seq| final_(seq) && (middle..middle + 30).contains(&seq) && seq % 10 == 1),
        ),
    ]
}

fn is_in(tab: &str, stage: Stage) -> bool {
    match stage {
        Stage::Fresh | Stage::Waiting => tab == "PENDING",
        Stage::Completed(_) => tab == "COMPLETED",
        Stage::Cancelled => tab == "FAILED",
    }
}

fn places(page: &Value) -> Vec<i64> {
    let items = page["items"].as_array().unwrap_or_else(|| panic!("{page}"));
    items.iter().map(|item| item["outId"].as_str().unwrap()["out-".len()..].parse().unwrap()).collect()
}

/// Asks for the first two pages of everything.
pub async fn look_through(site: &Site, task: &str, crowd: Crowd) {
    for tab in ["PENDING", "COMPLETED", "FAILED"] {
        for Question { body, is_it } in filters(crowd) {
            let body = with(with(with(body, "taskId", json!(task)), "tab", json!(tab)), "limit", json!(LIMIT));
            let began = std::time::Instant::now();
            let first = site.upstream.query("callees.list", &body).await;
            println!("{:?} for {body}", began.elapsed());
            let expected = (1..=crowd.callees).filter(|seq| is_in(tab, crowd.stage(*seq)) && is_it(*seq));
            let expected: Vec<i64> = expected.take(2 * LIMIT + 1).collect();
            let (one, two) = expected.split_at(expected.len().min(LIMIT));
            assert_eq!(places(&first), one, "{body}");
            assert_eq!(first.get("next").is_some(), !two.is_empty(), "{body}");
            if !two.is_empty() {
                let on = with(body.clone(), "after", first["next"].clone());
                let second = site.upstream.query("callees.list", &on).await;
                assert_eq!(places(&second), two[..two.len().min(LIMIT)], "{body}");
            }
        }
    }
}
