//! Many independent cases of one test: which of them to try, and trying several at a time.

use std::collections::VecDeque;
use std::sync::Mutex;

/// How many cases run at once: most of a case is waiting, for a disk or for another process.
const WORKERS: usize = 4;

/// Tries all cases, several at a time, and returns what each gave, in no particular order.
///
/// # Panics
/// A case does.
pub fn each<C: Send, R: Send>(cases: impl IntoIterator<Item = C>, attempt: impl Fn(C) -> R + Sync) -> Vec<R> {
    let queue = Mutex::new(cases.into_iter().collect::<VecDeque<_>>());
    let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| {
        let work = || std::iter::from_fn(next).map(&attempt).collect::<Vec<_>>();
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined.flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// At most `count` of the numbers `1..=last`, evenly spread, the first and the last among them.
pub fn spread(last: u64, count: u64) -> Vec<u64> {
    if count >= last {
        return (1..=last).collect();
    }
    let steps = count.max(2) - 1;
    (0..=steps).map(|step| 1 + step * (last - 1) / steps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_both_ends() {
        assert_eq!(spread(0, 5), [0; 0]);
        assert_eq!(spread(3, 5), [1, 2, 3]);
        assert_eq!(spread(100, 5), [1, 25, 50, 75, 100]);
    }

    #[test]
    fn each_case_is_tried_once() {
        let mut squares = each(0..100, |number| number * number);
        squares.sort_unstable();
        assert_eq!(squares, (0..100).map(|number| number * number).collect::<Vec<i32>>());
    }
}
