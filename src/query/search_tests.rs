//! What a search looks at. That its answers are right is held in `tests.rs`, and says nothing of how dear they are: a
//! search that never ends before its last cell finds the same rows.

use super::*;
use crate::query::filter::RequestFilter;
use crate::query::test_store::TestStore;

const MINUTE_MS: i64 = 60_000;
/// How many rows are asked for.
const LIMIT: usize = 5;

/// A store with so many requests, one every minute, the older the quicker or the other way round, of three calls.
fn minutely(requests: i64, newest_is_slowest: bool) -> TestStore {
    let store = TestStore::new();
    store.execute("BEGIN");
    for (minute, method) in (0..requests).zip(["a", "b", "c"].into_iter().cycle()) {
        let latency_us = 100 + if newest_is_slowest { minute } else { requests - minute };
        let row = store.request(&format!("r{minute}"), minute * MINUTE_MS, method);
        row.set("latency_us", latency_us).insert();
    }
    store.execute("COMMIT");
    store
}

/// A search that is about to open cells.
fn searching<'q>(query: &'q Query, filter: &RequestFilter, rank: Rank) -> Search<'q> {
    let mut wanted = query.resolve(filter).unwrap().unwrap();
    wanted.interval = wanted.interval.within(query.recorded_interval().unwrap().unwrap()).unwrap();
    Search { query, wanted, rank, limit: LIMIT, best: BTreeSet::new(), looks_left: 0, seen: HashSet::new() }
}

/// The ids of the best by way of cells, how many cells and rows were looked at, and whether nothing better was left.
fn opened(query: &Query, filter: &RequestFilter, rank: Rank, looks: i64) -> (Vec<i64>, i64, bool) {
    let mut search = searching(query, filter, rank);
    let is_done = search.open_cells(looks).unwrap();
    (search.best.into_iter().map(|(_, _, id)| id).collect(), looks - search.looks_left, is_done)
}

#[test]
fn a_search_looks_at_few_cells_and_rows_however_many_there_are_and_wherever_the_best_lie() {
    let methods = [None, Some("b".to_owned())];
    for (requests, newest_is_slowest) in [(600, true), (5_000, true), (5_000, false)] {
        let store = minutely(requests, newest_is_slowest);
        let query = store.query();
        for (rank, method) in
            [Rank::Newest, Rank::Slowest].into_iter().flat_map(|rank| methods.iter().map(move |m| (rank, m)))
        {
            let filter = RequestFilter { method: method.clone(), ..RequestFilter::default() };
            let case = format!("{rank:?} {method:?} of {requests}, {newest_is_slowest}");
            let (found, looks, is_done) = opened(&query, &filter, rank, i64::MAX);
            assert!(is_done && found.len() == LIMIT, "{case}");
            assert!((1..=30).contains(&looks), "{case}: {looks} looks");
            // It says whether it came to its end, with just as many looks or with none.
            assert_eq!(opened(&query, &filter, rank, looks + 1), (found, looks, true), "{case}");
            assert!(!opened(&query, &filter, rank, 0).2, "{case}");
        }
    }
}

#[test]
fn many_calls_that_have_most_requests_are_searched_together_and_the_others_one_by_one() {
    // Of proxy `p` there are twelve calls, of `q` one, which has a half of all requests or two thirds.
    for (of_q, is_together) in [(12, true), (24, false)] {
        let store = TestStore::new();
        for number in 0..12 {
            store.request(&format!("p{number}"), number, &format!("m{number}")).insert();
        }
        for number in 0..of_q {
            store.request(&format!("q{number}"), number, "m").set("proxy", "q").insert();
        }
        let query = store.query();
        for (proxy, expected) in [("p", is_together), ("q", false)] {
            let filter = RequestFilter { proxy: Some(proxy.into()), ..RequestFilter::default() };
            let roots = searching(&query, &filter, Rank::Newest).roots().unwrap();
            let is_all = roots.iter().all(|cell| cell.scope == CellScope::All);
            assert_eq!(is_all, expected, "{proxy} beside {of_q}: {} cells", roots.len());
        }
    }
}
