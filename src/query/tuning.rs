//! The numbers by which queries choose how to find an answer. Plain data.

/// The numbers by which queries choose. Only tests have others than [`Tuning::DEFAULT`], because their stores are
/// small.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tuning {
    /// Up to how many requests a session is read whole, without looking for a better way.
    pub(super) session_rows: i64,
    /// How many rows a search walks back over first, in the hope that matches are dense.
    pub(super) tried_rows: u64,
    /// How many cells and rows a search looks at first, in the hope that the slowest of all are wanted.
    pub(super) tried_looks: i64,
    /// Up to how many requests a cell is read row by row instead of cell by cell.
    pub(super) scanned_rows: i64,
    /// Up to how many requests percentiles are exact.
    pub(super) exact_rows: i64,
    /// Up to how many of the slowest requests are searched for; more are walked to.
    pub(super) searched_rows: u64,
    /// How many keys of requests are held at most, of 24 bytes each and what a set of them needs.
    pub(super) page_rows: u64,
    /// Up to how many calls a query looks at one by one.
    pub(super) few_calls: usize,
}

impl Tuning {
    pub(super) const DEFAULT: Self = Self {
        session_rows: 1_000,
        tried_rows: 2_000,
        tried_looks: 4_000,
        scanned_rows: 256,
        exact_rows: 4_000,
        searched_rows: 10_000,
        page_rows: 1 << 20,
        few_calls: 8,
    };
}
