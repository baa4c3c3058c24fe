//! Random moments and places that can be had again: from a seed, which a failing test shows.

use std::hash::{BuildHasher, RandomState};

/// The variable that sets the seed of every test.
const SEED: &str = "MCPLOG_FAULTS_SEED";

/// A stream of random numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream for a test: another one each time, unless `MCPLOG_FAULTS_SEED` says which. Prints the seed, which the
    /// test harness shows if the test fails. A fault comes at a moment of real time, so that the same seed makes the same
    /// choices, not the same run.
    ///
    /// # Panics
    /// `MCPLOG_FAULTS_SEED` is no number.
    pub fn for_test(test: &str) -> Self {
        let seed = match std::env::var(SEED) {
            Ok(seed) => seed.parse().unwrap_or_else(|error| panic!("{SEED} is {seed:?}: {error}")),
            Err(_) => RandomState::new().hash_one(test),
        };
        println!("{test}: {SEED}={seed}");
        Self { state: seed }
    }

    /// A number below `end`.
    ///
    /// # Panics
    /// `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// One of these.
    ///
    /// # Panics
    /// There are none.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again_and_another_gives_others() {
        let numbers = |seed| {
            let mut random = Random { state: seed };
            (0..20).map(|_| random.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        assert!(numbers(1).iter().all(|number| *number < 1000));
    }
}
