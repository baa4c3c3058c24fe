//! Short names for the endpoints in a table: what tells them apart.
//!
//! Pure.

/// What stands for the segments that all of them have.
const SAME: &str = "…";

/// What all endpoints of a table have in common, in segments.
pub(super) struct EndpointNames {
    first: usize,
    last: usize,
}

impl EndpointNames {
    /// Of these endpoints. Each keeps a segment of its own at least.
    pub(super) fn of<'e>(endpoints: impl Iterator<Item = &'e str> + Clone) -> Self {
        let split = |endpoint: &'e str| endpoint.split('/').collect::<Vec<_>>();
        let mut all = endpoints.map(split);
        let Some(one) = all.next() else { return Self { first: 0, last: 0 } };
        let (mut first, mut last, mut fewest) = (one.len(), one.len(), one.len());
        for other in all {
            let pairs = || one.iter().zip(&other);
            first = first.min(pairs().take_while(|(a, b)| a == b).count());
            last = last.min(one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count());
            fewest = fewest.min(other.len());
        }
        let first = first.min(fewest.saturating_sub(1));
        Self { first, last: last.min(fewest - 1 - first) }
    }

    /// The name of one of them: `…/a/…` for `/servers/a/mcp` beside `/servers/b/mcp`.
    pub(super) fn name(&self, endpoint: &str) -> String {
        let segments: Vec<&str> = endpoint.split('/').collect();
        let own = &segments[self.first.min(segments.len())..segments.len().saturating_sub(self.last).max(self.first)];
        // The first segment is what stands before the first slash: nothing.
        let before = if self.first > 1 { &[SAME][..] } else { &segments[..self.first] };
        let after = if self.last > 0 { &[SAME][..] } else { &[] };
        [before, own, after].concat().join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_what_tells_endpoints_apart() {
        let cases: [(&[&str], &[&str]); 7] = [
            (&["/servers/a/mcp", "/servers/b/mcp"], &["…/a/…", "…/b/…"]),
            (&["/mcp", "/sse"], &["/mcp", "/sse"]),
            (&["/mcp", "/mcp/x"], &["/mcp", "/mcp/x"]),
            (&["/a/mcp", "/b/mcp"], &["/a/…", "/b/…"]),
            (&["/servers/a", "/servers/b"], &["…/a", "…/b"]),
            (&["/servers/a/mcp", "/servers/b/mcp", "(other)"], &["/servers/a/mcp", "/servers/b/mcp", "(other)"]),
            (&["/mcp"], &["/mcp"]),
        ];
        for (endpoints, expected) in cases {
            let names = EndpointNames::of(endpoints.iter().copied());
            let found: Vec<_> = endpoints.iter().map(|endpoint| names.name(endpoint)).collect();
            assert_eq!(found, expected);
        }
    }

    proptest! {
        #[test]
        fn different_endpoints_have_different_names(endpoints in prop::collection::hash_set("(/[ab]{0,2}){0,4}", 0..6)) {
            let names = EndpointNames::of(endpoints.iter().map(String::as_str));
            let named: HashSet<_> = endpoints.iter().map(|endpoint| names.name(endpoint)).collect();
            prop_assert_eq!(named.len(), endpoints.len());
        }
    }
}
