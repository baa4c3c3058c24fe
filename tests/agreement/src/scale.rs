//! How many logs a run tries, and which.

use std::ops::Range;

/// The variable that says how many logs.
pub const SCALE: &str = "MCPLOG_AGREEMENT";
/// The variable that says which ones: a seed, or seeds from and to, as in `7` and `100..200`.
pub const SEEDS: &str = "MCPLOG_AGREEMENT_SEED";

/// With every `cargo test`.
const QUICK_LOGS: u64 = 80;
/// In CI.
const CI_LOGS: u64 = 500;
/// By hand.
const LONG_LOGS: u64 = 20_000;

/// The seeds that the environment asks for.
///
/// # Panics
/// It asks for something else.
pub fn chosen() -> Range<u64> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let seeds = variable(SEEDS);
    if !seeds.is_empty() {
        return read(&seeds)
            .unwrap_or_else(|| panic!("{SEEDS} is {seeds:?}; expected a seed, or seeds as in 100..200"));
    }
    let scale = variable(SCALE);
    match scale.as_str() {
        "" | "quick" => 0..QUICK_LOGS,
        "ci" => 0..CI_LOGS,
        "long" => 0..LONG_LOGS,
        other => panic!("{SCALE} is {other:?}; expected quick, ci or long"),
    }
}

fn read(seeds: &str) -> Option<Range<u64>> {
    match seeds.split_once("..") {
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
        None => seeds.parse().ok().map(|seed: u64| seed..seed + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_number_or_a_range() {
        assert_eq!(read("7"), Some(7..8));
        assert_eq!(read("100..200"), Some(100..200));
        assert_eq!(read("some"), None);
    }
}
