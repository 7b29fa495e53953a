//! In which order the servers of a trunk are tried (RFC 2782): by priority, and by chance within one, as the weights say.
//!
//! Must not look anything up. Chance is an argument.

/// Where a server stands among those of its trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank {
    /// The lowest is tried first.
    pub priority: u16,
    /// Its part of the calls among those of the same priority. A target's own weight is shared by its addresses, so it is
    /// counted in parts of `WHOLE`.
    pub weight: u32,
}

/// A weight of one.
const WHOLE: u32 = 1 << 10;

impl Rank {
    /// The rank of each address of a target that has so many.
    pub fn of_target(priority: u16, weight: u16, addresses: usize) -> Self {
        let shared = u32::try_from(addresses.max(1)).unwrap_or(u32::MAX);
        Self { priority, weight: u32::from(weight) * WHOLE / shared }
    }

    /// The rank of one in a list that says in which order they are tried.
    pub fn in_list(index: usize) -> Self {
        Self { priority: u16::try_from(index).unwrap_or(u16::MAX), weight: 0 }
    }
}

/// Puts them in order. `draw` gives a number from 0 to its argument, which is one too.
pub fn in_order<T>(mut ranked: Vec<(Rank, T)>, mut draw: impl FnMut(u64) -> u64) -> Vec<T> {
    // Those without a weight stand first among their equals, so that they have a small chance.
    ranked.sort_by_key(|(rank, _)| (rank.priority, rank.weight > 0));
    let mut ordered = Vec::with_capacity(ranked.len());
    while let Some((Rank { priority, .. }, _)) = ranked.first() {
        let priority = *priority;
        let equals =
            ranked.iter().take_while(|(rank, _)| rank.priority == priority).map(|(rank, _)| u64::from(rank.weight));
        let sums: Vec<u64> = equals
            .scan(0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        let drawn = draw(sums.last().copied().unwrap_or_default());
        let picked = sums.iter().position(|sum| *sum >= drawn).unwrap_or_default();
        ordered.push(ranked.remove(picked).1);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(priority: u16, weight: u16) -> Rank {
        Rank::of_target(priority, weight, 1)
    }

    #[test]
    fn the_lowest_priority_comes_first_whatever_the_weights() {
        let ranked = vec![(of(20, 100), "c"), (of(10, 0), "a"), (of(10, 1), "b"), (of(30, 0), "d")];
        assert_eq!(in_order(ranked, |_| 0), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_list_is_tried_as_it_stands() {
        let ranked = (0..3).map(|index| (Rank::in_list(index), index)).collect();
        assert_eq!(in_order(ranked, |most| most), [0, 1, 2]);
    }

    #[test]
    fn each_is_the_first_as_often_as_its_weight_says() {
        let ranked = || vec![(of(1, 60), 0), (of(1, 30), 1), (of(1, 10), 2)];
        let mut firsts = [0_u64; 3];
        for hundredth in 0..100 {
            let ordered = in_order(ranked(), |most| most * hundredth / 100 + 1);
            assert_eq!(ordered.len(), 3);
            firsts[ordered[0]] += 1;
        }
        assert_eq!(firsts, [60, 30, 10]);
    }

    #[test]
    fn one_without_a_weight_is_the_last_but_for_the_smallest_chance() {
        let ranked = || vec![(of(1, 5), "weighty"), (of(1, 0), "light")];
        assert_eq!(in_order(ranked(), |_| 0), ["light", "weighty"]);
        assert_eq!(in_order(ranked(), |most| most.min(1)), ["weighty", "light"]);
    }

    #[test]
    fn the_addresses_of_a_target_share_its_weight() {
        assert_eq!(Rank::of_target(1, 10, 2).weight * 2, of(1, 10).weight);
    }
}
