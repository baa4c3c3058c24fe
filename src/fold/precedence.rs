//! Of several requests with one id, which one counts. Pure; runs on the compactor.
//!
//! Records come in any order, and the tables must not depend on that order. So there is an order of requests that says
//! which one stays, whichever was folded first: the earliest; of several with one time the one with the better status,
//! then the quicker one. Beyond that the order is arbitrary, but the same everywhere: the session's id, then the
//! details one by one in the order of their list, absent before present, and the names of what was called.

use crate::event::{DetailValue, Status};
use crate::record::id::Id;
use crate::record::request::RequestRecord;

/// Compares as the order says; the least one counts.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Precedence<'a> {
    ts: i64,
    status: Status,
    latency_us: i64,
    session_id: Option<Id<'a>>,
    details: Vec<(&'static str, Option<DetailValue<'a, Id<'a>>>)>,
    // The names come last, because a call beyond the limit has other names, and which calls are beyond it depends on
    // the order of events: so names may decide only between requests that differ in nothing else.
    proxy: &'a str,
    method: &'a str,
    tool: Option<&'a str>,
}

impl<'a> Precedence<'a> {
    /// The precedence of a request.
    pub(crate) fn of(request: &RequestRecord<'a>) -> Self {
        let mut details = Vec::new();
        request.put_details(&mut details);
        let RequestRecord { ts, status, latency_us, session_id, proxy, method, tool, .. } = *request;
        Self { ts, status, latency_us, session_id, details, proxy, method, tool }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::any::with_one_detail_each;

    #[test]
    fn the_earliest_counts_then_the_better_status_then_the_quicker_one_and_names_last() {
        type Set = fn(&mut RequestRecord<'static>);
        // Each is worse than the one before, whatever the later ones say.
        let worse: [Set; 6] = [
            |request| request.tool = Some("z"),
            |request| request.method = "z",
            |request| request.proxy = "z",
            |request| request.latency_us = 1,
            |request| request.status = Status::Timeout,
            |request| request.ts = 1,
        ];
        let best = RequestRecord::with_id(Id::new("id"), 0, "a", "a");
        let mut so_far = best;
        for set in worse {
            let mut request = best;
            set(&mut request);
            assert!(Precedence::of(&so_far) < Precedence::of(&request), "{so_far:?} {request:?}");
            set(&mut so_far);
        }
        for (name, request) in with_one_detail_each() {
            let record = request.map(Id::new, |_, text| text);
            let without = RequestRecord::with_id(Id::new("id"), 1, "proxy", "ping");
            assert!(
                Precedence::of(&without) < Precedence::of(&record),
                "{name}: whatever differs, one of the two counts"
            );
        }
    }
}
