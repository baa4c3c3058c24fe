//! How much a run of the fault tests does.

/// The variable that chooses the long set.
const SCALE: &str = "MCPLOG_FAULTS";

/// How thorough this run is. `MCPLOG_FAULTS` chooses `ci` or `long`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// With every `cargo test`.
    Quick,
    /// In CI: what takes too long for every `cargo test`, and must not be left out.
    Ci,
    /// By `tests/faults/run`.
    Long,
}

impl Scale {
    /// What the environment asks for.
    ///
    /// # Panics
    /// It asks for something else.
    pub fn chosen() -> Self {
        match std::env::var(SCALE).as_deref() {
            Err(_) | Ok("" | "quick") => Self::Quick,
            Ok("ci") => Self::Ci,
            Ok("long") => Self::Long,
            Ok(other) => panic!("{SCALE} is {other:?}; expected quick, ci or long"),
        }
    }

    /// The one or the other, where CI does what every `cargo test` does.
    pub fn of<T>(self, quick: T, long: T) -> T {
        match self {
            Self::Quick | Self::Ci => quick,
            Self::Long => long,
        }
    }

    /// How many rounds of something, so many in each set.
    pub fn rounds(self, quick: u64, ci: u64, long: u64) -> u64 {
        match self {
            Self::Quick => quick,
            Self::Ci => ci,
            Self::Long => long,
        }
    }
}
