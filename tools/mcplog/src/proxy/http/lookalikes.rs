//! Requests that look like one which is on its way to the upstream already: the only ones that may be in a loop.
//!
//! Called by the clients' tasks, for each request. Counters without a lock; what has the same counter by chance is taken for
//! alike, and only gets a mark that it did not need.

use http::request::Parts;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many counters there are: many more than requests that wait for the head of a response at one time.
const COUNTERS: usize = 4096;

/// How many requests of each look are on their way.
pub(super) struct Lookalikes(Box<[AtomicU32]>);

/// A request on its way, from its arrival to the head of its response. Dropping it ends that.
pub(super) struct OnItsWay {
    lookalikes: Arc<Lookalikes>,
    counter: usize,
    /// Whether another one that looks the same was on its way before.
    pub(super) has_lookalike: bool,
}

impl Default for Lookalikes {
    fn default() -> Self {
        Self((0..COUNTERS).map(|_| AtomicU32::new(0)).collect())
    }
}

impl Lookalikes {
    /// A request sets out.
    pub(super) fn set_out(self: &Arc<Self>, head: &Parts) -> OnItsWay {
        let counter = look(head) % COUNTERS;
        let has_lookalike = self.0[counter].fetch_add(1, Ordering::Relaxed) > 0;
        OnItsWay { lookalikes: self.clone(), counter, has_lookalike }
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.lookalikes.0[self.counter].fetch_sub(1, Ordering::Relaxed);
    }
}

/// What stays the same of a request that goes in a circle, through whatever it passes: not its target, which gets longer where
/// the upstream's URL has a path, nor its other fields, to which relays add their own.
fn look(head: &Parts) -> usize {
    let mut hasher = DefaultHasher::new();
    head.method.hash(&mut hasher);
    for name in ["content-length", "mcp-session-id", "mcp-method"] {
        head.headers.get(name).map(http::HeaderValue::as_bytes).hash(&mut hasher);
    }
    // The lower bits are as good as any.
    usize::try_from(hasher.finish() & 0xffff_ffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_who_sets_out_beside_a_lookalike_has_one() {
        let lookalikes = Arc::new(Lookalikes::default());
        let post = || head("POST", "/mcp", &[("content-length", "52"), ("mcp-session-id", "s")]);
        let first = lookalikes.set_out(&post());
        assert!(!first.has_lookalike);
        let again =
            head("POST", "/mcp/mcp", &[("content-length", "52"), ("mcp-session-id", "s"), ("via", "1.1 relay")]);
        let second = lookalikes.set_out(&again);
        assert!(second.has_lookalike, "a circle may lengthen the target, and add fields");
        drop(first);
        assert!(lookalikes.set_out(&post()).has_lookalike);
        drop(second);
        assert!(!lookalikes.set_out(&post()).has_lookalike);
        assert!(lookalikes.0.iter().all(|counter| counter.load(Ordering::Relaxed) == 0));
    }

    #[test]
    fn requests_that_no_circle_makes_of_each_other_look_different() {
        let heads = [
            head("POST", "/mcp", &[("content-length", "52")]),
            head("GET", "/mcp", &[]),
            head("POST", "/mcp", &[("content-length", "53")]),
            head("POST", "/mcp", &[("content-length", "52"), ("mcp-session-id", "a")]),
            head("POST", "/mcp", &[("content-length", "52"), ("mcp-session-id", "b")]),
            head("POST", "/mcp", &[("content-length", "52"), ("mcp-method", "tools/call")]),
        ];
        let mut looks: Vec<usize> = heads.iter().map(look).collect();
        looks.sort_unstable();
        looks.dedup();
        assert_eq!(looks.len(), heads.len());
    }
}
