//! Expiring against the model: what is left is what the younger events alone give, whatever was removed when.

use super::*;
use crate::ground::position::Offset;
use crate::index::expiry::{Expiry, Stage};
use crate::index::expiry_plan::{ExpiryPlan, ExpiryReason};
use crate::index::expiry_turn::Look;
use crate::index::row_retention::{RetentionTime, RowRetention};
use crate::index::schema_history::CALLERS_MAX;
use crate::query::database::Query;
use crate::query::integrity::Integrity;
use crate::segment::reader::FrameAt;

const MINUTE: i64 = 60_000;
/// From one time of the model to the next: so much that the times lie in cells of several levels.
const SPREAD: i64 = 7 * MINUTE;

/// The event at times that are minutes apart.
pub(super) fn spread(mut event: Owned) -> Owned {
    match &mut event {
        Owned::Request { ts, .. } => *ts *= SPREAD,
        // A version goes with its last sighting, so that one that is only seen again later would depend on when.
        Owned::Schema { ts, has_payload, .. } => (*ts, *has_payload) = (*ts * SPREAD, true),
        Owned::Session { started_at, .. } => *started_at *= SPREAD,
        Owned::Closed { ended_at, .. } => *ended_at *= SPREAD,
    }
    event
}

fn events() -> impl Strategy<Value = Vec<Owned>> {
    proptest::collection::vec(event().prop_map(spread), 0..30)
}

fn integer(value: &Value) -> i64 {
    match value {
        Value::Integer(value) => *value,
        _ => i64::MIN,
    }
}

/// When a row of the model's sessions was over.
fn over_at(session: &[Value]) -> i64 {
    [2, 3, 4].map(|column| integer(&session[column])).into_iter().max().unwrap()
}

/// The request that each id stands for, by the model.
fn winners(events: &[Owned]) -> BTreeMap<String, (i64, Option<String>)> {
    let text = |value: &Value| match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    let rows = model(events).swap_remove(0);
    rows.iter().map(|row| (text(&row[0]).unwrap(), (integer(&row[1]), text(&row[3])))).collect()
}

/// What the tables say if `before` was folded, then everything older than `first` expired, then `after` came, then
/// everything older than `second` expired.
pub(super) fn expired_model(before: &[Owned], first: i64, after: &[Owned], second: i64) -> Vec<Vec<Vec<Value>>> {
    let over: BTreeSet<String> = model(before)[1]
        .iter()
        .filter(|session| over_at(session) < first)
        .map(|session| match &session[0] {
            Value::Text(id) => id.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    let is_over = |id: &str| over.contains(&*cut::name(id, ID_BYTES_MAX));
    // Requests whose session is gone are gone for good; those of a session that goes on still count in its sums.
    let forgotten: BTreeSet<String> = winners(before)
        .into_iter()
        .filter(|(_, (ts, session))| *ts < first && session.as_ref().is_none_or(|session| over.contains(session)))
        .map(|(id, _)| id)
        .collect();
    let kept = before.iter().filter(|event| match event {
        Owned::Request { id, .. } => !forgotten.contains(&*cut::name(id, ID_BYTES_MAX)),
        Owned::Session { id, .. } | Owned::Closed { id, .. } => !is_over(id),
        Owned::Schema { .. } => true,
    });
    let mut all: Vec<Owned> = kept.cloned().collect();
    // One of too many callers that comes back begins anew.
    keep_current_schemas(&mut all, first);
    all.extend_from_slice(after);
    keep_current_schemas(&mut all, second);
    let mut tables = model_since(&all, second);
    tables[0].retain(|request| integer(&request[1]) >= second);
    tables[1].retain(|session| over_at(session) >= second);
    tables
}

/// Leaves of the schemas from before `kept_since` what was current for each of the callers who were seen last, since it
/// became so.
fn keep_current_schemas(events: &mut Vec<Owned>, kept_since: i64) {
    for of in ["initialize", "tools/list"] {
        let old: Vec<_> = sightings(events, of).into_iter().filter(|sighting| sighting.ts < kept_since).collect();
        let is_expired = |sighting: &Sighted| {
            let Some(place) = old.iter().position(|other| other == sighting) else { return false };
            let of_caller = |other: &&Sighted| other.caller == sighting.caller;
            let last = old.iter().rposition(|other| of_caller(&other)).unwrap();
            let others: BTreeSet<_> = old[last + 1..].iter().map(|other| other.caller).collect();
            old[place..].iter().filter(of_caller).any(|other| other.hash != sighting.hash)
                || others.len() >= CALLERS_MAX
        };
        events.retain(|event| match event {
            Owned::Schema { ts, method, tools, caller, .. } if *method == of => {
                !is_expired(&Sighted { ts: *ts, caller, tools: tools.clone(), hash: payload(tools) })
            }
            _ => true,
        });
    }
}

/// What came in time: no request from before, and none whose id stood for a request that is expired. Whether that one
/// is known depends on when its row was removed.
pub(super) fn in_time(before: &[Owned], kept_since: i64, after: Vec<Owned>) -> Vec<Owned> {
    let winners = winners(before);
    let is_unknown = |id: &str| winners.get(&*cut::name(id, ID_BYTES_MAX)).is_none_or(|(ts, _)| *ts >= kept_since);
    after
        .into_iter()
        .filter(|event| match event {
            Owned::Request { id, ts, .. } => *ts >= kept_since && is_unknown(id),
            Owned::Schema { ts, .. } => *ts >= kept_since,
            _ => true,
        })
        .collect()
}

impl Fixture {
    fn expire(&mut self, kept_since: i64) {
        self.index().begin_expiring(kept_since).unwrap();
        self.index().finish_expiring().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_is_what_the_younger_events_give(
        before in events(), after in events(), late in events(), one in steps(), other in steps(),
        first in 0..7_i64, more in 0..3_i64,
    ) {
        let (first, second) = (first * SPREAD, (first + more) * SPREAD);
        let mut fixture = Fixture::new();
        fixture.fold(&before, &one);
        fixture.expire(first);
        let after = in_time(&before, first, after);
        // Requests that come late are as good as never recorded.
        let late: Vec<_> = late
            .into_iter()
            .filter(|event| matches!(event, Owned::Request { ts, .. } if *ts < first))
            .collect();
        let all = [before.clone(), late.clone(), after.clone()].concat();
        fixture.fold(&all, &other);
        fixture.expire(second);
        for (found, expected) in fixture.tables().iter().zip(expired_model(&before, first, &after, second)) {
            prop_assert_eq!(found, &expected);
        }
        let late_requests = fixture.rows("SELECT late_requests FROM retention");
        prop_assert_eq!(&late_requests[0][0], &Value::Integer(late.len() as i64));
        let kept = fixture.derived();
        fixture.index().rebuild(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        prop_assert_eq!(kept, fixture.derived());
    }

    #[test]
    fn folding_between_steps_and_crashes_leaves_nothing_behind(
        before in events(), after in events(), steps in proptest::collection::vec((0..9_usize, any::<bool>()), 1..5),
        first in 1..6_i64,
    ) {
        let kept_since = first * SPREAD;
        let mut fixture = Fixture::new();
        fixture.fold(&before, &[]);
        fixture.index().begin_expiring(kept_since).unwrap();
        let mut folded = before.clone();
        let after = in_time(&before, kept_since, after);
        for ((steps, crashes), event) in steps.into_iter().cycle().zip(&after) {
            expire_steps(fixture.index(), steps);
            if crashes {
                fixture.reopen();
            }
            folded.push(event.clone());
            fixture.fold(&folded, &[]);
            // Half expired is sound too.
            let found = Query::open(fixture.dir.path()).unwrap().integrity(true).unwrap();
            prop_assert_eq!(found, Integrity::default());
        }
        fixture.index().finish_expiring().unwrap();
        // What is older and came between, a close or a version, goes the next time.
        fixture.expire(kept_since);
        // Only whether a session was over already when something more came of it depends on the steps.
        let (found, expected) = (fixture.tables(), expired_model(&before, kept_since, &after, kept_since));
        for table in [0, 2, 3] {
            prop_assert_eq!(&found[table], &expected[table]);
        }
        prop_assert!(found[1].iter().all(|session| over_at(session) >= kept_since));
        let kept = (fixture.tables(), fixture.derived());
        fixture.index().rebuild(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        prop_assert_eq!(kept, (fixture.tables(), fixture.derived()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dense_minutes_expire_with_their_seconds(events in crowd(), minute in 0..3_i64) {
        let mut fixture = Fixture::new();
        fixture.fold(&events, &[]);
        fixture.expire(minute * MINUTE);
        let kept = fixture.derived();
        let seconds = fixture.rows(&format!("SELECT count(*) FROM rollups WHERE start < {minute} * 60000 AND level < 2"));
        prop_assert_eq!(&seconds[0][0], &Value::Integer(0));
        fixture.index().rebuild(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        prop_assert_eq!(kept, fixture.derived());
    }
}

fn request(number: i64, ts: i64) -> Owned {
    Owned::Request {
        id: format!("r{number}"),
        ts,
        proxy: format!("p{}", number % 3),
        session: Some(format!("s{}", number / 10)),
        status: (number % 3) as usize,
        tool_error: None,
        told: None,
    }
}

#[test]
fn a_call_that_is_gone_comes_back_under_a_new_number() {
    let mut fixture = Fixture::new();
    let events = [request(1, 0), request(2, 5 * MINUTE), request(4, 9 * MINUTE)];
    fixture.fold(&events[..2], &[]);
    fixture.expire(MINUTE);
    assert_eq!(fixture.rows("SELECT proxy FROM calls"), [[Value::Text("p2".into())]]);
    fixture.fold(&events, &[]);
    assert_eq!(fixture.rows("SELECT count(*) FROM requests WHERE proxy IS NULL"), [[Value::Integer(0)]]);
    let kept = fixture.derived();
    fixture.index().rebuild(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!(kept, fixture.derived());
}

#[test]
fn names_that_are_gone_leave_their_places_to_new_ones() {
    let mut fixture = Fixture::new();
    let session = |number: i64, started_at| Owned::Session {
        id: format!("s{number}"),
        started_at,
        proxy: format!("p{number}"),
        client: Some(format!("c{number}")),
        noise: None,
    };
    let mut events: Vec<_> = (0..9).map(|number| session(number, 0)).collect();
    fixture.fold(&events, &[]);
    let crowded = "SELECT proxy, client_name, client_version FROM sessions WHERE session_id = 's8'";
    let [client, other] = ["c8", OTHER_NAME].map(|name| Value::Text(name.into()));
    assert_eq!(fixture.rows(crowded), [[other.clone(), client, other]]);
    fixture.expire(MINUTE);
    events.push(session(9, MINUTE));
    fixture.fold(&events, &[]);
    let [proxy, client] = ["p9", "c9"].map(|name| Value::Text(name.into()));
    assert_eq!(fixture.rows("SELECT proxy, client_name, client_version FROM sessions"), [[proxy, client, Value::Null]]);
    assert_eq!(fixture.rows("SELECT count(*) FROM clients"), [[Value::Integer(1)]]);
}

#[test]
fn a_name_that_a_session_gets_while_unused_ones_are_looked_for_stays() {
    let mut fixture = Fixture::new();
    let session = |number: i64, started_at, name: i64| Owned::Session {
        id: format!("s{number}"),
        started_at,
        proxy: format!("p{name}"),
        client: Some(format!("c{name}")),
        noise: None,
    };
    let mut events: Vec<_> = (0..8).map(|number| session(number, 0, number)).collect();
    fixture.fold(&events, &[]);
    fixture.index().begin_expiring(MINUTE).unwrap();
    while !format!("{:?}", fixture.index().held.expiry).contains("UnusedNames") {
        expire_steps(fixture.index(), 1);
    }
    events.push(session(8, MINUTE, 3));
    fixture.fold(&events, &[]);
    fixture.index().finish_expiring().unwrap();
    assert_eq!(fixture.rows("SELECT client_name FROM clients"), [[Value::Text("c3".into())]]);
    let kept = fixture.derived();
    fixture.index().rebuild(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!(kept, fixture.derived());
}

#[test]
fn gaps_and_the_quarantine_expire_too_but_not_what_it_says_of_segments_that_are_in_the_log() {
    let mut fixture = Fixture::new();
    fixture
        .index()
        .connection
        .execute_batch(
            "INSERT INTO writers (id, writer) VALUES (1, '07070707-0707-0707-0707-070707070707'),
                                                     (2, '08080808-0808-0808-0808-080808080808');
             INSERT INTO gaps VALUES (1, 0, 1, 9, 0, 1, 1), (2, 1, 59999, 9, 1, 1, 2), (3, 59999, 60000, 9, 0, 1, 11);
             INSERT INTO quarantine (writer, segment, offset, bytes, reason, noted_at)
             VALUES (2, 1, 1, 1, '', 1), (2, 1, 2, 1, '', 2), (2, 1, 3, 1, '', 60000), (1, 1, 4, 1, '', 1)",
        )
        .unwrap();
    fixture.index().begin_expiring(MINUTE).unwrap();
    while fixture
        .index()
        .expire(Look::Seldom, &RowRetention::UNLIMITED, RetentionTime::of_clock(0), &[WRITER].into())
        .unwrap()
    {}
    assert_eq!(fixture.rows("SELECT id FROM gaps"), [[Value::Integer(3)]]);
    assert_eq!(fixture.rows("SELECT offset FROM quarantine ORDER BY 1"), [[Value::Integer(3)], [Value::Integer(4)]]);
}

/// So many steps, or fewer if all is done before.
fn expire_steps(index: &mut Index, steps: usize) {
    for _ in 0..steps {
        if index.held.expiry.stage != Stage::Look {
            index.step(&RowRetention::UNLIMITED).unwrap();
        }
    }
}

/// Expires until nothing is left to do.
fn expire_all(index: &mut Index, config: &Config, now: i64) {
    while index
        .expire(Look::Seldom, &RowRetention::new(&config.limits()), RetentionTime::of_clock(now), &[WRITER].into())
        .unwrap()
    {}
}

#[test]
fn an_age_expires_what_is_older_and_no_more() {
    let mut fixture = Fixture::new();
    let mut config = Config::new(fixture.dir.path());
    fixture.fold(&(0..100).map(|number| request(number, number * MINUTE)).collect::<Vec<_>>(), &[]);
    expire_all(fixture.index(), &config, 100 * MINUTE);
    assert_eq!(fixture.rows("SELECT count(*) FROM requests"), [[Value::Integer(100)]], "without a limit");
    config.keep_rows_age_ms = Some(30 * MINUTE as u64);
    expire_all(fixture.index(), &config, 100 * MINUTE + 7);
    assert_eq!(fixture.rows("SELECT min(ts) FROM requests"), [[Value::Integer(70 * MINUTE)]]);
    assert_eq!(fixture.rows("SELECT count(*), min(session_id) FROM sessions")[0][0], Value::Integer(3));
}

#[test]
fn a_clock_that_was_wrong_and_is_right_again_makes_no_request_late() {
    let mut fixture = Fixture::new();
    let mut config = Config::new(fixture.dir.path());
    config.keep_rows_age_ms = Some(30 * MINUTE as u64);
    let events: Vec<_> = (0..10).map(|number| request(number, number * MINUTE)).collect();
    fixture.fold(&events[..5], &[]);
    expire_all(fixture.index(), &config, 1_000_000 * MINUTE);
    fixture.reopen();
    expire_all(fixture.index(), &config, 10 * MINUTE);
    fixture.fold(&events, &[]);
    assert_eq!(fixture.rows("SELECT count(*) FROM requests"), [[Value::Integer(5)]]);
}

#[test]
fn a_limit_of_size_lets_the_oldest_go_and_the_file_gets_shorter() {
    let mut fixture = Fixture { dir: tempfile::tempdir().unwrap(), index: None };
    let mut config = Config::new(fixture.dir.path());
    config.database_bytes_max = Some(u64::MAX >> 1);
    fixture.index = Some(Index::open(&config, STORE).unwrap());
    fixture.fold(&(0..20_000).map(|number| request(number, number * 500)).collect::<Vec<_>>(), &[]);
    let path = fixture.dir.path().join(DATABASE_NAME);
    let bytes = || std::fs::metadata(&path).unwrap().len();
    fixture.index().connection.pragma(None, "wal_checkpoint", "TRUNCATE", |_| Ok(())).unwrap();
    let before = bytes();
    config.database_bytes_max = Some(before / 2);
    expire_all(fixture.index(), &config, i64::MAX);
    assert!(bytes() <= before / 2, "{} of {before}", bytes());
    assert!(bytes() > before / 3, "{} of {before}", bytes());
    assert_eq!(std::fs::metadata(fixture.dir.path().join("store.db-wal")).unwrap().len(), 0);
    assert_eq!(fixture.rows("SELECT max(ts) FROM requests"), [[Value::Integer(19_999 * 500)]]);
    assert_eq!(fixture.rows("PRAGMA integrity_check"), [[Value::Text("ok".into())]]);
    let kept = fixture.derived();
    fixture.index().rebuild(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!(kept, fixture.derived());
}

#[test]
fn a_database_that_was_created_without_a_limit_shrinks_when_it_is_rebuilt() {
    let mut fixture = Fixture::new();
    let mut config = Config::new(fixture.dir.path());
    fixture.fold(&(0..5_000).map(|number| request(number, number * 500)).collect::<Vec<_>>(), &[]);
    let pages = |fixture: &mut Fixture, pragma: &str| integer(&fixture.rows(&format!("PRAGMA {pragma}"))[0][0]);
    let before = pages(&mut fixture, "page_count");
    config.database_bytes_max = Some(before as u64 * u64::from(PAGE_BYTES) / 2);
    expire_all(fixture.index(), &config, i64::MAX);
    assert_eq!(pages(&mut fixture, "page_count"), before);
    assert!(pages(&mut fixture, "freelist_count") > before / 3);
    let tables = fixture.tables();
    fixture.index().rebuild(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert!(pages(&mut fixture, "page_count") < before * 2 / 3);
    assert_eq!(pages(&mut fixture, "auto_vacuum"), 2);
    assert_eq!(fixture.tables(), tables);
}

#[test]
fn a_limit_that_nothing_can_meet_leaves_the_newest_minute() {
    let mut fixture = Fixture::new();
    let mut config = Config::new(fixture.dir.path());
    fixture.fold(&[request(1, 0), request(2, MINUTE), request(3, 2 * MINUTE)], &[]);
    config.database_bytes_max = Some(1);
    expire_all(fixture.index(), &config, i64::MAX);
    assert_eq!(fixture.rows("SELECT request_id FROM requests"), [[Value::Text("r3".into())]]);
}

impl Fixture {
    /// Records of a newer build come, which were noted at these times.
    fn keep_newer(&mut self, noted_at: impl IntoIterator<Item = i64>) {
        let (first, times) = (100_000_u64, noted_at.into_iter().collect::<Vec<_>>());
        let mut batch = self.index().begin().unwrap();
        for sequence in (first..).take(times.len()) {
            let payload = [&[200, 1][..], &[7; 500]].concat();
            let frame = FrameAt { offset: Offset(4096), sequence: Sequence(sequence), payload: &payload };
            batch.keep_newer(WRITER, SegmentId(1), &frame, (200, 1)).unwrap();
        }
        batch.commit().unwrap();
        let mut update =
            self.index().connection.prepare("UPDATE newer_records SET noted_at = ?1 WHERE sequence = ?2").unwrap();
        for (noted_at, sequence) in times.iter().zip(first..) {
            update.execute(rusqlite::params![noted_at, sequence]).unwrap();
        }
    }

    fn newer(&mut self) -> i64 {
        integer(&self.rows("SELECT count(*) FROM newer_records")[0][0])
    }
}

#[test]
fn records_that_wait_for_a_newer_build_expire_with_what_was_noted_when_they_were() {
    let mut fixture = Fixture::new();
    let mut config = Config::new(fixture.dir.path());
    fixture.keep_newer((0..10).map(|number| number * MINUTE));
    expire_all(fixture.index(), &config, 10 * MINUTE);
    assert_eq!(fixture.newer(), 10, "without a limit they wait for ever");
    config.keep_rows_age_ms = Some(4 * MINUTE as u64);
    expire_all(fixture.index(), &config, 10 * MINUTE);
    assert_eq!(fixture.rows("SELECT min(noted_at) FROM newer_records"), [[Value::Integer(6 * MINUTE)]]);
    assert_eq!(fixture.newer(), 4);
}

#[test]
fn records_that_wait_for_a_newer_build_keep_no_database_above_its_limit() {
    for requests in [0, 2_000] {
        let mut fixture = Fixture { dir: tempfile::tempdir().unwrap(), index: None };
        let mut config = Config::new(fixture.dir.path());
        config.database_bytes_max = Some(u64::MAX >> 1);
        fixture.index = Some(Index::open(&config, STORE).unwrap());
        fixture.fold(&(0..requests).map(|number| request(number, number * 3_000)).collect::<Vec<_>>(), &[]);
        fixture.keep_newer((0..2_000).map(|number| number * 3_000));
        let path = fixture.dir.path().join(DATABASE_NAME);
        fixture.index().connection.pragma(None, "wal_checkpoint", "TRUNCATE", |_| Ok(())).unwrap();
        let before = std::fs::metadata(&path).unwrap().len();
        config.database_bytes_max = Some(before / 2);
        let planned = ExpiryPlan::read(
            &fixture.index().connection,
            &RowRetention::new(&config.limits()),
            RetentionTime::of_clock(i64::MAX),
            &[WRITER].into(),
        );
        let planned = planned.unwrap().unwrap();
        assert_eq!(planned.reason, ExpiryReason::Size);
        expire_all(fixture.index(), &config, i64::MAX);
        assert!(std::fs::metadata(&path).unwrap().len() <= before / 2, "with {requests} requests");
        let left = fixture.newer();
        assert!((1..2_000).contains(&left), "{left} with {requests} requests");
        let newest = fixture.rows("SELECT max(noted_at) FROM newer_records");
        assert_eq!(newest, [[Value::Integer(1_999 * 3_000)]], "the oldest go");
    }
}

/// How many rows each table has, and how many pages the database, and how many were written to SQLite's WAL.
fn held(fixture: &mut Fixture) -> [i64; 10] {
    let tables =
        ["rollups", "request_rows", "session_state", "schema_versions", "gaps", "quarantine", "newer_records", "calls"];
    let rows = tables.map(|table| integer(&fixture.rows(&format!("SELECT count(*) FROM {table}"))[0][0]));
    let pages = integer(&fixture.rows("PRAGMA page_count")[0][0]);
    let wal = std::fs::metadata(fixture.dir.path().join("store.db-wal")).unwrap().len();
    let [rollups, requests, sessions, versions, gaps, quarantine, newer, calls] = rows;
    [
        rollups,
        requests,
        sessions,
        versions,
        gaps,
        quarantine,
        newer,
        calls,
        pages,
        -((wal / u64::from(PAGE_BYTES)) as i64),
    ]
}

#[test]
fn a_step_removes_a_few_rows_and_writes_a_few_pages_whatever_there_is() {
    let mut fixture = Fixture { dir: tempfile::tempdir().unwrap(), index: None };
    let mut config = Config::new(fixture.dir.path());
    config.database_bytes_max = Some(1);
    fixture.index = Some(Index::open(&config, STORE).unwrap());
    // Everything stays in the WAL, which tells how much was written.
    fixture.copy_from(u32::MAX);
    let version = |number: u8| Owned::Schema {
        ts: number.into(),
        method: "tools/list",
        tools: vec![('a', number)],
        caller: "",
        has_payload: true,
    };
    let requests = (0..3_000).map(|number| request(number, number * 2_000));
    fixture.fold(&(0..20).map(version).chain(requests).collect::<Vec<_>>(), &[]);
    fixture
        .index()
        .connection
        .execute_batch(
            "WITH n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 50)
             INSERT INTO gaps SELECT 100000 + i, 0, 1, 1, 0, 1, i FROM n;
             WITH n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 50)
             INSERT INTO quarantine (writer, segment, offset, bytes, reason, noted_at) SELECT 1, 0, i, 1, '', 1 FROM n;
             WITH n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 50)
             INSERT INTO calls (proxy, method, tool) SELECT 'q', 'm', i FROM n",
        )
        .unwrap();
    fixture.keep_newer([1; 50]);
    fixture.index().held.expiry.present = Some([].into());
    fixture.index().begin_expiring(90 * MINUTE).unwrap();
    let (first, mut before) = (held(&mut fixture), held(&mut fixture));
    while fixture.index().held.expiry.stage != Stage::Look {
        expire_steps(fixture.index(), 1);
        let after = held(&mut fixture);
        let stage = format!("{:?}", fixture.index().held.expiry);
        // SQLite's WAL is emptied at the end.
        for ((before, after), max) in before.iter().zip(&after).zip([3, 2, 2, 1, 3, 3, 1, 1, 8, 48]) {
            assert!(before - after <= max, "from {before} to {after}: {stage}");
        }
        before = after;
    }
    assert!(first.iter().zip(&before).take(9).all(|(first, last)| last < first), "{first:?} {before:?}");
    assert_eq!(before[1], 300);
}

impl Fixture {
    /// A limited database with a thread of its own for copies, and requests in it: half an hour's, four a second.
    fn aside() -> (Self, RowRetention) {
        let mut fixture = Self { dir: tempfile::tempdir().unwrap(), index: None };
        let mut config = Config::new(fixture.dir.path());
        config.keep_rows_age_ms = Some(10 * MINUTE as u64);
        fixture.index = Some(Index::open(&config, STORE).unwrap().with_copying_thread());
        fixture.fold(&(0..7_200).map(|number| request(number, number * 250)).collect::<Vec<_>>(), &[]);
        (fixture, RowRetention::new(&config.limits()))
    }

    /// Expires until nothing is left to do, like the compactor: who waits for a copy goes on when it is made.
    fn expire_all_aside(
        &mut self,
        retention: &RowRetention,
        mut between: impl FnMut(&mut Self),
    ) -> Result<(), IndexError> {
        loop {
            let more =
                self.index().expire(Look::Seldom, retention, RetentionTime::of_clock(30 * MINUTE), &[WRITER].into())?;
            between(self);
            self.index().copier.wait();
            let Expiry { stage, looked_at, .. } = &self.index().held.expiry;
            if !more && *stage == Stage::Look && looked_at.is_some() {
                return Ok(());
            }
        }
    }

    fn log_pages(&self) -> u64 {
        std::fs::metadata(self.dir.path().join("store.db-wal")).unwrap().len() / u64::from(PAGE_BYTES)
    }
}

#[test]
fn sqlites_wal_stays_short_while_requests_expire_and_is_empty_afterwards() {
    let (mut fixture, retention) = Fixture::aside();
    fixture.index().connection.pragma(None, "wal_checkpoint", "TRUNCATE", |_| Ok(())).unwrap();
    let bytes = |fixture: &Fixture| std::fs::metadata(fixture.dir.path().join(DATABASE_NAME)).unwrap().len();
    let before = bytes(&fixture);
    let mut longest = 0;
    fixture.expire_all_aside(&retention, |fixture| longest = longest.max(fixture.log_pages())).unwrap();
    // It gets as long as it may, and then by one step at most.
    assert!((32..32 + 48).contains(&longest), "{longest} pages");
    assert_eq!(fixture.log_pages(), 0);
    assert_eq!(fixture.rows("SELECT min(ts) FROM requests"), [[Value::Integer(20 * MINUTE)]]);
    assert!(bytes(&fixture) < before * 3 / 4, "{} of {before}", bytes(&fixture));
}

#[test]
fn a_reader_that_keeps_sqlites_wal_does_not_keep_what_is_expired() {
    let (mut fixture, retention) = Fixture::aside();
    let reader = Connection::open(fixture.dir.path().join(DATABASE_NAME)).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM requests").unwrap();
    fixture.expire_all_aside(&retention, |_| ()).unwrap();
    assert_eq!(fixture.rows("SELECT min(ts) FROM requests"), [[Value::Integer(20 * MINUTE)]]);
    assert!(fixture.log_pages() > 32);
}

#[test]
fn a_copy_on_its_own_thread_that_failed_is_told_and_leaves_sqlites_wal_in_doubt() {
    let (mut fixture, retention) = Fixture::aside();
    sabotage::order(fixture.dir.path(), Spot::CopyWal, 0, 1, sabotage::fail);
    let error = fixture.expire_all_aside(&retention, |_| ()).unwrap_err();
    assert!(error.to_string().contains("disk I/O error"), "{error}");
    assert!(fixture.index().wal_in_doubt.load(Ordering::Relaxed));
    fixture.index().make_durable().unwrap();
    assert!(!fixture.index().wal_in_doubt.load(Ordering::Relaxed));
    // All of it was copied before anything was called durable, by one more commit.
    assert!(fixture.log_pages() <= 1, "{} pages", fixture.log_pages());
    fixture.expire_all_aside(&retention, |_| ()).unwrap();
    assert_eq!(fixture.rows("SELECT min(ts) FROM requests"), [[Value::Integer(20 * MINUTE)]]);
}
