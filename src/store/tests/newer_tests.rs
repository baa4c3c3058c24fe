//! Records of a newer build: an older one keeps them, folds what it knows, and the newer one folds the rest, once.
//!
//! The newer build is made up: it knows a kind 200 and the version 2 of requests, each of which holds another record whole.

use super::super::rebuild::{Source, rebuild};
use super::{PATIENCE, wait_until};
use crate::event::Event;
use crate::ground::clock::now_ms;
use crate::ground::config::Config;
use crate::ground::health::Part;
use crate::ground::position::{SegmentId, Sequence, WriterId};
use crate::ground::random_uuid::random_uuid;
use crate::ground::sabotage::{self, Spot, fail, panic};
use crate::index::build::Build;
use crate::query::database::Query;
use crate::query::filter::{RequestFilter, SessionFilter};
use crate::record::record::{DECODER, Decoder, Record, RecordError};
use crate::segment::directory;
use crate::segment::format::LogIdentity;
use crate::segment::store_id_file::{self, FoundStoreId};
use crate::segment::writer::PreparedSegment;
use crate::segment::writer_folder::{WriterFolder, writer_folders};
use crate::store::store::Store;
use crate::{Request, SessionClosed};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

/// Knows what this build knows, and the made-up kind, and the made-up version.
const NEWER: Decoder = |payload| match payload {
    [200, 1, inner @ ..] => decode_inner(200, 1, inner),
    [1, 2, inner @ ..] => decode_inner(1, 2, inner),
    _ => Record::decode(payload),
};

/// Knows the kind, and not the version.
const HALFWAY: Decoder = |payload| match payload {
    [200, 1, inner @ ..] => decode_inner(200, 1, inner),
    _ => Record::decode(payload),
};

fn decode_inner(kind: u8, version: u8, inner: &[u8]) -> Result<Record<'_>, RecordError> {
    Record::decode(inner).map_err(|_| RecordError::Fields { kind, version })
}

/// How an event is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum As {
    Known,
    NewKind,
    NewVersion,
    /// Of the new kind, with fields that are none.
    Nonsense,
}

fn payload(event: &Event<'_>, how: As) -> Vec<u8> {
    let mut payload: Vec<u8> = match how {
        As::Known => Vec::new(),
        As::NewKind => vec![200, 1],
        As::NewVersion => vec![1, 2],
        As::Nonsense => return vec![200, 1, 99],
    };
    Record::from(*event).encode(&mut payload);
    payload
}

fn with_request<T>(number: u64, take: impl FnOnce(Request<'_>) -> T) -> T {
    let (id, session) = (format!("request-{number}"), format!("session-{}", number % 7));
    let mut request = Request::new(&id, 1_760_000_000_000 + number as i64, "files", "tools/call");
    request.session_id = Some(&session);
    take(request)
}

/// A store that builds of several ages open in turn.
struct Fixture {
    _root: tempfile::TempDir,
    config: Config,
    store: Option<Store>,
    recorded: u64,
}

impl Fixture {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut config = Config::new(root.path().join("data"));
        config.segment_bytes = 64 * 1024;
        let mut fixture = Self { _root: root, config, store: None, recorded: 0 };
        fixture.reopen_as(DECODER);
        fixture
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn shut_down(&mut self) {
        self.store.take().unwrap().shutdown(PATIENCE);
    }

    /// The same store, which a build opens that knows so much.
    fn reopen_as(&mut self, decode: Decoder) {
        if self.store.is_some() {
            self.shut_down();
        }
        self.store = Some(Store::open_with(self.config.clone(), &Build { decode, ..Build::THIS }).unwrap());
    }

    /// Records so many events as this build writes them.
    fn record(&mut self, events: u64) {
        let recorder = self.store().recorder();
        for number in self.recorded..self.recorded + events {
            with_request(number, |request| recorder.record(request));
        }
        self.recorded += events;
    }

    /// The segments of all logs that wait, are kept, or lie in quarantine.
    fn segments(&self) -> Vec<PathBuf> {
        let dirs = [self.config.wal_dir(), self.config.kept_dir(), self.config.quarantine_dir()];
        let folders = dirs.iter().flat_map(|dir| writer_folders(dir).unwrap().folders);
        folders.flat_map(|folder| directory::list(&folder.path).unwrap()).map(|file| file.path).collect()
    }

    /// The store is shut, and its database is made anew from the log, by this build.
    fn rebuild(&self) {
        for name in ["store.db", "store.db-wal", "store.db-shm"] {
            let _ = std::fs::remove_file(self.config.dir.join(name));
        }
        rebuild(&Config::new(&self.config.dir), Source::Log, |_, _| ControlFlow::Continue(())).unwrap();
    }

    fn wait_for_problem(&self, part: Part) {
        wait_until("health says something", || self.store().stats().health.problems.contains_key(&part));
    }

    /// Every event that was recorded is in the database once, each with a number of its own, and in its session's sums.
    fn assert_each_event_is_folded_once(&self) {
        let query = Query::open(&self.config.dir).unwrap();
        let rows = query.requests(&RequestFilter::default()).unwrap();
        let mut ids: Vec<_> = rows.iter().map(|row| row.request_id.clone()).collect();
        ids.sort();
        let mut expected: Vec<_> = (0..self.recorded).map(|number| format!("request-{number}")).collect();
        expected.sort();
        assert_eq!(ids, expected);
        let sessions = query.sessions(&SessionFilter::default()).unwrap();
        assert_eq!(sessions.iter().map(|session| session.total_calls).sum::<i64>(), self.recorded as i64);
        let mut numbers: Vec<_> = rows.iter().map(|row| row.id).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!((numbers.len(), query.quarantine().unwrap()), (ids.len(), 0));
    }

    /// What a newer build would leave that was killed: a log with these events, the store being shut.
    fn record_newer(&mut self, events: impl IntoIterator<Item = As>) {
        let FoundStoreId::Is(store) = store_id_file::read(&self.config.dir).unwrap() else { panic!("no store id") };
        let writer = WriterId(random_uuid(&self.config.dir).unwrap());
        let folder = WriterFolder::within(&self.config.wal_dir(), writer);
        std::fs::create_dir(&folder.path).unwrap();
        let prepared = PreparedSegment::create(&folder.path, SegmentId(1), 1024 * 1024).unwrap();
        let identity = LogIdentity { store, ..LogIdentity::sample(writer) };
        let (mut writer, _syncer) = prepared.activate(identity, Sequence(1), 5).unwrap();
        for how in events {
            with_request(self.recorded, |request| writer.append(&payload(&Event::from(request), how)).unwrap());
            // One that is nonsense is no event.
            self.recorded += u64::from(how != As::Nonsense);
        }
    }

    fn wait_until_waiting(&self, records: u64) {
        // The thread that folds opens the database some time after the store is open.
        let told = || Query::open(&self.config.dir).and_then(|query| query.totals()).map(|totals| totals.newer_records);
        wait_until("so many wait", || told().is_ok_and(|told| told == records as i64));
        wait_until("the store knows it", || self.store().stats().newer_records == records);
    }

    /// Waits until all that was recorded and all that others left is folded.
    fn fold_all(&self) {
        self.store().wait_folded(PATIENCE).unwrap();
        wait_until("the logs of others are gone", || {
            let left = writer_folders(&self.config.wal_dir()).unwrap().folders;
            left.iter().all(|folder| Some(folder.writer) == self.store().writer())
        });
    }

    fn folded_requests(&self) -> i64 {
        Query::open(&self.config.dir).unwrap().totals().unwrap().requests
    }

    /// The rows that people read, and the sums that were made from them are what the rows say.
    fn tables(&self) -> String {
        let query = Query::open(&self.config.dir).unwrap();
        assert_eq!(query.integrity(false).unwrap(), crate::query::integrity::Integrity::default());
        let mut requests = query.requests(&RequestFilter::default()).unwrap();
        // Ids are the order of folding.
        requests.iter_mut().for_each(|row| row.id = 0);
        requests.sort_by(|one, other| one.request_id.cmp(&other.request_id));
        let mut sessions = query.sessions(&SessionFilter::default()).unwrap();
        sessions.sort_by(|one, other| one.session_id.cmp(&other.session_id));
        let tools = query.tool_stats(&RequestFilter::default()).unwrap();
        format!("{requests:#?}\n{sessions:#?}\n{tools:#?}")
    }
}

/// Known ones, of the new kind and of the new version, all mixed.
fn mixed() -> impl Iterator<Item = As> {
    (0..60).map(|number| [As::Known, As::NewKind, As::Known, As::NewVersion][number % 4])
}

/// A store of this build, with ten events.
fn begun() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.record(10);
    fixture.fold_all();
    fixture.shut_down();
    fixture
}

#[test]
fn what_a_newer_build_wrote_waits_beyond_its_segment_and_is_folded_once_by_the_build_that_knows_it() {
    let mut fixture = begun();
    fixture.record_newer(mixed());
    let first = fixture.segments();
    fixture.reopen_as(DECODER);
    fixture.record(10);
    fixture.fold_all();
    fixture.wait_until_waiting(30);
    // Folding went on behind each of them.
    assert_eq!(fixture.folded_requests(), 50);
    let stats = fixture.store().stats();
    assert!(stats.health.is_ok(), "no damage: {}", stats.health);
    let text = &stats.health.notes[&Part::NewerRecords];
    assert_eq!(stats.health.to_string(), format!("ok; beside that, {text}"));
    assert!(text.contains("15 of kind 1, version 2; 15 of kind 200, version 1"), "{text}");
    assert!(text.contains("open the store with that mcplog"), "{text}");
    assert_eq!(Query::open(&fixture.config.dir).unwrap().quarantine().unwrap(), 0);
    // Their segments go like others.
    fixture.shut_down();
    assert!(first.iter().all(|path| !path.exists()), "{:?}", fixture.segments());
    // Opened again by the same build, they wait on.
    fixture.reopen_as(DECODER);
    fixture.wait_until_waiting(30);
    assert_eq!(fixture.folded_requests(), 50);
    // A build that knows one of the two folds that.
    fixture.reopen_as(HALFWAY);
    fixture.wait_until_waiting(15);
    assert_eq!(fixture.folded_requests(), 65);
    fixture.reopen_as(NEWER);
    fixture.wait_until_waiting(0);
    fixture.fold_all();
    assert_eq!(fixture.store().stats().health.to_string(), "ok");
    fixture.assert_each_event_is_folded_once();
    // Back to the older one and forth again: nothing is lost, and nothing comes twice.
    fixture.shut_down();
    fixture.record_newer(mixed());
    fixture.reopen_as(DECODER);
    fixture.wait_until_waiting(30);
    fixture.fold_all();
    fixture.record(5);
    for decode in [NEWER, DECODER, NEWER] {
        fixture.reopen_as(decode);
        fixture.wait_until_waiting(0);
        fixture.fold_all();
        fixture.assert_each_event_is_folded_once();
    }
    // And it is as if the newer build alone had folded everything.
    let mut alone = begun();
    alone.record_newer(mixed());
    alone.reopen_as(NEWER);
    alone.record(10);
    alone.fold_all();
    alone.shut_down();
    alone.record_newer(mixed());
    alone.reopen_as(NEWER);
    alone.record(5);
    alone.fold_all();
    assert_eq!(alone.store().stats().newer_records, 0);
    assert_eq!(fixture.tables(), alone.tables());
}

#[test]
fn a_crash_while_what_waited_is_folded_leaves_each_record_waiting_or_folded() {
    // Each batch of an upgrade dies in turn. There are three records in a batch here.
    for batch in 0..6 {
        let mut fixture = begun();
        fixture.record_newer(mixed());
        fixture.reopen_as(DECODER);
        fixture.wait_until_waiting(30);
        fixture.shut_down();
        sabotage::order(&fixture.config.dir, Spot::Fold, batch, 1, panic);
        fixture.reopen_as(NEWER);
        fixture.wait_for_problem(Part::Thread);
        fixture.shut_down();
        let query = Query::open(&fixture.config.dir).unwrap();
        let (totals, waiting) = (query.totals().unwrap(), 30 - 3 * i64::from(batch));
        assert_eq!((totals.newer_records, totals.requests), (waiting, fixture.recorded as i64 - waiting));
        fixture.reopen_as(NEWER);
        fixture.wait_until_waiting(0);
        fixture.assert_each_event_is_folded_once();
    }
}

#[test]
fn a_database_in_trouble_delays_what_waits_and_loses_nothing_of_it() {
    let mut fixture = begun();
    fixture.record_newer(mixed());
    sabotage::order(&fixture.config.dir, Spot::Fold, 0, 2, fail);
    fixture.reopen_as(DECODER);
    fixture.wait_until_waiting(30);
    fixture.shut_down();
    sabotage::order(&fixture.config.dir, Spot::Fold, 3, 2, fail);
    fixture.reopen_as(NEWER);
    fixture.wait_until_waiting(0);
    fixture.assert_each_event_is_folded_once();
}

#[test]
fn a_waiting_record_that_turns_out_to_be_nonsense_is_quarantined_once_and_whole() {
    let mut fixture = begun();
    fixture.record_newer([As::NewKind, As::Nonsense, As::NewKind]);
    fixture.reopen_as(DECODER);
    fixture.wait_until_waiting(3);
    for _ in 0..2 {
        fixture.reopen_as(NEWER);
        fixture.wait_until_waiting(0);
        fixture.fold_all();
        assert_eq!(fixture.folded_requests(), 12);
        let database = rusqlite::Connection::open(fixture.config.dir.join("store.db")).unwrap();
        let sql = "SELECT sequence, payload FROM quarantine";
        let rows: Vec<(i64, Vec<u8>)> = database
            .prepare(sql)
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(rows, [(2, payload(&SessionClosed::new("", 0).into(), As::Nonsense))]);
    }
}

#[test]
fn a_database_that_is_made_anew_from_the_log_has_them_waiting_again_or_folded() {
    let mut fixture = begun();
    fixture.config.keep_segments_bytes = Some(u64::MAX);
    fixture.record_newer(mixed());
    for (decode, waiting) in [(DECODER, 30), (NEWER, 0), (DECODER, 30)] {
        fixture.reopen_as(decode);
        fixture.wait_until_waiting(waiting);
        fixture.fold_all();
        fixture.shut_down();
        fixture.rebuild();
    }
    fixture.reopen_as(NEWER);
    fixture.wait_until_waiting(0);
    // The first log was folded and let go before any was kept.
    assert_eq!(fixture.folded_requests(), 60);
}

#[test]
fn a_check_says_how_many_wait_in_the_log_and_in_the_database_and_calls_that_no_damage() {
    let mut fixture = begun();
    fixture.record_newer(mixed());
    let check = |fixture: &Fixture| crate::check(&fixture.config.dir, false, |_| {}).unwrap();
    let before = check(&fixture);
    assert_eq!((before.newer_records, before.verdict), (Some(30), crate::store::Severity::Attention));
    fixture.reopen_as(DECODER);
    fixture.wait_until_waiting(30);
    fixture.fold_all();
    fixture.shut_down();
    let after = check(&fixture);
    assert_eq!((after.newer_records, after.verdict), (Some(30), crate::store::Severity::Sound));
    let says = |report: &crate::check::CheckReport| {
        report.findings.iter().any(|finding| finding.text.contains("30 records of a newer mcplog"))
    };
    assert!(says(&before) && says(&after), "{:?} {:?}", before.findings, after.findings);
    fixture.reopen_as(NEWER);
    fixture.wait_until_waiting(0);
    fixture.shut_down();
    let folded = check(&fixture);
    assert_eq!((folded.newer_records, folded.findings.len()), (Some(0), 0), "{:?}", folded.findings);
}

#[test]
fn a_check_names_the_copy_that_was_made_before_a_migration() {
    let fixture = begun();
    let copy = fixture.config.dir.join("store.db.version-3");
    std::fs::copy(fixture.config.dir.join("store.db"), &copy).unwrap();
    let report = crate::check(&fixture.config.dir, true, |_| {}).unwrap();
    assert_eq!(report.findings.iter().map(|finding| &finding.path).collect::<Vec<_>>(), [&copy]);
    assert!(report.findings[0].next_step.contains("delete it unless you may go back"));
    assert_eq!(report.verdict, crate::store::Severity::Sound);
}

#[test]
fn a_database_of_another_version_is_no_damage_and_the_check_says_what_to_do() {
    for (version, advice) in [(1_000, "use a newer mcplog"), (1, "from before the first release")] {
        let fixture = begun();
        let database = rusqlite::Connection::open(fixture.config.dir.join("store.db")).unwrap();
        database.pragma_update(None, "user_version", version).unwrap();
        database.execute("UPDATE meta SET value = ?1 WHERE key = 'oldest_reader'", [version.to_string()]).unwrap();
        drop(database);
        let report = crate::check(&fixture.config.dir, true, |_| {}).unwrap();
        let [database, ..] = &report.findings[..] else { panic!("nothing found") };
        assert!(database.text.contains(advice) && database.path.ends_with("store.db"), "{database:?}");
        assert_eq!(report.verdict, crate::store::Severity::Unreadable, "{:?}", report.findings);
        assert_eq!((report.requests, report.unfolded_records), (None, None));
    }
}

#[test]
fn what_nobody_can_date_ages_from_when_its_segment_was_written_also_when_the_log_is_folded_anew() {
    let mut fixture = begun();
    fixture.config.keep_segments_bytes = Some(u64::MAX);
    fixture.record_newer([As::NewKind, As::Nonsense, As::NewKind]);
    fixture.reopen_as(NEWER);
    fixture.fold_all();
    fixture.shut_down();
    let written = std::time::SystemTime::now() - Duration::from_secs(40 * 86_400);
    for segment in fixture.segments() {
        let file = std::fs::File::open(segment).unwrap();
        file.set_times(std::fs::FileTimes::new().set_modified(written)).unwrap();
    }
    fixture.rebuild();
    let noted = |fixture: &Fixture, table: &str| -> Vec<i64> {
        let database = rusqlite::Connection::open(fixture.config.dir.join("store.db")).unwrap();
        let mut statement =
            database.prepare(&format!("SELECT noted_at FROM {table} WHERE payload IS NOT NULL")).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let is_old = |noted_at: &i64| (now_ms() - noted_at - 40 * 86_400_000).abs() < 3_600_000;
    fixture.reopen_as(DECODER);
    fixture.wait_until_waiting(3);
    fixture.fold_all();
    let waiting = noted(&fixture, "newer_records");
    assert!(waiting.len() == 3 && waiting.iter().all(is_old), "{waiting:?}");
    // One turns out to be nonsense later: it does not become younger by that.
    fixture.reopen_as(NEWER);
    fixture.wait_until_waiting(0);
    let quarantined = noted(&fixture, "quarantine");
    assert!(quarantined.len() == 1 && quarantined.iter().all(is_old), "{quarantined:?}");
    // And so it goes with the requests of its time, once there is one of today: ages count from the newest.
    fixture.store().recorder().record(Request::new("of today", now_ms(), "files", "ping"));
    fixture.fold_all();
    fixture.config.keep_rows_age_ms = Some(30 * 86_400_000);
    fixture.reopen_as(NEWER);
    wait_until("it is expired", || noted(&fixture, "quarantine").is_empty());
}
