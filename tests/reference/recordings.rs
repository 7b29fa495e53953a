//! "Download recording".

use std::fs;

use serde_json::json;

use crate::harness::orders::rows;
use crate::harness::patience::SOON;
use crate::harness::plan::Plan;
use crate::harness::site::{Site, folder};
use crate::operator::run;

#[tokio::test]
async fn s45_the_recording_of_a_completed_call_can_be_downloaded() {
    let (root, files) = (folder("recordings-root"), folder("recordings-files"));
    fs::write(root.join("x.wav"), b"RIFF, or so").unwrap();
    let plan = Plan { more: format!("[recordings]\nroot = {root:?}\n"), ..Plan::default() };
    let site = Site::start("recordings", &plan).await;
    site.put_line(5, 20).await;
    let task = site.create("recorded", 5).await;
    site.import(&task, &rows(1..2)).await;
    site.ledger.completed(&task, SOON).await;
    let call = site.ledger.about("call.ended", &task)[0].text("callId").to_owned();
    let output = files.join("call.wav");
    let words = ["recording", "download", &call, "--output", output.to_str().unwrap()];
    let before = run(&site, &words);
    assert!(before.code == Some(1) && !output.exists(), "nothing is reported yet: {before:?}");
    let report = json!({"callId": call, "recording": {"path": "x.wav", "seconds": 1}});
    site.upstream.accept("call.report", &report).await;
    let downloaded = run(&site, &words);
    assert_eq!(downloaded.code, Some(0), "{downloaded:?}");
    assert_eq!(fs::read(&output).unwrap(), b"RIFF, or so");
}
