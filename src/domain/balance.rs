//! How daemons share the service instances: each hands on what it has too much of.
//!
//! Whatever is free is taken at once by whoever sees it first, because a service instance that nobody dials for is
//! worse than an uneven load; evening out comes after. Each daemon decides for itself and about its own leases
//! alone, so two that decide at the same time cannot give the same one away twice.

use super::ids::{Holder, ServiceInstanceId, TrunkName};

/// A service instance that this daemon dials for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub service_instance: ServiceInstanceId,
    pub trunk: TrunkName,
}

/// Another daemon that lives and does not drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sibling {
    pub holder: Holder,
    pub trunks: Vec<TrunkName>,
    /// How many leases it holds.
    pub leases: usize,
}

/// What to hand on, and to whom: never to a daemon without the trunk, never below an even share, and only where the
/// difference shrinks by it, so that nothing goes back and forth.
pub fn surplus(held: &[Held], mut siblings: Vec<Sibling>) -> Vec<(ServiceInstanceId, Holder)> {
    let all = held.len() + siblings.iter().map(|sibling| sibling.leases).sum::<usize>();
    let even = all / (siblings.len() + 1);
    let mut left = held.len();
    let mut handed = Vec::new();
    for Held { service_instance, trunk } in held {
        let able = siblings.iter_mut().filter(|sibling| sibling.trunks.contains(trunk) && sibling.leases + 2 <= left);
        if left > even
            && let Some(sibling) = able.min_by_key(|sibling| (sibling.leases, sibling.holder))
        {
            sibling.leases += 1;
            left -= 1;
            handed.push((service_instance.clone(), sibling.holder));
        }
    }
    handed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn held(trunks: &[&str]) -> Vec<Held> {
        let one = |(number, trunk): (usize, &&str)| Held {
            service_instance: ServiceInstanceId(number.to_string()),
            trunk: TrunkName::new(trunk),
        };
        trunks.iter().enumerate().map(one).collect()
    }

    fn sibling(number: u128, trunks: &[&str], leases: usize) -> Sibling {
        let trunks = trunks.iter().map(|trunk| TrunkName::new(trunk)).collect();
        Sibling { holder: Holder(Uuid::from_u128(number)), trunks, leases }
    }

    fn takers(held: &[Held], siblings: Vec<Sibling>) -> Vec<u128> {
        surplus(held, siblings).into_iter().map(|(_, holder)| holder.0.as_u128()).collect()
    }

    #[test]
    fn a_newcomer_gets_its_share_and_alone_nobody_gives() {
        assert!(takers(&held(&["a"; 3]), vec![]).is_empty());
        assert_eq!(takers(&held(&["a"; 3]), vec![sibling(1, &["a"], 0)]), [1]);
        assert_eq!(takers(&held(&["a"; 3]), vec![sibling(1, &["a"], 0), sibling(2, &["a"], 0)]), [1, 2]);
    }

    #[test]
    fn a_difference_of_one_stays() {
        assert!(takers(&held(&["a"; 2]), vec![sibling(1, &["a"], 1)]).is_empty());
        assert!(takers(&held(&["a"; 1]), vec![sibling(1, &["a"], 0)]).is_empty());
    }

    #[test]
    fn only_a_daemon_with_the_trunk_is_given_to() {
        assert_eq!(takers(&held(&["a", "b", "a", "b"]), vec![sibling(1, &["b"], 0)]), [1, 1]);
        assert!(takers(&held(&["a"; 4]), vec![sibling(1, &["b"], 0)]).is_empty());
    }

    proptest! {
        /// Daemons with the same trunks, one after the other or all at once, come to differ by one at most.
        #[test]
        fn rounds_of_handing_on_come_to_rest_at_an_even_load(
            counts in prop::collection::vec(0usize..12, 1..6),
            together in any::<bool>(),
        ) {
            let mut counts = counts;
            for _ in 0..20 {
                let seen = counts.clone();
                for me in 0..counts.len() {
                    let known = if together { &seen } else { &counts };
                    let others = (0..known.len()).filter(|other| *other != me);
                    let siblings = others.map(|other| sibling(other as u128, &["a"], known[other])).collect();
                    for (_, taker) in surplus(&held(&vec!["a"; known[me]]), siblings) {
                        counts[me] -= 1;
                        counts[usize::try_from(taker.0.as_u128()).unwrap()] += 1;
                    }
                }
            }
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{counts:?}");
        }
    }
}
