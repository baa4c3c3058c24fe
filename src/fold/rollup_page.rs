//! Pages of roll-up cells: the cells of several calls that begin at the same time, in one blob.
//!
//! Pure. Where there are many tools, each has few requests in a minute, so that a row of the database for each cell
//! costs more than the cell, to write and to read: with 300 tools and a row for each cell, folding a million rows did
//! 92,500 a second, with pages 118,700, and the database had 3 % more bytes. The index replaces the cells of a page
//! that changed; queries pass over the cells that they don't want.

use super::cell_scope::CellScope;
use crate::ground::varint;
use std::collections::BTreeMap;

/// How many calls share a page. With more, queries of a single tool would cost more, because they read whole pages.
const CALLS_PER_PAGE: i64 = 32;

/// The page that the cells of a scope are in.
pub(crate) fn page_of(scope: CellScope) -> i64 {
    scope.number().div_euclid(CALLS_PER_PAGE)
}

/// The cells of a page, ascending by scope: scope and bytes of each. Bytes that are no cell end them with an error.
pub(crate) fn cells(page: i64, mut bytes: &[u8]) -> impl Iterator<Item = Result<(CellScope, &[u8]), PageError>> {
    let mut next = page.saturating_mul(CALLS_PER_PAGE);
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let taken = take(&mut bytes).and_then(|(skipped, cell)| {
            let number = next.checked_add_unsigned(skipped)?;
            let scope = Some(CellScope::with_number(number)).filter(|scope| page_of(*scope) == page)?;
            next = number.saturating_add(1);
            Some((scope, cell))
        });
        if taken.is_none() {
            bytes = &[];
        }
        Some(taken.ok_or(PageError))
    })
}

/// The page's bytes with `changes` in the place of the cells of the same scopes; an empty cell is removed.
pub(crate) fn replace_cells(
    page: i64,
    bytes: &[u8],
    changes: &BTreeMap<CellScope, Vec<u8>>,
) -> Result<Vec<u8>, PageError> {
    let mut all = cells(page, bytes).collect::<Result<BTreeMap<_, _>, _>>()?;
    all.extend(changes.iter().map(|(scope, cell)| (*scope, cell.as_slice())));
    let mut replaced = Vec::with_capacity(bytes.len() + changes.values().map(Vec::len).sum::<usize>());
    let mut next = page.saturating_mul(CALLS_PER_PAGE);
    for (scope, cell) in all.iter().filter(|(_, cell)| !cell.is_empty()) {
        varint::put(scope.number().abs_diff(next), &mut replaced);
        varint::put(cell.len() as u64, &mut replaced);
        replaced.extend_from_slice(cell);
        next = scope.number().saturating_add(1);
    }
    Ok(replaced)
}

/// Takes a cell from the front: how many calls without a cell come before it, and its bytes.
fn take<'a>(bytes: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let skipped = varint::take(bytes)?;
    let length = usize::try_from(varint::take(bytes)?).ok()?;
    let (cell, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((skipped, cell))
}

/// The bytes are no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageError;

impl std::fmt::Display for PageError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("expected a page of roll-ups")
    }
}

impl std::error::Error for PageError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Cells of the calls 32 to 63: some empty, which takes them out.
    fn changes() -> impl Strategy<Value = BTreeMap<CellScope, Vec<u8>>> {
        let calls = (32..64_i64).prop_map(CellScope::Call);
        proptest::collection::btree_map(calls, proptest::collection::vec(any::<u8>(), 0..200), 0..12)
    }

    proptest! {
        #[test]
        fn a_page_holds_what_was_put_and_no_trace_of_what_was_there_before(
            puts in proptest::collection::vec(changes(), 0..4),
        ) {
            let (mut page, mut held) = (Vec::new(), BTreeMap::new());
            for changes in puts {
                page = replace_cells(1, &page, &changes).unwrap();
                held.extend(changes);
            }
            held.retain(|_, cell| !cell.is_empty());
            let found: BTreeMap<_, _> = cells(1, &page).map(|cell| cell.map(|(scope, cell)| (scope, cell.to_vec())).unwrap()).collect();
            prop_assert_eq!(&found, &held);
            prop_assert_eq!(replace_cells(1, &[], &held), Ok(page));
        }

        #[test]
        fn any_bytes_are_cells_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200), page in any::<i64>()) {
            let found: Vec<_> = cells(page, &bytes).collect();
            prop_assert!(found.len() <= 32 + 1);
            prop_assert!(found.iter().rev().skip(1).all(Result::is_ok), "an error is the end");
        }
    }

    #[test]
    fn a_call_has_a_page_whatever_its_number() {
        assert_eq!(
            [0, 1, 31, 32, 63, -1, i64::MIN].map(|number| page_of(CellScope::with_number(number))),
            [0, 0, 0, 1, 1, -1, i64::MIN / 32]
        );
    }

    #[test]
    fn a_call_of_another_page_or_twice_is_an_error() {
        assert_eq!(cells(0, &[0, 1, 7, 30, 1, 8]).next(), Some(Ok((CellScope::All, &[7][..]))));
        assert_eq!(cells(0, &[0, 1, 7, 31, 1, 7]).last(), Some(Err(PageError)));
        assert_eq!(cells(0, &[0, 9, 7]).last(), Some(Err(PageError)));
        assert_eq!(cells(0, &[0, 1, 7, 30, 1, 8]).last(), Some(Ok((CellScope::Call(31), &[8][..]))));
    }
}
