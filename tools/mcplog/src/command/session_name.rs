//! Sessions' ids as people see and type them: without what does not tell them apart.
//!
//! Pure.

use mcplog_terminal::text::beginning;
use mcplog_terminal::view::View;
use std::collections::BTreeSet;

/// What ids of sessions that were made up begin with: of a client without sessions, and of a server's process. It says
/// nothing that tells them apart, so people neither see nor type it.
pub(super) const DERIVED_PREFIXES: [&str; 2] = ["derived-", "stdio-"];

/// A session's id as people see it: without the prefix of those that were made up.
fn session_name(session_id: &str) -> &str {
    DERIVED_PREFIXES.iter().find_map(|prefix| session_id.strip_prefix(prefix)).unwrap_or(session_id)
}

/// A name of more characters than a UUID has is shown by its beginning: ids may have hundreds.
const LENGTH_MAX: usize = 36;

/// How much of sessions' names must be shown on a terminal, in characters. `None` where nobody looks: there ids are
/// whole.
pub(super) fn shown_length<'a>(view: &View, session_ids: impl Iterator<Item = &'a str>) -> Option<usize> {
    view.width.map(|_| distinct_length(session_ids.map(session_name)))
}

/// A session's id, shortened to what [`shown_length`] said.
pub(super) fn shown(session_id: &str, length: Option<usize>) -> &str {
    length.map_or(session_id, |length| beginning(session_name(session_id), length))
}

/// The shortest beginning that tells `ids` apart, in characters, no shorter than 8 and no longer than [`LENGTH_MAX`]: what
/// a person has to type.
fn distinct_length<'a>(ids: impl Iterator<Item = &'a str>) -> usize {
    let ids: BTreeSet<_> = ids.collect();
    let common = |(a, b): (&&str, &&str)| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    // Sorted, the nearest relative of an id is its neighbour.
    let longest = ids.iter().zip(ids.iter().skip(1)).map(common).max();
    longest.map_or(8, |common| (common + 1).clamp(8, LENGTH_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_shortened_as_far_as_they_stay_distinct() {
        let cases: [(&[&str], usize); 5] = [
            (&[], 8),
            (&["0197a1c0-7b1e"], 8),
            (&["0197a1c0-7b1e", "0197a1c0-7b1e", "ffff"], 8),
            (&["0197a1c0-7b1e", "abc", "0197a1c0-7c00"], 11),
            (&["éééééééééx", "éééééééééy"], 10),
        ];
        let long = ["x".repeat(200) + "a", "x".repeat(200) + "b"];
        assert_eq!(distinct_length(long.iter().map(String::as_str)), LENGTH_MAX);
        for (ids, expected) in cases {
            assert_eq!(distinct_length(ids.iter().copied()), expected, "{ids:?}");
        }
        assert_eq!(["derived-0197", "stdio-0197", "0197"].map(session_name), ["0197"; 3]);
        assert_eq!((shown("derived-0197a1c0-7b1e", Some(8)), shown("derived-0", None)), ("0197a1c0", "derived-0"));
    }
}
