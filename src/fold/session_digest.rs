//! Digests of sessions: what filters and sums over all sessions need, in a fixed number of bytes each.
//!
//! Pure. Filtering 100,000 sessions takes a few milliseconds this way, and ten times as long over rows of SQLite. The
//! index writes whole pages, in the transaction that changes a session; queries scan them.

/// Bytes of one session.
pub(crate) const ENTRY_BYTES: usize = 56;
/// How many sessions a page holds. Session ids ascend as sessions appear, so those that are active share few pages.
pub(crate) const SESSIONS_PER_PAGE: i64 = 256;
/// Stands for `closed_at` of a session that is not closed.
const OPEN: i64 = i64::MIN;

/// One session, without its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionDigest {
    /// `clients.id`; never 0.
    pub(crate) client: u32,
    /// `proxies.id`.
    pub(crate) proxy: u32,
    /// Unix time in milliseconds, UTC, like all times here.
    pub(crate) started_at: i64,
    pub(crate) last_seen_at: i64,
    /// Never `i64::MIN`, which no clock shows and which would read as absent.
    pub(crate) closed_at: Option<i64>,
    pub(crate) calls: i64,
    /// How many requests failed.
    pub(crate) errors: i64,
    pub(crate) tool_errors: i64,
}

/// The page that a session's entry is in, and its index there.
pub(crate) fn place_of(session: i64) -> (i64, usize) {
    let index = usize::try_from(session.rem_euclid(SESSIONS_PER_PAGE)).unwrap_or_default();
    (session.div_euclid(SESSIONS_PER_PAGE), index)
}

/// The session whose entry is at `index` of `page`.
pub(crate) fn session_at(page: i64, index: usize) -> i64 {
    page.saturating_mul(SESSIONS_PER_PAGE).saturating_add(i64::try_from(index).unwrap_or(i64::MAX))
}

/// Puts an entry at `index` of a page, or with `None` removes that entry. A page ends with its last session.
pub(crate) fn put(page: &mut Vec<u8>, index: usize, digest: Option<&SessionDigest>) {
    let start = index * ENTRY_BYTES;
    if page.len() < start + ENTRY_BYTES {
        page.resize(start + ENTRY_BYTES, 0);
    }
    let bytes = digest.map_or([0; ENTRY_BYTES], encode);
    page[start..start + ENTRY_BYTES].copy_from_slice(&bytes);
    while page.len() >= ENTRY_BYTES && page[page.len() - ENTRY_BYTES..].iter().all(|byte| *byte == 0) {
        page.truncate(page.len() - ENTRY_BYTES);
    }
}

/// The sessions of a page: index and entry. Bytes behind the last whole entry are no session.
pub(crate) fn entries(page: &[u8]) -> impl Iterator<Item = (usize, SessionDigest)> + '_ {
    let (entries, _) = page.as_chunks::<ENTRY_BYTES>();
    entries.iter().enumerate().filter_map(|(index, entry)| Some((index, decode(entry)?)))
}

/// An entry's bytes. In the place of an absent session all bytes are zero.
fn encode(digest: &SessionDigest) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[0..4].copy_from_slice(&digest.client.to_le_bytes());
    bytes[4..8].copy_from_slice(&digest.proxy.to_le_bytes());
    let numbers = [
        digest.started_at,
        digest.last_seen_at,
        digest.closed_at.unwrap_or(OPEN),
        digest.calls,
        digest.errors,
        digest.tool_errors,
    ];
    for (place, number) in bytes[8..].as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
        *place = number.to_le_bytes();
    }
    bytes
}

fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<SessionDigest> {
    let (names, numbers) = bytes.split_at(8);
    let number = |index: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&numbers[8 * index..8 * index + 8]);
        i64::from_le_bytes(number)
    };
    let name = |index: usize| {
        let mut name = [0; 4];
        name.copy_from_slice(&names[4 * index..4 * index + 4]);
        u32::from_le_bytes(name)
    };
    let digest = SessionDigest {
        client: name(0),
        proxy: name(1),
        started_at: number(0),
        last_seen_at: number(1),
        closed_at: Some(number(2)).filter(|closed_at| *closed_at != OPEN),
        calls: number(3),
        errors: number(4),
        tool_errors: number(5),
    };
    (digest.client != 0).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn digest() -> impl Strategy<Value = SessionDigest> {
        let closed_at = proptest::option::of(i64::MIN + 1..=i64::MAX);
        (1..=u32::MAX, any::<u32>(), any::<[i64; 5]>(), closed_at).prop_map(|(client, proxy, numbers, closed_at)| {
            let [started_at, last_seen_at, calls, errors, tool_errors] = numbers;
            SessionDigest { client, proxy, started_at, last_seen_at, closed_at, calls, errors, tool_errors }
        })
    }

    proptest! {
        #[test]
        fn a_page_holds_what_was_put_and_not_what_was_taken_out(
            puts in proptest::collection::vec((0..8_usize, proptest::option::of(digest())), 0..20),
        ) {
            let (mut page, mut held) = (Vec::new(), BTreeMap::new());
            for (index, digest) in &puts {
                put(&mut page, *index, digest.as_ref());
                match digest {
                    Some(digest) => _ = held.insert(*index, *digest),
                    None => _ = held.remove(index),
                }
            }
            prop_assert_eq!(entries(&page).collect::<BTreeMap<_, _>>(), held.clone());
            // A function of what it holds: no trace of what was there before.
            prop_assert_eq!(page.len(), held.last_key_value().map_or(0, |(index, _)| (index + 1) * ENTRY_BYTES));
        }

        #[test]
        fn any_bytes_read_as_sessions_or_as_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(entries(&bytes).count() <= bytes.len() / ENTRY_BYTES);
        }
    }

    #[test]
    fn a_place_and_back() {
        for session in [0, 1, 255, 256, 511, 100_000] {
            let (page, index) = place_of(session);
            assert_eq!(session_at(page, index), session);
        }
        assert_eq!(place_of(257), (1, 1));
    }
}
