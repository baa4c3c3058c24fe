//! What is known about a session, and how facts add up: in any order and any grouping, to the same. Pure; runs on the
//! compactor.

use super::cut;
use super::platform;
use crate::event::{NAME_BYTES_MAX, Outcome};
use crate::record::record::SessionRecord;
use crate::record::request::RequestRecord;

/// All that is known about a session. [`SessionFacts::merge`] is commutative and associative, and the default changes
/// nothing: any order and any grouping of the same events gives the same facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionFacts {
    /// The earliest announcement.
    pub(crate) announcement: Option<Announcement>,
    /// The sums over the session's requests.
    pub(crate) requests: Option<RequestFacts>,
    /// When it was closed; [`SessionFacts::closed_at`] says which of these counts.
    pub(crate) closes: Option<Closes>,
    /// The highest number of lines that were no messages of which an announcement told.
    pub(crate) noise_lines: Option<i64>,
}

/// The first and the last close of a session, in the order of their times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closes {
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
}

/// What a Session event said. Of several, the least counts: the earliest, with its client. Of those of one time, one that
/// names a client does: a session that is said again, with its number of noise, may have learned meanwhile who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) started_at: i64,
    pub(crate) proxy: String,
    pub(crate) client_name: Option<String>,
    pub(crate) client_version: Option<String>,
    pub(crate) client_platform: Option<String>,
    pub(crate) protocol_version: Option<String>,
    pub(crate) derived: bool,
}

/// Sums over the requests of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestFacts {
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
    /// The least of the names of the requests' proxies.
    pub(crate) proxy: String,
    pub(crate) calls: i64,
    /// How many of them failed.
    pub(crate) errors: i64,
    /// How many results said `isError`.
    pub(crate) tool_errors: i64,
}

impl Announcement {
    /// What decides, in this order: all of it, so that two of one rank are equal.
    fn rank(&self) -> impl Ord {
        let Self { started_at, proxy, client_name, client_version, client_platform, protocol_version, derived } = self;
        let client = (client_name, client_version, client_platform);
        (*started_at, client_name.is_none(), proxy, client, protocol_version, *derived)
    }
}

impl Ord for Announcement {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Announcement {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl SessionFacts {
    /// The facts that a Session event says.
    pub(super) fn of_announcement(session: &SessionRecord<'_>) -> Self {
        let name = |name: &str| cut::name(name, NAME_BYTES_MAX).into_owned();
        let optional_name = |text: Option<&str>| text.map(name);
        let derived_platform = session.client_name.map(platform::from_client_name);
        let announcement = Announcement {
            started_at: session.started_at,
            proxy: name(session.proxy),
            client_name: optional_name(session.client_name),
            client_version: optional_name(session.client_version),
            client_platform: optional_name(
                session.client_platform.filter(|platform| !platform.is_empty()).or(derived_platform),
            ),
            protocol_version: optional_name(session.protocol_version),
            derived: session.derived,
        };
        Self { announcement: Some(announcement), noise_lines: session.noise_lines, ..Self::default() }
    }

    /// Adds a request of the session: the same as merging the facts of a session that has only this request, without
    /// making those facts.
    pub(crate) fn add_request(&mut self, request: &RequestRecord<'_>) {
        let requests = self.requests.get_or_insert_with(|| RequestFacts {
            calls: 0,
            errors: 0,
            tool_errors: 0,
            ..RequestFacts::of(request.ts, request.proxy.to_owned(), Outcome::Ok)
        });
        let outcome = request.counts_as();
        requests.first_at = requests.first_at.min(request.ts);
        requests.last_at = requests.last_at.max(request.ts);
        if request.proxy < requests.proxy.as_str() {
            requests.proxy = request.proxy.to_owned();
        }
        requests.calls += 1;
        requests.errors += i64::from(outcome.is_failure());
        requests.tool_errors += i64::from(outcome == Outcome::ToolError);
    }

    /// Both together.
    #[must_use]
    pub(crate) fn merge(self, other: Self) -> Self {
        Self {
            announcement: merge_options(self.announcement, other.announcement, Ord::min),
            requests: RequestFacts::of_both(self.requests, other.requests),
            closes: merge_options(self.closes, other.closes, Closes::merge),
            // The only number of an announcement that grows, so it is none of what the earliest one says.
            noise_lines: self.noise_lines.max(other.noise_lines),
        }
    }

    /// When it was closed. A close counts if no request of the session came later: a session that speaks again is open
    /// again. Of several closes that count, the earliest does. `None`: it is open, as far as closes say.
    ///
    /// This follows from the last request and the closes, not from which of them was folded first. Only the first and the
    /// last close are kept, because there may be any number: of a session that was closed, spoke, and was closed more
    /// than once after that, the last close stands for all of them.
    pub(crate) fn closed_at(&self) -> Option<i64> {
        let closes = self.closes?;
        let counts = |at: &i64| self.requests.as_ref().is_none_or(|requests| requests.last_at <= *at);
        [closes.first_at, closes.last_at].into_iter().find(counts)
    }

    /// The announced proxy, or the requests'; empty where only a close is known.
    pub(crate) fn proxy(&self) -> &str {
        let requests = self.requests.as_ref().map(|requests| requests.proxy.as_str());
        self.announcement.as_ref().map(|announcement| announcement.proxy.as_str()).or(requests).unwrap_or_default()
    }

    /// The announced start; until one arrives, the earliest known time.
    pub(crate) fn started_at(&self) -> i64 {
        let first = self.requests.as_ref().map(|requests| requests.first_at);
        let earliest = merge_options(first, self.closes.map(|closes| closes.first_at), Ord::min);
        self.announcement.as_ref().map(|announcement| announcement.started_at).or(earliest).unwrap_or_default()
    }

    /// The latest request's time; until there is one, the start.
    pub(crate) fn last_seen_at(&self) -> i64 {
        self.requests.as_ref().map_or_else(|| self.started_at(), |requests| requests.last_at)
    }
}

impl Closes {
    /// A single close.
    pub(super) fn at(at: i64) -> Self {
        Self { first_at: at, last_at: at }
    }

    fn merge(self, other: Self) -> Self {
        Self { first_at: self.first_at.min(other.first_at), last_at: self.last_at.max(other.last_at) }
    }
}

impl RequestFacts {
    /// The sums over one request.
    pub(crate) fn of(ts: i64, proxy: String, outcome: Outcome) -> Self {
        let (errors, tool_errors) = (i64::from(outcome.is_failure()), i64::from(outcome == Outcome::ToolError));
        Self { first_at: ts, last_at: ts, proxy, calls: 1, errors, tool_errors }
    }

    /// Both together.
    pub(crate) fn of_both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        merge_options(one, other, Self::merge)
    }

    fn merge(self, other: Self) -> Self {
        Self {
            first_at: self.first_at.min(other.first_at),
            last_at: self.last_at.max(other.last_at),
            proxy: self.proxy.min(other.proxy),
            calls: self.calls + other.calls,
            errors: self.errors + other.errors,
            tool_errors: self.tool_errors + other.tool_errors,
        }
    }
}

fn merge_options<T>(one: Option<T>, other: Option<T>, both: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(both(one, other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Code, Status};
    use crate::fold::fold::{Mutation, fold};
    use crate::record::id::Id;
    use crate::record::record::{Record, SessionClosedRecord};
    use proptest::prelude::*;

    fn facts() -> impl Strategy<Value = SessionFacts> {
        let announcement = (0..3_i64, "[ab]", proptest::option::of("[ab]"), any::<bool>()).prop_map(
            |(started_at, proxy, name, derived)| Announcement {
                started_at,
                proxy,
                client_name: name.clone(),
                client_version: name,
                client_platform: None,
                protocol_version: None,
                derived,
            },
        );
        let requests = (0..5_i64, 0..5_i64, "[ab]", 0..3_i64).prop_map(|(at, more, proxy, calls)| RequestFacts {
            first_at: at,
            last_at: at + more,
            proxy,
            calls,
            errors: calls / 2,
            tool_errors: calls / 3,
        });
        let closes = (0..5_i64, 0..5_i64).prop_map(|(at, more)| Closes { first_at: at, last_at: at + more });
        let noise_lines = proptest::option::of(-1..3_i64);
        (proptest::option::of(announcement), proptest::option::of(requests), proptest::option::of(closes), noise_lines)
            .prop_map(|(announcement, requests, closes, noise_lines)| SessionFacts {
                announcement,
                requests,
                closes,
                noise_lines,
            })
    }

    proptest! {
        #[test]
        fn facts_are_a_commutative_monoid(a in facts(), b in facts(), c in facts()) {
            prop_assert_eq!(a.clone().merge(b.clone()), b.clone().merge(a.clone()));
            prop_assert_eq!(a.clone().merge(b.clone()).merge(c.clone()), a.clone().merge(b.merge(c)));
            prop_assert_eq!(a.clone().merge(SessionFacts::default()), a);
        }
    }

    fn session(started_at: i64, name: Option<&'static str>, platform: Option<&'static str>) -> SessionFacts {
        SessionFacts::of_announcement(&SessionRecord {
            session_id: Id::new("s"),
            proxy: "announced",
            started_at,
            client_name: name,
            client_version: None,
            client_platform: platform,
            protocol_version: None,
            derived: false,
            noise_lines: None,
        })
    }

    fn request(ts: i64, status: Status) -> SessionFacts {
        let mut record = RequestRecord::with_id(Id::new("r"), ts, "seen", "ping");
        (record.session_id, record.status) = (Some(Id::new("s")), status);
        let mut facts = SessionFacts::default();
        facts.add_request(&record);
        facts
    }

    /// Every combination of what may be known of a session: (announced, request, close) -> (proxy, start, last seen).
    #[test]
    fn columns_follow_from_whatever_is_known() {
        let cases = [
            (vec![session(10, None, None)], ("announced", 10, 10)),
            (vec![request(20, Status::Ok)], ("seen", 20, 20)),
            (vec![close(30)], ("", 30, 30)),
            (vec![session(10, None, None), request(20, Status::Ok)], ("announced", 10, 20)),
            (vec![session(10, None, None), close(30)], ("announced", 10, 10)),
            (vec![request(20, Status::Ok), request(15, Status::Ok), close(30)], ("seen", 15, 20)),
            (vec![session(10, None, None), request(5, Status::Ok), close(30)], ("announced", 10, 5)),
        ];
        for (parts, expected) in cases {
            let facts = parts.iter().cloned().fold(SessionFacts::default(), SessionFacts::merge);
            assert_eq!((facts.proxy(), facts.started_at(), facts.last_seen_at()), expected, "{parts:?}");
        }
    }

    #[test]
    fn a_sum_counts_each_request_as_its_outcome_says() {
        for outcome in Outcome::ALL {
            let mut record = RequestRecord::with_id(Id::new("r"), 7, "seen", "ping");
            (record.status, record.outcome) = (outcome.status(), Some(*outcome));
            let mut facts = SessionFacts::default();
            facts.add_request(&record);
            assert_eq!(facts.requests, Some(RequestFacts::of(7, "seen".to_owned(), *outcome)), "{outcome:?}");
            facts.add_request(&record);
            let requests = facts.requests.unwrap();
            let expected = [2, 2 * i64::from(outcome.is_failure()), 2 * i64::from(*outcome == Outcome::ToolError)];
            assert_eq!([requests.calls, requests.errors, requests.tool_errors], expected, "{outcome:?}");
        }
    }

    #[test]
    fn a_repeated_initialize_keeps_the_earliest_start_and_its_client() {
        let merged = session(20, Some("later"), None).merge(session(10, Some("earlier"), None));
        let announcement = merged.announcement.unwrap();
        assert_eq!((announcement.started_at, announcement.client_name.as_deref()), (10, Some("earlier")));
    }

    #[test]
    fn of_two_announcements_of_one_time_one_that_names_a_client_counts() {
        let (unnamed, named) = (session(10, None, None), session(10, Some("client"), None));
        let expected = named.announcement.clone();
        assert_eq!(unnamed.clone().merge(named.clone()).announcement, expected);
        assert_eq!(named.merge(unnamed.clone()).announcement, expected);
        let earlier = session(9, None, None);
        assert_eq!(unnamed.merge(earlier.clone()).announcement, earlier.announcement);
    }

    #[test]
    fn an_empty_platform_is_derived_from_the_name_and_a_given_one_is_kept() {
        let platform = |facts: SessionFacts| facts.announcement.unwrap().client_platform;
        assert_eq!(platform(session(1, Some("Claude Code"), None)).as_deref(), Some("claude"));
        assert_eq!(platform(session(1, Some("Claude Code"), Some(""))).as_deref(), Some("claude"));
        assert_eq!(platform(session(1, Some("Claude Code"), Some("zed"))).as_deref(), Some("zed"));
        assert_eq!(platform(session(1, None, None)), None);
    }

    fn close(ended_at: i64) -> SessionFacts {
        match fold(Record::SessionClosed(SessionClosedRecord { session_id: Id::new("s"), ended_at })) {
            Mutation::Session(_, facts) => facts,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_close_counts_unless_the_session_spoke_later() {
        // The closes, the requests, and which close counts. A request that comes with its close does not reopen.
        let cases: [(&[i64], &[i64], Option<i64>); 10] = [
            (&[], &[3], None),
            (&[5], &[], Some(5)),
            (&[5], &[3, 4], Some(5)),
            (&[5], &[5], Some(5)),
            (&[5], &[6], None),
            (&[5], &[6, 3], None),
            (&[9, 5], &[], Some(5)),
            (&[5, 9], &[5], Some(5)),
            (&[5, 9], &[6], Some(9)),
            (&[5, 9], &[6, 10], None),
        ];
        for (closes, requests, expected) in cases {
            let parts: Vec<_> =
                closes.iter().map(|at| close(*at)).chain(requests.iter().map(|ts| request(*ts, Status::Ok))).collect();
            for first in 0..parts.len() {
                let facts = parts[first..].iter().chain(&parts[..first]).cloned();
                let facts = facts.fold(SessionFacts::default(), SessionFacts::merge);
                assert_eq!(facts.closed_at(), expected, "closed at {closes:?}, spoke at {requests:?}");
            }
        }
    }
}
