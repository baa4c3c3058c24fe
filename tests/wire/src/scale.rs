//! How many exchanges a run plays, and which.

use std::ops::Range;

/// The variable that says how many.
pub const SCALE: &str = "MCPLOG_WIRE";
/// The variable that says which scripts: a seed, or seeds from and to, as in `7` and `100..200`.
pub const SEEDS: &str = "MCPLOG_WIRE_SEED";
/// About how many exchanges a script has.
pub const EXCHANGES_PER_SCRIPT: u64 = 16;

/// With every `cargo test`, and in CI.
const QUICK_EXCHANGES: u64 = 32_000;
/// By hand.
const LONG_EXCHANGES: u64 = 1_600_000;

/// The seeds that the environment asks for.
///
/// # Panics
/// It asks for something else.
pub fn chosen() -> Range<u64> {
    let exchanges = match std::env::var(SCALE).unwrap_or_default().as_str() {
        "" | "quick" | "ci" => QUICK_EXCHANGES,
        "long" => LONG_EXCHANGES,
        other => panic!("{SCALE} is {other:?}; expected quick, ci or long"),
    };
    seeds_or(0..exchanges / EXCHANGES_PER_SCRIPT)
}

/// The seeds that the environment names, else these.
///
/// # Panics
/// It names something else.
pub fn seeds_or(usual: Range<u64>) -> Range<u64> {
    let seeds = std::env::var(SEEDS).unwrap_or_default();
    if seeds.is_empty() {
        return usual;
    }
    read(&seeds).unwrap_or_else(|| panic!("{SEEDS} is {seeds:?}; expected a seed, or seeds as in 100..200"))
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
