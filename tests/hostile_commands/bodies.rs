//! Bodies that are too large, too deep, or cost more than they weigh.

use sha2::{Digest, Sha256};

use crate::harness::orders;
use crate::scene::Scene;
use crate::stranger::Message;

const MIB: usize = 1024 * 1024;
const KEPT: usize = 64 * 1024;

/// A daemon at rest takes a good fifth of that.
const MOST_MEMORY_KIB: u64 = 350 * 1_024;

fn hexadecimal(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As many are on their way at once as the daemon lets come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_a_hundred_mebibytes_are_cut_on_their_way_in() {
    let mut scene = Scene::set("huge").await;
    let before = scene.site.daemon.peak_memory_kib();
    let mut huge = orders::agent("greeter").to_string().into_bytes();
    huge.resize(100 * MIB, b' ');
    let mut sizes = vec![4 * MIB + 1; 16];
    sizes.extend([100 * MIB, 30 * MIB, 100 * MIB]);
    for size in &sizes {
        scene.stranger.publish(&Message::new("agent.put", &huge[..*size]));
    }
    for size in &sizes {
        let letter = scene.letter().await;
        assert_eq!(letter.reason, format!("the message has {size} bytes; at most 4194304 are allowed"));
        assert_eq!(letter.size, size.to_string());
        assert_eq!(letter.sha256, hexadecimal(&huge[..*size]));
        assert_eq!(letter.body, huge[..KEPT]);
    }
    scene.serve().await;
    let after = scene.site.daemon.peak_memory_kib();
    println!("VmHWM {before} -> {after} KiB");
    // Less than a single one of them would take.
    assert!(after < before + 64 * 1_024, "{before} -> {after} KiB");
    scene.end(0).await;
}

/// Small objects take a hundred times their bytes when they are read; and sixteen such commands may wait at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_many_small_things_is_not_read_to_its_end() {
    let mut scene = Scene::set("many-values").await;
    let before = scene.site.daemon.peak_memory_kib();
    let list = |item: &str| {
        let many = (4 * MIB - 100) / (item.len() + 1);
        format!(r#"{{"taskName":"t","callees":[{}null]}}"#, format!("{item},").repeat(many))
    };
    let (dead, rejected) = ([list("0"), list("{}"), list(r#"{"":0}"#)], [list("[]"), list(r#""""#)]);
    for bomb in dead.iter().chain(&rejected).chain([&dead[2]; 11]) {
        scene.stranger.publish(&scene.message("callees.import", bomb.as_bytes()));
    }
    let (dead, rejected) = (dead.len() + 11, rejected.len());
    for _ in 0..dead {
        let letter = scene.letter().await;
        assert!(letter.reason.contains("it has more values than any command; send less at once"), "{}", letter.reason);
    }
    scene.serve().await;
    let after = scene.site.daemon.peak_memory_kib();
    println!("VmHWM {before} -> {after} KiB");
    assert!(after < MOST_MEMORY_KIB, "{after} KiB");
    scene.end(rejected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_json_as_it_should_be_is_a_dead_letter_with_a_reason() {
    let mut scene = Scene::set("no-json").await;
    let agent = |more: &str| orders::agent("greeter").to_string().replacen('{', &format!("{{{more},"), 1);
    let key = "k".repeat(MIB);
    let bodies: Vec<(Vec<u8>, &str)> = vec![
        (vec![b'['; 100_000], "recursion limit"),
        (agent(&format!(r#""name":{}"#, "[".repeat(100_000))).into(), "recursion limit"),
        (agent(&format!("\"name\":{}1", r#"{"a":"#.repeat(100_000))).into(), "recursion limit"),
        (agent(r#""published":1e400"#).into(), "number out of range"),
        (agent(r#""name":"\ud800""#).into(), "hex escape"),
        (agent(r#""name":"\udc00x""#).into(), "surrogate"),
        (agent(r#""name":"Other""#).into(), r#"the key "name" is there twice; give it once"#),
        (agent(&format!(r#""{key}":1,"{key}":2"#)).into(), "is there twice"),
        (agent("\"name\":\"\r\n\"").into(), "control character"),
        (b"\xef\xbb\xbf{}".to_vec(), "expected value"),
        ("{}".encode_utf16().flat_map(u16::to_le_bytes).collect(), "key must be a string"),
        (vec![0; 1_000], "expected value"),
        (b"{\"agentId\":\"\xff\"}".to_vec(), "unicode"),
        (Vec::new(), "EOF"),
    ];
    for (index, (body, reason)) in bodies.into_iter().enumerate() {
        let correlation_id = index.to_string();
        let message = scene.message("agent.put", body).with(crate::stranger::CORRELATION_ID, &correlation_id);
        let reply = scene.ask(&message, &correlation_id).await;
        reply.assert_code("UNREADABLE");
        let told = reply.json["errors"][0]["message"].as_str().unwrap();
        assert!(told.contains(reason), "{told}, not {reason}");
        let letter = scene.letter().await;
        assert_eq!((letter.reason.as_str(), letter.size), (told, message.body.len().to_string()));
        assert!(told.len() < 1_000, "{}", told.len());
    }
    scene.end(0).await;
}
