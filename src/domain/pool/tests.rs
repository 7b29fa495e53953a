//! The pool, step by step, and any history against a plain recount.

use proptest::prelude::*;

use super::*;

fn number(last: u32) -> PhoneNumber {
    PhoneNumber::from_stored(format!("+4930000000{last}"))
}

fn pool(max_concurrent: u32, max_cps: u32, numbers: &[Option<u32>]) -> Pool {
    let mut pool = Pool::default();
    let callers: Vec<_> = (0..)
        .zip(numbers)
        .map(|(last, &max_concurrent)| CallerNumber { number: number(last), max_concurrent, hours: None })
        .collect();
    pool.set_limits(Share { max_concurrent, max_cps }, &callers);
    pool.set_tasks(&[(TaskNo(1), u32::MAX)]);
    pool
}

#[test]
fn a_slot_is_held_for_a_second_after_the_placing() {
    let mut pool = pool(1, 100, &[None]);
    let start = Instant::now();
    let mut slot = pool.take(start, TaskNo(1), None).unwrap();
    pool.placed(&mut slot, start);
    pool.ended(slot, start + Duration::from_millis(1));
    assert!(pool.take(start + Duration::from_millis(999), TaskNo(1), None).is_none());
    assert_eq!(pool.next_change(), Some(start + PLACING_SECOND));
    assert!(pool.take(start + PLACING_SECOND, TaskNo(1), None).is_some());
}

/// The numbers that so many calls in a row are made from.
fn used(pool: &mut Pool, calls: u32, preferred: Option<u32>) -> (Vec<PhoneNumber>, Vec<Slot>) {
    let preferred = preferred.map(number);
    let slots = (0..calls).filter_map(|_| pool.take(Instant::now(), TaskNo(1), preferred.as_ref()));
    let slots: Vec<_> = slots.collect();
    (slots.iter().map(|slot| slot.caller_number().clone()).collect(), slots)
}

#[test]
fn the_number_with_the_most_slots_free_is_used_and_equals_take_turns() {
    let mut pool = pool(10, 100, &[Some(2), Some(4), Some(4)]);
    let (numbers, slots) = used(&mut pool, 12, None);
    assert_eq!(numbers, [1, 2, 1, 2, 0, 1, 2, 0, 1, 2].map(number));
    pool.set_limits(Share { max_concurrent: 10, max_cps: 100 }, &[]);
    assert!(used(&mut pool, 1, None).1.is_empty(), "no number, no call");
    slots.into_iter().for_each(|slot| pool.give_back(slot));
    assert_eq!(pool.held(), 0);
}

#[test]
fn a_number_without_a_limit_has_as_many_slots_as_the_service_instance() {
    let mut pool = pool(4, 100, &[None, None, Some(1)]);
    assert_eq!(used(&mut pool, 9, None).0, [0, 1, 0, 1].map(number));
}

#[test]
fn a_number_that_is_asked_for_is_used_unless_it_is_full_or_closed() {
    let mut pool = pool(10, 100, &[Some(2), None]);
    assert_eq!(used(&mut pool, 3, Some(0)).0, [0, 0, 1].map(number));
    pool.close_numbers(|closed| *closed == number(1));
    assert!(used(&mut pool, 1, Some(1)).1.is_empty(), "one is full and the other closed");
    pool.close_numbers(|_| false);
    assert_eq!(used(&mut pool, 1, Some(1)).0, [number(1)]);
}

#[test]
fn a_permit_that_is_given_back_can_be_used_at_once() {
    let mut pool = pool(10, 1, &[None]);
    let start = Instant::now();
    let slot = pool.take(start, TaskNo(1), None).unwrap();
    assert!(pool.take(start, TaskNo(1), None).is_none());
    pool.give_back(slot);
    assert!(pool.take(start, TaskNo(1), None).is_some());
}

#[test]
fn a_slot_of_an_unknown_call_is_held_until_its_moment() {
    let mut pool = pool(1, 10, &[None]);
    let start = Instant::now();
    let slot = pool.hold(TaskNo(1), number(0));
    pool.linger(slot, start + Duration::from_secs(7));
    assert!(pool.take(start + Duration::from_millis(6_999), TaskNo(1), None).is_none());
    assert!(pool.take(start + Duration::from_secs(7), TaskNo(1), None).is_some());
}

proptest! {
    /// Random takes, placings and ends, against a plain recount of the history after each step.
    #[test]
    fn no_limit_is_passed_in_any_history(steps in prop::collection::vec((0u8..4, 0u64..400), 1..300)) {
        let (slots, cps, task_limit, number_limit) = (6, 4, 5, 3);
        let mut pool = pool(slots, cps, &[Some(number_limit), Some(number_limit)]);
        pool.set_tasks(&[(TaskNo(1), task_limit)]);
        let mut now = Instant::now();
        let (mut reserved, mut up, mut placed_at, mut lifetimes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (step, wait) in steps {
            match step {
                0 => reserved.extend(pool.take(now, TaskNo(1), None)),
                1 if !reserved.is_empty() => {
                    let mut slot: Slot = reserved.remove(0);
                    pool.placed(&mut slot, now);
                    placed_at.push(now);
                    up.push((now, slot));
                }
                2 if !up.is_empty() => {
                    let (at, slot) = up.remove(0);
                    pool.ended(slot, now);
                    lifetimes.push((at, now.max(at + Duration::from_secs(1))));
                }
                _ => now += Duration::from_millis(wait),
            }
            let in_air = up.len() + lifetimes.iter().filter(|(_, end)| *end > now).count();
            prop_assert!(in_air <= task_limit as usize);
            let second = placed_at.iter().filter(|at| **at + Duration::from_secs(1) > now).count();
            prop_assert!(second <= cps as usize);
        }
    }
}
