//! Every query against the plainest evaluation of the same question over all rows, on random small stores.
//!
//! Times lie around the borders of cells, so that a mistake by one shows; some minutes are dense; where choices turn is
//! random too, so that small stores take every way that large ones do.

use crate::event::{Code, Direction, Outcome, Status};
use crate::fold::rollup::{DENSE_CALLS, Level};
use crate::query::database::Query;
use crate::query::filter::{RequestFilter, SessionFilter, TimeRange};
use crate::query::requests::RequestRow;
use crate::query::session::{ClientRow, SessionRow};
use crate::query::test_store::TestStore;
use crate::query::tool_stats::ToolStatsRow;
use crate::query::tuning::Tuning;
use crate::query::unused::UnusedToolRow;
use proptest::prelude::*;
use std::collections::BTreeMap;

const PROXIES: [&str; 2] = ["p", "q"];
const METHODS: [&str; 2] = ["tools/call", "ping"];
const TOOLS: [Option<&str>; 3] = [Some("search"), Some("read"), None];
const SESSIONS: [&str; 3] = ["s0", "s1", "s2"];
const ENDPOINTS: [&str; 2] = ["/mcp", "/servers/a/mcp"];

#[derive(Debug, Clone)]
struct Request {
    ts: i64,
    proxy: &'static str,
    method: &'static str,
    tool: Option<&'static str>,
    endpoint: Option<&'static str>,
    session: Option<&'static str>,
    direction: Direction,
    latency_us: i64,
    outcome: &'static str,
}

/// A time close to a border of some level.
fn ts() -> impl Strategy<Value = i64> {
    let near = prop_oneof![-2..3_i64, -2_500..2_500_i64, -70_000..70_000_i64];
    (proptest::sample::select(&Level::ALL[..]), -2..3_i64, near)
        .prop_map(|(level, cell, offset)| cell * level.length_ms() + offset)
}

fn latency_us() -> impl Strategy<Value = i64> {
    // Many alike, as time-outs are, and some of any size.
    prop_oneof![3 => 0..4_i64, 2 => 100..100_000_i64, 2 => Just(30_000_000_i64), 1 => -1..1_000_000_000_i64]
}

fn request() -> impl Strategy<Value = Request> {
    // Half of them of one call, so that its cells have more requests than they name as their slowest.
    let call = prop_oneof![
        Just((PROXIES[0], METHODS[0], TOOLS[0], Some(ENDPOINTS[0]))),
        (
            proptest::sample::select(&PROXIES[..]),
            proptest::sample::select(&METHODS[..]),
            proptest::sample::select(&TOOLS[..]),
            proptest::option::of(proptest::sample::select(&ENDPOINTS[..])),
        ),
    ];
    let direction = prop_oneof![4 => Just(Direction::Client), 1 => Just(Direction::Server)];
    let names = (call, proptest::option::of(proptest::sample::select(&SESSIONS[..])), direction);
    let outcome = prop_oneof![Just("ok"), proptest::sample::select(Outcome::ALL).prop_map(Outcome::as_str)];
    (ts(), names, latency_us(), outcome).prop_map(|(ts, (call, session, direction), latency_us, outcome)| {
        let (proxy, method, tool, endpoint) = call;
        Request { ts, proxy, method, tool, endpoint, session, direction, latency_us, outcome }
    })
}

/// A minute of one call that has seconds.
fn dense_minute() -> impl Strategy<Value = Vec<Request>> {
    let usual = usize::try_from(DENSE_CALLS).unwrap();
    (-2..2_i64, request(), proptest::collection::vec((0..60_000_i64, latency_us()), usual..usual + 20)).prop_map(
        |(minute, request, varied)| {
            let vary = |(offset, latency_us)| Request { ts: minute * 60_000 + offset, latency_us, ..request.clone() };
            varied.into_iter().map(vary).collect()
        },
    )
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let dense = proptest::collection::vec(dense_minute(), 0..2).prop_map(|minutes| minutes.concat());
    (proptest::collection::vec(request(), 0..120), dense).prop_map(|(some, dense)| [some, dense].concat())
}

fn time_range() -> impl Strategy<Value = TimeRange> {
    (proptest::option::of(ts()), proptest::option::of(ts()))
        .prop_map(|(since_ts, until_ts)| TimeRange { since_ts, until_ts })
}

/// Most of the time no condition, so that answers are not always empty.
fn seldom<T: std::fmt::Debug + Clone>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::weighted(0.25, value)
}

fn name(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![9 => proptest::sample::select(names), 1 => Just("nobody")].prop_map(str::to_owned)
}

fn request_filter() -> impl Strategy<Value = RequestFilter> {
    let tool = seldom(name(&["search", "read"]));
    let (proxy, method) = (seldom(name(&PROXIES)), seldom(name(&METHODS)));
    let names = (proxy, method, tool, seldom(name(&ENDPOINTS)), seldom(name(&SESSIONS)));
    let status = seldom(proptest::sample::select(&[Status::Ok, Status::Error, Status::Timeout][..]));
    let outcome = seldom(proptest::sample::select(Outcome::ALL));
    let direction = seldom(proptest::sample::select(Direction::ALL));
    let errors_only = proptest::bool::weighted(0.2);
    let limit = proptest::option::weighted(0.7, prop_oneof![0..12_u64, 0..200_u64]);
    (time_range(), names, (direction, status, outcome), errors_only, seldom(latency_us()), limit).prop_map(
        |(
            time_range,
            (proxy, method, tool, endpoint, session_id),
            (direction, status, outcome),
            errors_only,
            slower_than_us,
            limit,
        )| {
            RequestFilter {
                time_range,
                proxy,
                method,
                tool,
                endpoint,
                direction,
                status,
                outcome,
                session_id,
                errors_only,
                slower_than_us,
                limit,
            }
        },
    )
}

fn session_filter() -> impl Strategy<Value = SessionFilter> {
    let names = (seldom(name(&PROXIES)), seldom(name(&["claude", "cursor"])), seldom(name(&SESSIONS)));
    (time_range(), names, proptest::bool::weighted(0.2), proptest::option::of(0..4_u64)).prop_map(
        |(time_range, (proxy, client_name, session_id), errors_only, limit)| SessionFilter {
            time_range,
            proxy,
            client_name,
            session_id,
            errors_only,
            limit,
        },
    )
}

fn tuning() -> impl Strategy<Value = Tuning> {
    let rows = || prop_oneof![Just(0_i64), 1..30_i64, Just(1_000_i64)];
    let pages = (0..30_u64, prop_oneof![1..20_u64, Just(1_000_u64)]);
    (rows(), rows(), rows(), rows(), rows(), 0..4_usize, pages).prop_map(
        |(session_rows, tried_rows, tried_looks, scanned_rows, exact_rows, few_calls, pages)| Tuning {
            session_rows,
            tried_rows: tried_rows.unsigned_abs(),
            tried_looks,
            scanned_rows,
            exact_rows,
            few_calls,
            searched_rows: pages.0,
            page_rows: pages.1,
        },
    )
}

fn filled(requests: &[Request]) -> TestStore {
    let store = TestStore::new();
    store.execute("BEGIN");
    for (number, request) in requests.iter().enumerate() {
        let mut row = store.request(&format!("r{number}"), request.ts, request.method);
        row = row.set("proxy", request.proxy).set("latency_us", request.latency_us).set("outcome", request.outcome);
        // Sizes that differ, and are known of two in three.
        if !number.is_multiple_of(3) {
            row = row.set("bytes_in", i64::try_from(number).unwrap()).set("bytes_out", 1_000);
        }
        if let Some(tool) = request.tool {
            row = row.set("tool", tool);
        }
        if let Some(endpoint) = request.endpoint {
            row = row.set("endpoint", endpoint);
        }
        if request.direction == Direction::Server {
            row = row.set("direction", 2);
        }
        if let Some(session) = request.session {
            row = row.set("session_id", session);
        }
        row.insert();
    }
    store.execute(
        "UPDATE session_state SET
             (started_at, last_seen_at, total_calls, total_errors, total_tool_errors) =
                 (SELECT min(ts), max(ts), count(*), sum(outcome IN ('error', 'timeout')),
                         sum(outcome = 'tool_error')
                  FROM requests WHERE requests.session_id = session_state.session_id),
             client_name = CASE session_id WHEN 's0' THEN 'claude' WHEN 's1' THEN 'cursor' END,
             closed_at = CASE session_id WHEN 's1' THEN 5 END;
         INSERT INTO meta VALUES ('session_idle_ms', '1800000');
         COMMIT",
    );
    store
}

/// All rows of view `requests`, in the order of time.
fn all_rows(query: &Query) -> Vec<RequestRow> {
    let mut rows = query
        .rows("SELECT id FROM requests", &[], |row| row.get(0))
        .unwrap()
        .into_iter()
        .map(|id| query.request_row(id).unwrap())
        .collect::<Vec<_>>();
    rows.sort_by_key(|row| (row.ts, row.id));
    rows
}

fn is_kept(filter: &RequestFilter, row: &RequestRow) -> bool {
    let same = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
    filter.time_range.since_ts.is_none_or(|since_ts| row.ts >= since_ts)
        && filter.time_range.until_ts.is_none_or(|until_ts| row.ts < until_ts)
        && same(&filter.proxy, Some(&row.proxy))
        && same(&filter.method, Some(&row.method))
        && same(&filter.tool, row.tool.as_deref())
        && same(&filter.endpoint, row.endpoint.as_deref())
        && filter.direction.is_none_or(|direction| row.direction == direction.as_str())
        && same(&filter.session_id, row.session_id.as_deref())
        && filter.status.is_none_or(|status| row.status == status.as_str())
        && filter.outcome.is_none_or(|outcome| row.outcome == outcome.as_str())
        && filter.slower_than_us.is_none_or(|limit_us| row.latency_us > limit_us && row.outcome != "ended")
        && (!filter.errors_only || ["error", "timeout", "tool_error"].contains(&&*row.outcome))
}

fn newest<T>(mut rows: Vec<T>, limit: Option<u64>) -> Vec<T> {
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
    rows.drain(..rows.len().saturating_sub(limit));
    rows
}

fn kept(filter: &RequestFilter, all: &[RequestRow]) -> Vec<RequestRow> {
    newest(all.iter().filter(|row| is_kept(filter, row)).cloned().collect(), filter.limit)
}

/// Statistics with exact percentiles.
fn plain_stats(rows: &[RequestRow]) -> Vec<ToolStatsRow> {
    let mut groups: BTreeMap<_, Vec<&RequestRow>> = BTreeMap::new();
    for row in rows {
        groups
            .entry((
                row.proxy.clone(),
                row.method.clone(),
                row.tool.clone(),
                row.endpoint.clone(),
                row.direction.clone(),
            ))
            .or_default()
            .push(row);
    }
    type Names = (String, String, Option<String>, Option<String>, String);
    let stats = |((proxy, method, tool, endpoint, direction), rows): (Names, Vec<&RequestRow>)| {
        let with_latency = rows.iter().filter(|row| row.outcome != "ended");
        let mut latencies: Vec<i64> = with_latency.map(|row| row.latency_us).collect();
        latencies.sort_unstable();
        let at = |percent: usize| latencies.get((latencies.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        let count = |outcome: &str| rows.iter().filter(|row| row.outcome == outcome).count() as i64;
        ToolStatsRow {
            proxy,
            method,
            tool,
            endpoint,
            direction,
            calls: rows.len() as i64,
            errors: count("error") + count("timeout"),
            timeouts: count("timeout"),
            tool_errors: count("tool_error"),
            cancelled: count("cancelled"),
            probes: count("probe"),
            redirected: count("redirected"),
            ended: count("ended"),
            input_required: count("input_required"),
            lost: count("lost"),
            p50_us: at(50),
            p95_us: at(95),
            p99_us: at(99),
            max_us: at(100),
            bytes_in: rows.iter().filter_map(|row| row.bytes_in).sum(),
            bytes_out: rows.iter().filter_map(|row| row.bytes_out).sum(),
            first_ts: rows.iter().map(|row| row.ts).min().unwrap(),
            last_ts: rows.iter().map(|row| row.ts).max().unwrap(),
        }
    };
    groups.into_iter().map(stats).collect()
}

/// The same, with each percentile that is within 1 % replaced by the exact one.
fn with_exact_percentiles(found: &[ToolStatsRow], exact: &[ToolStatsRow]) -> Vec<ToolStatsRow> {
    let close = |found: Option<i64>, exact: Option<i64>| {
        let (Some(found), Some(exact)) = (found, exact) else { return found };
        // A negative latency counts as 0 in a histogram.
        let is_close = found.abs_diff(exact.max(0)) * 100 <= exact.max(0).unsigned_abs() || found == exact;
        Some(if is_close { exact } else { found })
    };
    let pairs = found.iter().zip(exact);
    pairs
        .map(|(found, exact)| ToolStatsRow {
            p50_us: close(found.p50_us, exact.p50_us),
            p95_us: close(found.p95_us, exact.p95_us),
            p99_us: close(found.p99_us, exact.p99_us),
            ..found.clone()
        })
        .chain(found.iter().skip(exact.len()).cloned())
        .collect()
}

fn plain_sessions(query: &Query, filter: &SessionFilter) -> Vec<SessionRow> {
    let keeps = |row: &SessionRow| {
        filter.time_range.since_ts.is_none_or(|since_ts| row.last_seen_at >= since_ts)
            && filter.time_range.until_ts.is_none_or(|until_ts| row.started_at < until_ts)
            && filter.proxy.as_ref().is_none_or(|proxy| *proxy == row.proxy)
            && filter.client_name.as_ref().is_none_or(|name| Some(name) == row.client_name.as_ref())
            && filter.session_id.as_ref().is_none_or(|id| *id == row.session_id)
            && (!filter.errors_only || row.total_errors > 0 || row.total_tool_errors > 0)
    };
    let mut rows = query.rows(
        "SELECT s.session_id, s.proxy, s.started_at, s.last_seen_at, s.ended_at, \
                (SELECT closed_at FROM session_state state WHERE state.session_id = s.session_id), \
                s.client_name, s.client_version, s.client_platform, s.protocol_version, s.derived, \
                s.total_calls, s.total_errors, s.total_tool_errors, s.noise_lines FROM sessions s",
        &[],
        crate::query::session::read_session,
    );
    rows.as_mut().unwrap().sort_by_key(|row| (row.last_seen_at, row.session_id.clone()));
    rows.unwrap().into_iter().filter(keeps).collect()
}

fn plain_clients(sessions: &[SessionRow]) -> Vec<ClientRow> {
    let mut clients: BTreeMap<Option<String>, Vec<&SessionRow>> = BTreeMap::new();
    for session in sessions {
        clients.entry(session.client_name.clone()).or_default().push(session);
    }
    let sum = |sessions: &[&SessionRow], number: fn(&SessionRow) -> i64| sessions.iter().map(|row| number(row)).sum();
    let client = |(client_name, sessions): (Option<String>, Vec<&SessionRow>)| ClientRow {
        client_name,
        client_version: None,
        client_platform: None,
        sessions: sessions.len() as i64,
        open_sessions: sum(&sessions, |row| i64::from(row.ended_at.is_none())),
        total_calls: sum(&sessions, |row| row.total_calls),
        total_errors: sum(&sessions, |row| row.total_errors),
        total_tool_errors: sum(&sessions, |row| row.total_tool_errors),
        first_seen_at: sessions.iter().map(|row| row.started_at).min().unwrap(),
        last_seen_at: sessions.iter().map(|row| row.last_seen_at).max().unwrap(),
    };
    let mut rows: Vec<_> = clients.into_iter().map(client).collect();
    rows.sort_by_key(|row| (row.last_seen_at, row.client_name.clone()));
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_query_about_requests_says_what_all_rows_say(
        requests in requests(),
        asked in proptest::collection::vec((request_filter(), tuning(), prop_oneof![0..40_u64, Just(u64::MAX)]), 40),
    ) {
        let store = filled(&requests);
        let mut query = store.query();
        let all = all_rows(&query);
        prop_assert_eq!(query.totals().unwrap().requests, all.len() as i64);
        for (filter, tuning, most) in asked {
            query.tuning = tuning;
            let expected = kept(&filter, &all);
            prop_assert_eq!(&query.requests(&filter).unwrap(), &expected, "logs, {:?} {:?}", filter, tuning);
            prop_assert_eq!(
                query.count_requests(&filter).unwrap(), expected.len() as i64, "count, {:?} {:?}", filter, tuning
            );

            let exact = plain_stats(&expected);
            let mut stats = query.tool_stats(&filter).unwrap();
            if expected.len() as i64 > tuning.exact_rows {
                stats = with_exact_percentiles(&stats, &exact);
            }
            prop_assert_eq!(&stats, &exact, "tool_stats, {:?} {:?}", filter, tuning);

            let whole = RequestFilter { limit: None, ..filter };
            let mut slowest = kept(&whole, &all);
            slowest.retain(|row| row.outcome != "ended");
            slowest.sort_by_key(|row| std::cmp::Reverse((row.latency_us, row.ts, row.id)));
            slowest.truncate(usize::try_from(most).unwrap_or(usize::MAX));
            prop_assert_eq!(&query.slowest(&whole, most).unwrap(), &slowest, "slowest, {:?} {:?}", whole, tuning);
        }
    }

    #[test]
    fn every_query_about_sessions_says_what_all_rows_say(
        requests in requests(),
        asked in proptest::collection::vec(session_filter(), 40),
    ) {
        let store = filled(&requests);
        let query = store.query();
        for filter in asked {
            let expected = plain_sessions(&query, &filter);
            let clients = newest(plain_clients(&expected), filter.limit);
            let sessions = newest(expected, filter.limit);
            prop_assert_eq!(query.sessions(&filter).unwrap(), sessions, "sessions, {:?}", filter);
            prop_assert_eq!(query.clients(&filter).unwrap(), clients, "clients, {:?}", filter);
        }
    }

    #[test]
    fn a_tool_is_unused_if_no_row_in_the_range_calls_it(
        requests in requests(),
        time_ranges in proptest::collection::vec(time_range(), 20),
    ) {
        let store = filled(&requests);
        store.schema_version(7, "p", r#"{"tools":[{"name":"search"},{"name":"read"},{"name":"never"}]}"#);
        let query = store.query();
        let all = all_rows(&query);
        for time_range in time_ranges {
            let last_call = |tool: &str, time_range| {
                let filter = RequestFilter {
                    time_range,
                    proxy: Some("p".into()),
                    method: Some("tools/call".into()),
                    tool: Some(tool.into()),
                    // A server has no tools of its client's.
                    direction: Some(Direction::Client),
                    ..RequestFilter::default()
                };
                kept(&filter, &all).last().map(|row| row.ts)
            };
            let unused = ["never", "read", "search"].into_iter().filter(|tool| last_call(tool, time_range).is_none());
            let expected: Vec<_> = unused
                .map(|tool| UnusedToolRow {
                    proxy: "p".into(),
                    upstream_url: "http://up".into(),
                    tool: tool.into(),
                    known_since: 7,
                    last_called_at: last_call(tool, TimeRange::default()),
                })
                .collect();
            prop_assert_eq!(query.unused_tools(time_range, None).unwrap(), expected, "{:?}", time_range);
        }
    }
}
