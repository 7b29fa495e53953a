//! Draws the faults from the seed and does them, each at a moment at which it hurts: with calls in the air.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::{Value, json};

use super::aftermath::Aftermath;
use super::book::{Book, now};
use super::carrier::{Mood, Moods};
use super::faults::{Fault, Order};
use super::fleet::{Clock, Condition, Fleet};
use super::outages::{Outage, Outages};
use super::plan::Scale;

/// Calls in the air that a fault has to find: of the daemon that it strikes, or of all.
pub const IN_THE_AIR: usize = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// How long a fault waits for so many calls before it comes all the same.
const LONGEST_WAIT: Duration = Duration::from_secs(40);

/// What it does them with, where it is not done to a daemon.
pub struct Means {
    pub outages: Outages,
    pub moods: Moods,
}

/// The source of the faults.
pub struct Nemesis {
    dice: StdRng,
    book: Book,
    outages: Outages,
    began: Instant,
    ends: Instant,
    order: Order,
    /// A server that is away, and what the ledger will say when it is back: other faults do not wait for it.
    away: Option<(Outage, Value)>,
    moods: Moods,
    /// Until when the carrier is not well, and what the ledger will say then.
    unwell: Option<(Instant, Value)>,
    done: BTreeMap<Fault, usize>,
}

impl Nemesis {
    pub fn new(folder: &Path, scale: &Scale, allowed: Vec<Fault>, means: Means) -> Self {
        let mut dice = scale.dice(3);
        let order = Order::new(&mut dice, scale, allowed);
        let (book, began) = (Book::open(folder, "faults.jsonl"), Instant::now());
        let (ends, away, unwell, done) = (began + scale.faults_for, None, None, BTreeMap::new());
        let Means { outages, moods } = means;
        Self { dice, book, outages, began, ends, order, away, moods, unwell, done }
    }

    /// Does its worst until its time is over and each kind has come, then lets everybody recover.
    pub async fn rage(mut self, fleet: &mut Fleet, aftermath: &Aftermath) {
        while Instant::now() < self.ends || self.order.is_incomplete() {
            let pause = Duration::from_millis(self.dice.gen_range(4_000..14_000));
            self.wait(fleet, Instant::now() + pause).await;
            aftermath.watch_the_warm_up(fleet, self.began.elapsed());
            let Some(fault) = self.order.next(&mut self.dice) else { continue };
            let victim = self.moment(fleet, fault).await;
            self.strike(fleet, fault, victim).await;
        }
        println!("      the faults are over: {:?}", self.done);
        while self.away.is_some() || self.unwell.is_some() || !fleet.is_well() {
            self.wait(fleet, Instant::now() + BETWEEN_LOOKS).await;
        }
    }

    async fn wait(&mut self, fleet: &mut Fleet, until: Instant) {
        while Instant::now() < until {
            self.look(fleet).await;
        }
    }

    /// Sees to everybody who is to come back.
    async fn look(&mut self, fleet: &mut Fleet) {
        fleet.tend().await;
        if let Some((outage, line)) = &mut self.away
            && outage.is_over().await
        {
            line["until"] = json!(now());
            self.book.write(std::slice::from_ref(line));
            self.away = None;
        }
        if let Some((_, mut line)) = self.unwell.take_if(|(until, _)| *until <= Instant::now()) {
            self.moods.set(Mood::Well);
            line["until"] = json!(now());
            self.book.write(&[line]);
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }

    /// Waits for enough calls in the air; gives the daemon to strike, if the fault strikes one.
    async fn moment(&mut self, fleet: &mut Fleet, fault: Fault) -> usize {
        let mut deadline = Instant::now() + LONGEST_WAIT;
        loop {
            if self.away.is_some() {
                // Calls come back with the server.
                deadline = Instant::now() + LONGEST_WAIT;
            }
            let late = Instant::now() >= deadline;
            let (mut well, mut ready) = (0, Vec::new());
            for (which, member) in fleet.members.iter_mut().enumerate() {
                if member.condition == Condition::Healthy {
                    well += 1;
                    ready.extend((late || member.in_the_air() >= IN_THE_AIR).then_some(which));
                }
            }
            if fault.strikes_a_daemon() {
                // One stays, so that there is always somebody who could do wrong.
                if let Some(victim) = ready.choose(&mut self.dice).filter(|_| well > 1) {
                    return *victim;
                }
            } else if self.is_free_for(fault) && (late || fleet.in_the_air() >= IN_THE_AIR) {
                return 0;
            }
            self.look(fleet).await;
        }
    }

    /// The servers are away one at a time, and the carrier is unwell in one way.
    fn is_free_for(&self, fault: Fault) -> bool {
        match fault {
            Fault::TrunkOverloaded | Fault::TrunkDeaf => self.unwell.is_none(),
            Fault::Rolling => true,
            _ => self.away.is_none(),
        }
    }

    async fn strike(&mut self, fleet: &mut Fleet, fault: Fault, victim: usize) {
        let process = fault.strikes_a_daemon().then(|| fleet.members[victim].process().to_owned());
        let in_the_air = match fault.strikes_a_daemon() {
            true => fleet.members[victim].in_the_air(),
            false => fleet.in_the_air(),
        };
        self.say(fault, process.as_deref().unwrap_or_default(), in_the_air);
        let mut line = json!({"at": now(), "fault": fault.name(), "inTheAir": in_the_air});
        if let Some(process) = process {
            line["process"] = json!(process);
        }
        let mut lasts = Duration::ZERO;
        match fault {
            Fault::Kill | Fault::Clock => {
                let then = if fault == Fault::Clock { Clock::Ahead } else { Clock::Right };
                fleet.kill(victim, Duration::from_millis(self.dice.gen_range(200..4_000)), then);
            }
            Fault::Rolling => fleet.roll(),
            Fault::Stop => {
                // Beyond the lease, and beyond what others take for silence.
                lasts = Duration::from_millis(self.dice.gen_range(14_000..22_000));
                fleet.suspend(victim, lasts);
            }
            Fault::Term => fleet.terminate(victim),
            Fault::TrunkOverloaded | Fault::TrunkDeaf => {
                self.moods.set(if fault == Fault::TrunkDeaf { Mood::Deaf } else { Mood::Overloaded });
                // No longer than a call is set up and ended at most, so that every BYE is heard.
                let until = Instant::now() + Duration::from_millis(self.dice.gen_range(5_000..15_000));
                self.unwell = Some((until, line.clone()));
            }
            _ => {
                let outage = self.outages.begin(fault, &mut self.dice);
                let noted = outage.note.as_object().cloned().unwrap_or_default();
                line.as_object_mut().unwrap().extend(noted);
                self.away = Some((outage, line.clone()));
            }
        }
        *self.done.entry(fault).or_default() += 1;
        if fault.strikes_a_daemon() || fault == Fault::Rolling {
            line["until"] = json!(now() + i64::try_from(lasts.as_micros()).unwrap());
            self.book.write(&[line]);
        }
    }

    fn say(&self, fault: Fault, process: &str, in_the_air: usize) {
        let (since, name) = (self.began.elapsed().as_secs_f64(), fault.name());
        let meanwhile = if self.away.is_some() { ", while a server is away" } else { "" };
        println!("{since:5.1} s {name:<16} {process:<12} with {in_the_air} calls in the air{meanwhile}");
    }
}
