//! Folding, the pure part: what a record changes in the tables, and how changes to one session combine.
//!
//! Everything here is independent of order: the least request of an id wins, facts about a session form a commutative
//! monoid. No I/O, no clock; runs on the compactor.
//!
//! Values that are longer than the database keeps are cut here, so that the log keeps what was recorded, and every table
//! sees the same: what is cut before it is compared or merged depends on nothing but itself.

use super::cut;
use super::platform;
use crate::event::{ADDRESS_BYTES_MAX, ID_BYTES_MAX, NAME_BYTES_MAX, Status};
use crate::record::id::Id;
use crate::record::record::{GapRecord, Record, SchemaVersionRecord, SessionRecord};
use crate::record::request::RequestRecord;
use crate::record::status::StatusCode;
use std::borrow::Cow;

/// What one record changes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mutation<'a> {
    /// A row of `requests`, and what it adds to its session, unless a request with that id is there and is less.
    Request(RequestRecord<'a>),
    /// The same, where some of its values are cut.
    CutRequest(Box<RequestRow<'a>>),
    /// Facts about a session.
    Session(Cow<'a, str>, SessionFacts),
    /// A version of what a server offers.
    SchemaVersion(SchemaVersionRow<'a>),
    /// Events known to be lost.
    Gap(GapRecord),
}

/// What `record` changes.
pub(crate) fn fold(record: Record<'_>) -> Mutation<'_> {
    match record {
        Record::Request(request) if fits(&request) => Mutation::Request(request),
        Record::Request(request) => Mutation::CutRequest(Box::new(RequestRow::from(request).cut())),
        Record::Session(session) => {
            Mutation::Session(cut_id(session.session_id.text()), SessionFacts::announced(&session))
        }
        Record::SessionClosed(closed) => {
            let facts = SessionFacts { closed_at: Some(closed.ended_at), ..SessionFacts::default() };
            Mutation::Session(cut_id(closed.session_id.text()), facts)
        }
        Record::SchemaVersion(version) => Mutation::SchemaVersion(version.into()),
        Record::Gap(gap) => Mutation::Gap(gap),
    }
}

/// Whether nothing of a request needs to be cut. Messages are counted only where they may be too long.
fn fits(request: &RequestRecord<'_>) -> bool {
    let id_fits = |id: &Id<'_>| match id {
        Id::Text(text) => text.len() <= ID_BYTES_MAX,
        Id::Uuid(_) | Id::Hex(_) => true,
    };
    let names = [request.tool, request.error_code, request.protocol_version, request.rpc_id];
    let name_fits = |name: &str| name.len() <= NAME_BYTES_MAX;
    id_fits(&request.request_id)
        && request.session_id.as_ref().is_none_or(id_fits)
        && [request.proxy, request.method].into_iter().chain(names.into_iter().flatten()).all(name_fits)
        && request.target.is_none_or(|target| target.len() <= ADDRESS_BYTES_MAX)
        && request.error_msg.is_none_or(|message| matches!(cut::message(message), Cow::Borrowed(_)))
}

fn cut_id(id: Cow<'_, str>) -> Cow<'_, str> {
    cut_name(id, ID_BYTES_MAX)
}

fn cut_name(name: Cow<'_, str>, bytes_max: usize) -> Cow<'_, str> {
    match name {
        Cow::Borrowed(name) => cut::name(name, bytes_max),
        Cow::Owned(name) => Cow::Owned(cut::name(&name, bytes_max).into_owned()),
    }
}

/// A row of `requests`, made only where something is cut, or where two have one id. Of several with one id the least
/// counts, whichever was folded first; so the fields' order is what decides: the earliest, and among those the better
/// status.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestRow<'a> {
    pub(crate) ts: i64,
    pub(crate) status: Status,
    pub(crate) latency_us: i64,
    pub(crate) request_id: Cow<'a, str>,
    pub(crate) session_id: Option<Cow<'a, str>>,
    pub(crate) error_code: Option<Cow<'a, str>>,
    pub(crate) error_msg: Option<Cow<'a, str>>,
    pub(crate) bytes_in: Option<i64>,
    pub(crate) bytes_out: Option<i64>,
    pub(crate) tool_error: Option<bool>,
    pub(crate) target: Option<Cow<'a, str>>,
    pub(crate) protocol_version: Option<Cow<'a, str>>,
    pub(crate) rpc_id: Option<Cow<'a, str>>,
    // Last, because they may be those of calls that are too many. Which are depends on the order of events: it must decide
    // between requests that differ in nothing else.
    pub(crate) proxy: Cow<'a, str>,
    pub(crate) method: Cow<'a, str>,
    pub(crate) tool: Option<Cow<'a, str>>,
}

impl<'a> From<RequestRecord<'a>> for RequestRow<'a> {
    fn from(request: RequestRecord<'a>) -> Self {
        Self {
            ts: request.ts,
            status: request.status.into(),
            latency_us: request.latency_us,
            request_id: request.request_id.text(),
            proxy: request.proxy.into(),
            session_id: request.session_id.map(|id| id.text()),
            method: request.method.into(),
            tool: request.tool.map(Cow::from),
            error_code: request.error_code.map(Cow::from),
            error_msg: request.error_msg.map(Cow::from),
            bytes_in: request.bytes_in,
            bytes_out: request.bytes_out,
            tool_error: request.tool_error,
            target: request.target.map(Cow::from),
            protocol_version: request.protocol_version.map(Cow::from),
            rpc_id: request.rpc_id.map(Cow::from),
        }
    }
}

impl<'a> RequestRow<'a> {
    fn cut(self) -> Self {
        let name = |name| cut_name(name, NAME_BYTES_MAX);
        let message = |message| match message {
            Cow::Borrowed(message) => cut::message(message),
            Cow::Owned(message) => Cow::Owned(cut::message(&message).into_owned()),
        };
        Self {
            request_id: cut_id(self.request_id),
            proxy: name(self.proxy),
            session_id: self.session_id.map(cut_id),
            method: name(self.method),
            tool: self.tool.map(name),
            error_code: self.error_code.map(name),
            error_msg: self.error_msg.map(message),
            target: self.target.map(|target| cut_name(target, ADDRESS_BYTES_MAX)),
            protocol_version: self.protocol_version.map(name),
            rpc_id: self.rpc_id.map(name),
            ..self
        }
    }

    /// The row as a record, which is what the table takes.
    pub(crate) fn record(&self) -> RequestRecord<'_> {
        RequestRecord {
            request_id: Id::new(&self.request_id),
            ts: self.ts,
            proxy: &self.proxy,
            session_id: self.session_id.as_deref().map(Id::new),
            method: &self.method,
            tool: self.tool.as_deref(),
            latency_us: self.latency_us,
            status: self.status.into(),
            error_code: self.error_code.as_deref(),
            error_msg: self.error_msg.as_deref(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            tool_error: self.tool_error,
            target: self.target.as_deref(),
            protocol_version: self.protocol_version.as_deref(),
            rpc_id: self.rpc_id.as_deref(),
        }
    }
}

/// A version of what a server offers, cut where it must be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SchemaVersionRow<'a> {
    pub(crate) ts: i64,
    pub(crate) proxy: Cow<'a, str>,
    pub(crate) upstream_url: Cow<'a, str>,
    pub(crate) method: Cow<'a, str>,
    pub(crate) payload: Cow<'a, str>,
    pub(crate) content_hash: Cow<'a, str>,
}

impl<'a> From<SchemaVersionRecord<'a>> for SchemaVersionRow<'a> {
    fn from(version: SchemaVersionRecord<'a>) -> Self {
        Self {
            ts: version.ts,
            proxy: cut::name(version.proxy, NAME_BYTES_MAX),
            upstream_url: cut::name(version.upstream_url, ADDRESS_BYTES_MAX),
            method: cut::name(version.method, NAME_BYTES_MAX),
            payload: cut::payload(version.payload),
            content_hash: cut::name(version.content_hash, NAME_BYTES_MAX),
        }
    }
}

/// All that is known about a session. [`SessionFacts::merge`] is commutative and associative, and the default changes
/// nothing: any order and any grouping of the same events gives the same facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionFacts {
    /// The earliest announcement.
    pub(crate) announcement: Option<Announcement>,
    /// What its requests add up to.
    pub(crate) requests: Option<RequestFacts>,
    /// The earliest close.
    pub(crate) closed_at: Option<i64>,
}

/// What a Session event said. The least one counts: the earliest, and its client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The least of their proxies' names.
    pub(crate) proxy: String,
    pub(crate) calls: i64,
    pub(crate) errors: i64,
    pub(crate) tool_errors: i64,
}

impl SessionFacts {
    fn announced(session: &SessionRecord<'_>) -> Self {
        let name = |name: &str| cut::name(name, NAME_BYTES_MAX).into_owned();
        let own = |text: Option<&str>| text.map(name);
        let derived_platform = session.client_name.map(platform::from_client_name);
        let announcement = Announcement {
            started_at: session.started_at,
            proxy: name(session.proxy),
            client_name: own(session.client_name),
            client_version: own(session.client_version),
            client_platform: own(session.client_platform.filter(|platform| !platform.is_empty()).or(derived_platform)),
            protocol_version: own(session.protocol_version),
            derived: session.derived,
        };
        Self { announcement: Some(announcement), ..Self::default() }
    }

    /// Adds a request of the session. The same as merging the facts of a session that has only this request, without
    /// making them.
    pub(crate) fn add_request(&mut self, request: &RequestRecord<'_>) {
        let requests = self.requests.get_or_insert_with(|| RequestFacts {
            first_at: request.ts,
            last_at: request.ts,
            proxy: request.proxy.to_owned(),
            calls: 0,
            errors: 0,
            tool_errors: 0,
        });
        requests.first_at = requests.first_at.min(request.ts);
        requests.last_at = requests.last_at.max(request.ts);
        if request.proxy < requests.proxy.as_str() {
            requests.proxy = request.proxy.to_owned();
        }
        requests.calls += 1;
        requests.errors += i64::from(request.status != StatusCode::Ok);
        requests.tool_errors += i64::from(request.tool_error == Some(true));
    }

    /// Both together.
    #[must_use]
    pub(crate) fn merge(self, other: Self) -> Self {
        Self {
            announcement: either(self.announcement, other.announcement, Ord::min),
            requests: RequestFacts::of_both(self.requests, other.requests),
            closed_at: either(self.closed_at, other.closed_at, Ord::min),
        }
    }

    /// The announced proxy, or the requests'; empty where only a close is known.
    pub(crate) fn proxy(&self) -> &str {
        let requests = self.requests.as_ref().map(|requests| requests.proxy.as_str());
        self.announcement.as_ref().map(|announcement| announcement.proxy.as_str()).or(requests).unwrap_or_default()
    }

    /// The announced start; until one arrives, the earliest known time.
    pub(crate) fn started_at(&self) -> i64 {
        let first = self.requests.as_ref().map(|requests| requests.first_at);
        let earliest = either(first, self.closed_at, Ord::min);
        self.announcement.as_ref().map(|announcement| announcement.started_at).or(earliest).unwrap_or_default()
    }

    /// The latest request's time; until there is one, the start.
    pub(crate) fn last_seen_at(&self) -> i64 {
        self.requests.as_ref().map_or_else(|| self.started_at(), |requests| requests.last_at)
    }
}

impl RequestFacts {
    /// Both together.
    pub(crate) fn of_both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        either(one, other, Self::merge)
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

fn either<T>(one: Option<T>, other: Option<T>, both: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(both(one, other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::record::SessionClosedRecord;
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
        (proptest::option::of(announcement), proptest::option::of(requests), proptest::option::of(0..5_i64))
            .prop_map(|(announcement, requests, closed_at)| SessionFacts { announcement, requests, closed_at })
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
        SessionFacts::announced(&SessionRecord {
            session_id: Id::new("s"),
            proxy: "announced",
            started_at,
            client_name: name,
            client_version: None,
            client_platform: platform,
            protocol_version: None,
            derived: false,
        })
    }

    fn request(ts: i64, status: StatusCode) -> SessionFacts {
        let record = RequestRecord {
            request_id: Id::new("r"),
            ts,
            proxy: "seen",
            session_id: Some(Id::new("s")),
            method: "ping",
            tool: None,
            latency_us: 1,
            status,
            error_code: None,
            error_msg: None,
            bytes_in: None,
            bytes_out: None,
            tool_error: Some(true),
            target: None,
            protocol_version: None,
            rpc_id: None,
        };
        let mut facts = SessionFacts::default();
        facts.add_request(&record);
        facts
    }

    /// Every combination of what may be known of a session: (announced, request, close) -> (proxy, start, last seen).
    #[test]
    fn columns_follow_from_whatever_is_known() {
        let close = |at| SessionFacts { closed_at: Some(at), ..SessionFacts::default() };
        let cases = [
            (vec![session(10, None, None)], ("announced", 10, 10)),
            (vec![request(20, StatusCode::Ok)], ("seen", 20, 20)),
            (vec![close(30)], ("", 30, 30)),
            (vec![session(10, None, None), request(20, StatusCode::Ok)], ("announced", 10, 20)),
            (vec![session(10, None, None), close(30)], ("announced", 10, 10)),
            (vec![request(20, StatusCode::Ok), request(15, StatusCode::Ok), close(30)], ("seen", 15, 20)),
            (vec![session(10, None, None), request(5, StatusCode::Ok), close(30)], ("announced", 10, 5)),
        ];
        for (parts, expected) in cases {
            let facts = parts.iter().cloned().fold(SessionFacts::default(), SessionFacts::merge);
            assert_eq!((facts.proxy(), facts.started_at(), facts.last_seen_at()), expected, "{parts:?}");
        }
    }

    #[test]
    fn error_and_timeout_count_as_errors_and_tool_errors_apart() {
        let statuses = [StatusCode::Ok, StatusCode::Error, StatusCode::Timeout];
        let facts =
            statuses.map(|status| request(1, status)).into_iter().fold(SessionFacts::default(), SessionFacts::merge);
        let requests = facts.requests.unwrap();
        assert_eq!((requests.calls, requests.errors, requests.tool_errors), (3, 2, 3));
    }

    #[test]
    fn a_repeated_initialize_keeps_the_earliest_start_and_its_client() {
        let merged = session(20, Some("later"), None).merge(session(10, Some("earlier"), None));
        let announcement = merged.announcement.unwrap();
        assert_eq!((announcement.started_at, announcement.client_name.as_deref()), (10, Some("earlier")));
    }

    #[test]
    fn an_empty_platform_is_derived_from_the_name_and_a_given_one_is_kept() {
        let platform = |facts: SessionFacts| facts.announcement.unwrap().client_platform;
        assert_eq!(platform(session(1, Some("Claude Code"), None)).as_deref(), Some("claude"));
        assert_eq!(platform(session(1, Some("Claude Code"), Some(""))).as_deref(), Some("claude"));
        assert_eq!(platform(session(1, Some("Claude Code"), Some("zed"))).as_deref(), Some("zed"));
        assert_eq!(platform(session(1, None, None)), None);
    }

    #[test]
    fn of_two_closes_the_earlier_counts() {
        let close =
            |ended_at| match fold(Record::SessionClosed(SessionClosedRecord { session_id: Id::new("s"), ended_at })) {
                Mutation::Session(_, facts) => facts,
                other => panic!("{other:?}"),
            };
        assert_eq!(close(9).merge(close(5)).closed_at, Some(5));
    }
}
