//! How much a run of the fault tests does, and what happens where one can't run.

/// The variable that chooses the long set.
const SCALE: &str = "MCPLOG_FAULTS";

/// How thorough this run is. `MCPLOG_FAULTS=long` chooses the long set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// With every `cargo test`.
    Quick,
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
            Ok("long") => Self::Long,
            Ok(other) => panic!("{SCALE} is {other:?}; expected quick or long"),
        }
    }

    /// The one or the other.
    pub fn of<T>(self, quick: T, long: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Long => long,
        }
    }
}

/// Says loudly that a test is skipped, and why. Where `MCPLOG_FAULTS_REQUIRED` is set, as on a machine that is known to
/// have everything, that is a failure.
///
/// # Panics
/// Nothing may be skipped here.
pub fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("MCPLOG_FAULTS_REQUIRED").is_none(), "{test} can't be skipped here: {why}");
    // Not by eprintln: the test harness would swallow it.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED {test}: {why}\n").as_bytes());
}
