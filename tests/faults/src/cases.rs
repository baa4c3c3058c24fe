//! Many independent cases of one test: which of them to try, and trying several at a time.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
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

/// Makes sure that what was to happen in each case did so in at least half of them, and in one of each kind: no two runs
/// make equally many calls, but a fault that never comes shows nothing.
///
/// # Panics
/// It did not.
pub fn assert_hit<K: Ord + Debug>(what: &str, cases: impl IntoIterator<Item = (K, bool)>) {
    let mut kinds: BTreeMap<K, [usize; 2]> = BTreeMap::new();
    for (kind, hit) in cases {
        let [hits, tried] = kinds.entry(kind).or_default();
        *hits += usize::from(hit);
        *tried += 1;
    }
    let [hits, tried] = kinds.values().fold([0, 0], |[hits, tried], kind| [hits + kind[0], tried + kind[1]]);
    println!("{what}: {hits} of {tried} cases came to it; of each kind: {kinds:?}");
    assert!(hits * 2 >= tried && tried > 0, "{what}: only {hits} of {tried} cases came to it");
    let never: Vec<_> = kinds.iter().filter(|(_, [hits, _])| *hits == 0).collect();
    assert!(never.is_empty(), "{what}: no case came to it of {never:?}");
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
    fn half_of_the_cases_and_one_of_each_kind_are_enough() {
        assert_hit("enough", [("a", true), ("a", false), ("b", false), ("b", true)]);
    }

    #[test]
    #[should_panic(expected = "no case came to it")]
    fn a_kind_that_is_never_hit_is_noticed() {
        assert_hit("a kind", [("a", true), ("a", true), ("b", false)]);
    }

    #[test]
    #[should_panic(expected = "only 2 of 5 cases")]
    fn too_few_hits_are_noticed() {
        assert_hit("few", [("a", true), ("a", false), ("b", false), ("b", true), ("b", false)]);
    }

    #[test]
    fn each_case_is_tried_once() {
        let mut squares = each(0..100, |number| number * number);
        squares.sort_unstable();
        assert_eq!(squares, (0..100).map(|number| number * number).collect::<Vec<i32>>());
    }
}
