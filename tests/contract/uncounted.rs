//! Failures that are not the callee's: tried again, not counted, until there were too many in a row.

use serde_json::json;

use crate::harness::orders::{number, rows};
use crate::harness::patience::LATER;
use crate::harness::plan::Plan;
use crate::harness::site::Site;

/// Our own cancellation makes a callee due at once, so its next attempt begins while the last is still being recorded.
#[tokio::test]
async fn a_callee_whose_call_was_cut_is_called_again_at_once_and_never_forgotten() {
    const CALLEES: usize = 60;
    let plan = Plan {
        ring_millis: [0, 5],
        talk_millis: [0, 5],
        force: vec![("1", "CANCEL,CANCEL,ANSWERED"), ("2", "CANCEL")],
        ..Plan::default()
    };
    let mut site = Site::start("uncounted", &plan).await;
    site.put_line(200, 500).await;
    let task = site.create("uncounted", 200).await;
    site.import(&task, &rows(0..CALLEES)).await;
    let completed = site.ledger.completed(&task, LATER).await;
    let counts = json!({"pending": 0, "calling": 0, "completed": CALLEES, "failed": 0});
    assert_eq!(completed.data()["counts"], counts);
    site.stop_and_compare(CALLEES).await;
    let told = |index: usize| -> Vec<(u64, String, bool, bool)> {
        let ended = site.ledger.about("call.ended", &task);
        let of_callee = ended.iter().filter(|event| event.text("calledNumber") == number(index));
        let mut told: Vec<_> = of_callee
            .map(|event| {
                let data = event.data();
                let is = |field: &str| data[field].as_bool().unwrap();
                (data["attempt"].as_u64().unwrap(), event.text("result").to_owned(), is("counted"), is("final"))
            })
            .collect();
        told.sort();
        told
    };
    let again = |attempt| (attempt, "CANCEL".to_owned(), false, false);
    assert_eq!(told(1), [again(1), again(2), (3, "ANSWERED".to_owned(), true, true)]);
    // `limits.uncounted_attempts`: the sixth in a row counts.
    assert_eq!(told(2), [again(1), again(2), again(3), again(4), again(5), (6, "CANCEL".to_owned(), true, true)]);
}
