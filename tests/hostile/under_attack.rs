//! A hundred calls, and somebody who wishes them ill.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::attacker::{Attacker, WAYS, Way};
use crate::calls::Calls;
use crate::harness::patience::within;
use crate::mutation::{Spoilt, spoil, spoil_live};
use crate::torture;

/// As many messages go between two questions.
const BATCH: usize = 100;

/// More than that would be a leak: what a stranger's message costs is gone after half a minute.
const MOST_MEMORY_KIB: u64 = 400 * 1_024;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}

/// The next of them: half are of calls that are up.
fn draw(random: &mut StdRng, live: &[Vec<u8>], known: &[torture::Message]) -> Spoilt {
    if random.r#gen() {
        let whole = live.choose(random).unwrap();
        return spoil_live(random, whole);
    }
    let whole = known.choose(random).unwrap();
    spoil(random, &whole.bytes, 5)
}

async fn torment(attacker: &mut Attacker, known: &[torture::Message]) {
    for way in WAYS {
        for message in known {
            attacker.send(way, &Spoilt { bytes: message.bytes.clone(), is_torn: true }).await;
        }
        attacker.ask(way).await;
    }
}

/// What only a stream can bring.
async fn abuse_streams(attacker: &mut Attacker, known: &[torture::Message]) {
    for way in [Way::Tcp, Way::Tls] {
        let all: Vec<u8> = known.iter().flat_map(|message| message.bytes.clone()).collect();
        attacker.send(way, &Spoilt { bytes: all, is_torn: true }).await;
        let mut slow = attacker.connect(way).await.unwrap();
        for byte in b"OPTIONS sip:a@h SIP/2.0\r\nl: 18446744073709551615\r\n\r\n" {
            if slow.write_all(&[*byte]).await.is_err() || slow.flush().await.is_err() {
                break;
            }
        }
        attacker.ask(way).await;
    }
}

/// Messages that never come to their end: each connection has to be closed by the daemon.
async fn dawdle(attacker: &Attacker) -> Vec<tokio::task::JoinHandle<()>> {
    let mut dawdlers = Vec::new();
    for (way, begun) in [Way::Tcp, Way::Tls]
        .into_iter()
        .flat_map(|way| ["", "INVITE sip:a@h SIP/2.0\r\nl: 60000\r\n\r\n"].map(|begun| (way, begun)))
    {
        let mut idle = attacker.connect(way).await.unwrap();
        idle.write_all(begun.as_bytes()).await.unwrap();
        dawdlers.push(tokio::spawn(async move {
            let mut rest = Vec::new();
            // An end of either kind will do.
            let closed = async { drop(idle.read_to_end(&mut rest).await) };
            within("a message that never ends to be given up", Duration::from_secs(15), closed).await;
        }));
    }
    dawdlers
}

/// The same question again and again, from somebody who reads no answer.
async fn shout(attacker: &mut Attacker) {
    let question = "OPTIONS sip:a@h SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.2;branch=z9hG4bKshout\r\nFrom: <sip:a@h>;tag=1\r\n\
                    To: <sip:b@h>\r\nCall-ID: shout\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    let mut deaf = attacker.connect(Way::Tcp).await.unwrap();
    let many = question.repeat(50_000);
    let shouting = tokio::spawn(async move {
        drop(deaf.write_all(many.as_bytes()).await);
        deaf
    });
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        for way in WAYS {
            attacker.ask(way).await;
        }
    }
    shouting.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_whatever_strangers_send() {
    let seed = number("CALLTASKD_TEST_SEED", 1);
    let mutations = number("CALLTASKD_TEST_MUTATIONS", 2_000);
    println!("seed {seed}, {mutations} mutations over each of UDP, TCP and TLS (CALLTASKD_TEST_SEED, …_MUTATIONS)");
    let talk = Duration::from_secs(number("CALLTASKD_TEST_TALK_SECONDS", 25 + mutations / 250));
    let began = Instant::now();
    let mut calls = Calls::talking("hostile", talk).await;
    let (live, known) = (calls.messages(), torture::messages());
    let before = calls.site.daemon.peak_memory_kib();
    let mut attacker = Attacker::new(calls.ports, &calls.authority).await;
    let dawdlers = dawdle(&attacker).await;
    torment(&mut attacker, &known).await;
    abuse_streams(&mut attacker, &known).await;
    println!("{:?}: torture and streams are over", began.elapsed());
    let (mut random, mut slowest) = (StdRng::seed_from_u64(seed), Duration::ZERO);
    for index in 0..usize::try_from(mutations).unwrap() {
        let message = draw(&mut random, &live, &known);
        for way in WAYS {
            attacker.send(way, &message).await;
            if index % BATCH == BATCH - 1 {
                slowest = slowest.max(attacker.ask(way).await);
            }
        }
    }
    println!("{:?}: mutations are over", began.elapsed());
    shout(&mut attacker).await;
    for dawdler in dawdlers {
        dawdler.await.unwrap();
    }
    let after = calls.site.daemon.peak_memory_kib();
    let refused = attacker.refused.load(Ordering::Relaxed);
    println!(
        "{:?}: over; {} messages of live calls known; slowest answer {slowest:?}; {refused} were 400 over streams; VmHWM {before} -> {after} KiB",
        began.elapsed(),
        live.len()
    );
    let ended = calls.ended();
    assert!(ended.is_empty(), "calls ended before their time, or the attack took longer than they last: {ended:#?}");
    assert!(after < MOST_MEMORY_KIB, "{after} KiB");
    let log = std::fs::read_to_string(calls.site.settings().with_extension("log")).unwrap();
    assert!(!log.contains("panicked"), "the daemon panicked");
    calls.finish().await;
}
