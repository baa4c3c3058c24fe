//! Where the choices of the queries turn. Plain numbers.

/// Where choices of the queries turn; fixed but in tests, whose stores are small.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tuning {
    /// So many requests of a session are read without looking for a better way.
    pub(super) session_rows: i64,
    /// So many rows are walked back over in the hope that matches are dense.
    pub(super) tried_rows: u64,
    /// So many cells and rows are looked at in the hope that the slowest of all are wanted.
    pub(super) tried_looks: i64,
    /// A cell of at most so many requests is read row by row instead of cell by cell.
    pub(super) scanned_rows: i64,
    /// Percentiles over at most so many requests are exact.
    pub(super) exact_rows: i64,
    /// So many calls are looked at one by one.
    pub(super) few_calls: usize,
}

impl Tuning {
    pub(super) const DEFAULT: Self = Self {
        session_rows: 1_000,
        tried_rows: 2_000,
        tried_looks: 4_000,
        scanned_rows: 256,
        exact_rows: 4_000,
        few_calls: 8,
    };
}
