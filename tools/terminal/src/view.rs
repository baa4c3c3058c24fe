//! Whoever looks: how wide the terminal is, and what time it is there.
//!
//! Asked once at the start and then passed along, so that everything that formats is pure.

use crate::clock::Clock;

/// The reader's surroundings.
#[derive(Clone, Debug)]
pub struct View {
    /// How many columns a line may take; `None`: as many as it needs, because no person is looking.
    pub width: Option<usize>,
    /// Their time.
    pub clock: Clock,
}

impl View {
    /// The view of standard output: `COLUMNS` if it is set, since whoever sets it wants it even in a pipe; else the
    /// terminal; else no limit.
    #[must_use]
    pub fn of_stdout() -> Self {
        let of_terminal = || terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0.into());
        let of_variable = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        Self { width: of_variable.or_else(of_terminal).filter(|width| *width > 0), clock: Clock::system() }
    }
}
