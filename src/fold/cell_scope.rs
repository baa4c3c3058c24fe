//! Whose requests a cell of the roll-ups counts. Pure.

/// One call's requests, or those of all calls together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum CellScope {
    /// All calls together.
    All,
    /// The call with that number, from 1 on.
    Call(i64),
}

impl CellScope {
    /// The number of the scope in a page: zero is no call's number.
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::All => 0,
            Self::Call(call) => call,
        }
    }

    /// The scope with that number.
    pub(crate) const fn with_number(number: i64) -> Self {
        match number {
            0 => Self::All,
            call => Self::Call(call),
        }
    }
}
