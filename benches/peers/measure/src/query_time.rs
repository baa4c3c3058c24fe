//! How long one query takes.

use crate::log::Failure;
use std::time::{Duration, Instant};

/// Requests that took at least this long are slow: about one in a hundred of the workload's.
pub const SLOW_US: i64 = 30_500;
/// More repetitions than this don't change the median.
const RUNS_MAX: usize = 7;
/// Nor do those of a query that takes seconds; it is run once.
const TIME_MAX: Duration = Duration::from_secs(2);

/// The median of some runs, in milliseconds.
///
/// # Errors
/// The query's.
pub fn milliseconds<E: Into<Failure>>(mut query: impl FnMut() -> Result<(), E>) -> Result<f64, Failure> {
    let start = Instant::now();
    let mut times = Vec::new();
    while times.is_empty() || times.len() < RUNS_MAX && start.elapsed() < TIME_MAX {
        let before = Instant::now();
        query().map_err(Into::into)?;
        times.push(before.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
