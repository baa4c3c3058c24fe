//! Making a database anew loses nothing: every row that could be read before, in the database or in the log, is there after,
//! or nothing was done. Whatever ends it before its last step leaves everything as it was.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use mcplog::rebuild::{Action, DatabaseState, Rebuild, RebuildError, RebuildPlan, Rebuilt, Source};
use mcplog::record::{LEVEL, Record};
use mcplog::segment::format::{Extent, Mark};
use mcplog::segment::{Item, SegmentReader};
use mcplog::{Config, Query, SchemaVersion, Session, SessionClosed, rebuild};
use mcplog_fixture::{Fixture, directory, event, segment};
use proptest::prelude::*;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const PAGE_BYTES: u64 = 8192;
const GO_ON: ControlFlow<()> = ControlFlow::Continue(());

/// A store whose database has folded the first part of its log, as a kill leaves it: 1,500 requests are folded and 300 wait.
/// Of the sessions, those of even numbers are announced, and one is closed; a schema was seen in three versions.
///
/// All tests copy it, so that nobody may open it: SQLite's files beside the database would come and go under a copy.
struct Base {
    fixture: Fixture,
    /// The name of the log that waits.
    waiting: String,
}

fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
        let ts = 1_760_000_000_000;
        for part in 0..3_u64 {
            let recorder = fixture.recorder();
            for number in [0, 2, 4] {
                let id = format!("session-{number}");
                let mut session = Session::new(&id, ts, "files");
                session.client_name = Some("client");
                if part == number / 2 {
                    recorder.record(session);
                }
            }
            let (payload, hash) = (format!(r#"{{"tools":[{{"name":"t{part}"}}]}}"#), format!("{part:064}"));
            let at = ts + i64::try_from(part).unwrap();
            recorder.record(SchemaVersion::new(at, "files", "http://x/mcp", "tools/list", &payload, &hash));
            fixture.record(part * 500..(part + 1) * 500);
            recorder.record(SessionClosed::new("session-4", ts + 10_000_000));
            fixture.reopen();
        }
        fixture.fold();
        fixture.shut_down();
        let database = std::fs::read(fixture.dir().join("store.db")).unwrap();
        fixture.open();
        fixture.record(1500..1800);
        fixture.fold();
        let waiting = fixture.store().writer().unwrap().to_string();
        fixture.shut_down();
        std::fs::write(fixture.dir().join("store.db"), database).unwrap();
        std::fs::rename(fixture.dir().join("kept").join(&waiting), fixture.wal().join(&waiting)).unwrap();
        Base { fixture, waiting }
    })
}

/// What is left of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Log {
    Whole,
    /// Without its first segments, so many.
    Beheaded(usize),
    /// Without the segment in that place.
    Hole(usize),
    Gone,
}

/// What happened to the database.
#[derive(Clone, Copy, Debug)]
enum Damage {
    None,
    /// A page is overwritten, from there on: with zeros, or with something else.
    Page(u64, u64, u8),
    /// Two pages.
    Pages(u64, u64),
    Cut(u64),
    /// A byte of that request's id is another one, where the file has the id for that time: in its row, or in an index.
    RequestId(u64, usize),
    /// A byte of the tables' description is another one.
    Description,
    Gone,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    log: Log,
    damage: Damage,
    has_waiting: bool,
    from_log: bool,
    accept_loss: bool,
}

impl Case {
    fn source(self) -> Source {
        if self.from_log { Source::Log } else { Source::BestKept }
    }

    /// A store like that.
    fn store(self) -> Fixture {
        let fixture = Fixture::new();
        directory::copy(base().fixture.dir(), fixture.dir());
        let segments = segments(fixture.dir());
        let folded = segments.len() - segments.iter().rev().take_while(|path| is_beyond_folded(path)).count();
        let is_left = |at: usize| match self.log {
            Log::Whole => true,
            Log::Beheaded(count) => at >= count % (segments.len() - 1),
            Log::Hole(place) => at != place % segments.len(),
            Log::Gone => false,
        };
        for (at, segment) in segments.iter().enumerate() {
            if !is_left(at) || !self.has_waiting && at >= folded {
                std::fs::remove_file(segment).unwrap();
                // One without files is none.
                let _ = std::fs::remove_dir(segment.parent().unwrap());
            }
        }
        let path = fixture.dir().join("store.db");
        let pages = std::fs::metadata(&path).unwrap().len() / PAGE_BYTES;
        let overwrite = |page: u64, from: u64, byte: u8| {
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            let bytes = vec![byte; usize::try_from(PAGE_BYTES - from).unwrap()];
            file.write_all_at(&bytes, page % pages * PAGE_BYTES + from).unwrap();
        };
        match self.damage {
            Damage::None => {}
            Damage::Page(page, from, byte) => overwrite(page, from, byte),
            Damage::Pages(one, other) => {
                overwrite(one, 0, 0x55);
                overwrite(other, 0, 0);
            }
            Damage::Cut(page) => {
                let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                file.set_len((page % pages).max(1) * PAGE_BYTES).unwrap();
            }
            Damage::RequestId(number, place) => change_byte(&path, &event::request_id(number), place),
            Damage::Description => change_byte(&path, "REFERENCES session_state", 0),
            Damage::Gone => std::fs::remove_file(&path).unwrap(),
        }
        fixture
    }
}

/// Changes the first byte of a text, where the file has it for that time, counted from 0.
fn change_byte(path: &Path, text: &str, place: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let mut found = (0..bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text.as_bytes()));
    let at = found.nth(place).expect("the text is there so often");
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// Whether a segment of the base was written when its database had been copied.
fn is_beyond_folded(path: &Path) -> bool {
    path.parent().unwrap().ends_with(&base().waiting)
}

/// The segments of all logs that are kept, and of those that wait, in the order in which they were begun.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let folders = ["kept", "wal"].map(|parent| mcplog::segment::writer_folders(&dir.join(parent)).unwrap().folders);
    let files = folders.iter().flatten().flat_map(|folder| mcplog::segment::list(&folder.path).unwrap());
    let mut paths: Vec<_> = files.map(|file| file.path).collect();
    let begun = |path: &PathBuf| {
        let header = *SegmentReader::open(path).unwrap().header();
        (header.created_at, header.writer_id.0, header.segment_id)
    };
    paths.sort_by_key(begun);
    paths
}

/// What can be read of a store: requests, sessions and sightings of schemas that were recorded. A row that says something else
/// than was recorded is a damaged one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Readable {
    requests: BTreeSet<u64>,
    sessions: BTreeSet<String>,
    sightings: BTreeSet<i64>,
}

impl Readable {
    /// Of the database, row by row, so that what is damaged hides nothing but itself; and of the log.
    fn of(dir: &Path) -> Self {
        let mut found = Self::of_log(dir);
        if !dir.join("store.db").exists() {
            return found;
        }
        let database = Connection::open(dir.join("store.db")).unwrap();
        let ids = |table: &str| -> Vec<i64> {
            let last = if table == "request_rows" || table == "schema_sightings" { 6000 } else { 20 };
            (1..=last).collect()
        };
        for id in ids("request_rows") {
            let sql = "SELECT *, request_id, ts FROM request_rows WHERE id = ?1";
            let row = database.query_row(sql, [id], |row| Ok((row.get::<_, String>("request_id")?, row.get("ts")?)));
            if let Ok((request_id, ts)) = row
                && let Some(number) = event::number(&request_id)
                && number < 1800
                && event::is_as_recorded(number, ts, Some(&format!("session-{}", number % 7)))
            {
                found.requests.insert(number);
            }
        }
        for id in ids("session_state") {
            let sql = "SELECT *, session_id FROM session_state WHERE id = ?1";
            if let Ok(session) = database.query_row(sql, [id], |row| row.get::<_, String>("session_id"))
                && (0..7).any(|number| session == format!("session-{number}"))
            {
                found.sessions.insert(session);
            }
        }
        for id in ids("schema_sightings") {
            let sql = "SELECT *, ts FROM schema_sightings WHERE id = ?1 AND proxy = 'files' AND method = 'tools/list'";
            found.sightings.extend(database.query_row(sql, [id], |row| row.get::<_, i64>("ts")).ok());
        }
        found
    }

    fn of_log(dir: &Path) -> Self {
        let mut found = Self::default();
        for path in segments(dir) {
            let mut reader = SegmentReader::open(&path).unwrap();
            loop {
                match reader.next().unwrap() {
                    Item::Frame(frame) => match Record::decode(frame.payload).unwrap() {
                        Record::Request(request) => {
                            found.requests.insert(event::number(&request.request_id.text()).unwrap());
                            found.sessions.insert(request.session_id.unwrap().text().into_owned());
                        }
                        Record::Session(session) => {
                            found.sessions.insert(session.session_id.text().into_owned());
                        }
                        Record::SchemaVersion(version) => {
                            found.sightings.insert(version.ts);
                        }
                        _ => {}
                    },
                    Item::Damage(_) | Item::WrongMark(_) => {}
                    Item::Stop(_) => break,
                }
            }
        }
        found
    }

    /// What is here and not there.
    fn missing_in(&self, other: &Self) -> Self {
        Self {
            requests: &self.requests - &other.requests,
            sessions: &self.sessions - &other.sessions,
            sightings: &self.sightings - &other.sightings,
        }
    }
}

/// Every file but the locks', with its bytes and when it was last changed.
fn files(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, i64, i64)> {
    let contents = directory::contents(dir)
        .into_iter()
        .filter(|(path, _)| !["LOCK", "FOLD", "FOLD.want"].iter().any(|lock| path.ends_with(lock)));
    let times =
        |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.mtime(), metadata.mtime_nsec())).unwrap();
    contents.map(|(path, bytes)| (path.clone(), (bytes, times(&path).0, times(&path).1))).collect()
}

fn run(fixture: &Fixture, case: Case) -> Result<Rebuilt, RebuildError> {
    let mut watch = |_, _| GO_ON;
    Rebuild::prepare(&Config::new(fixture.dir()), case.source(), case.accept_loss, &mut watch)?.run(&mut watch)
}

fn plan(fixture: &Fixture, case: Case) -> RebuildPlan {
    let config = Config::new(fixture.dir());
    mcplog::rebuild::plan(&config, case.source(), case.accept_loss, &mut |_, _| GO_ON).unwrap()
}

/// Holds a case against what is promised. Returns what was lost that could be read before: nothing, unless it was accepted.
fn check(case: Case, spoil: impl FnOnce(&Fixture)) -> Readable {
    let fixture = case.store();
    let (before, readable) = (files(fixture.dir()), Readable::of(fixture.dir()));
    // SQLite may have left files of its own when the test looked.
    let is_own = |path: &Path| path.to_string_lossy().ends_with("-wal") || path.to_string_lossy().ends_with("-shm");
    let before: BTreeMap<_, _> = before.into_iter().filter(|(path, _)| !is_own(path)).collect();
    let unchanged = || files(fixture.dir()).into_iter().filter(|(path, _)| !is_own(path)).eq(before.clone());
    if matches!((case.log, case.damage), (Log::Gone, Damage::Gone)) {
        assert!(run(&fixture, case).is_err(), "there is no store");
        return Readable::default();
    }
    let plan = plan(&fixture, case);
    assert!(unchanged(), "a look changes nothing");
    match run(&fixture, case) {
        Err(RebuildError::WouldLose(refused)) => {
            assert!(!refused.losses.is_empty() && *refused == plan, "{refused:?}, {plan:?}");
            assert!(!case.accept_loss && unchanged(), "nothing was changed");
            return Readable::default();
        }
        Err(error) => panic!("{error}"),
        Ok(_) => assert!(plan.losses.is_empty() || case.accept_loss, "{plan:?}"),
    }
    spoil(&fixture);
    let report = mcplog::check(fixture.dir(), false, |_| {}).unwrap();
    let about_database = report.findings.iter().filter(|finding| finding.path.ends_with("store.db"));
    assert_eq!(about_database.count(), 0, "{:?}", report.findings);
    assert_eq!(report.unfolded_records, Some(0));
    assert!(!fixture.dir().join("rebuild").exists());
    let after = Readable::of(fixture.dir());
    // What is folded again or recorded anew takes no number and no row away.
    let mut fixture = fixture;
    fixture.config.keep_segments_bytes = None;
    fixture.open();
    fixture.record(5000..5010);
    assert!(fixture.shut_down().health.is_ok());
    let request = |number: u64| format!("request_id = '{}'", event::request_id(number));
    assert_eq!(fixture.number(&format!("SELECT count(*) FROM requests WHERE {}", request(5009))), 1);
    readable.missing_in(&after)
}

fn any_case() -> impl Strategy<Value = Case> {
    let log = prop_oneof![
        2 => Just(Log::Whole),
        3 => (0..6_usize).prop_map(Log::Beheaded),
        2 => (0..6_usize).prop_map(Log::Hole),
        2 => Just(Log::Gone),
    ];
    let damage = prop_oneof![
        2 => Just(Damage::None),
        6 => (0..200_u64, prop_oneof![Just(0_u64), 0..8000_u64], any::<u8>())
            .prop_map(|(page, from, byte)| Damage::Page(page, from, byte)),
        3 => (1..200_u64, 1..200_u64).prop_map(|(one, other)| Damage::Pages(one, other)),
        1 => (0..200_u64).prop_map(Damage::Cut),
        1 => Just(Damage::Gone),
    ];
    (log, damage, any::<bool>(), prop::bool::weighted(0.3), prop::bool::weighted(0.4)).prop_map(
        |(log, damage, has_waiting, from_log, accept_loss)| Case { log, damage, has_waiting, from_log, accept_loss },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_could_be_read_is_there_afterwards_or_nothing_was_done(case in any_case()) {
        let lost = check(case, |_| {});
        // Who accepts a loss of a rebuild from the log alone has what the log has; nothing else loses what can be read.
        if !(case.accept_loss && case.from_log) {
            prop_assert_eq!(lost, Readable::default());
        }
    }
}

#[test]
fn each_damaged_page_alone_costs_no_row_that_could_be_read() {
    let pages = std::fs::metadata(base().fixture.dir().join("store.db")).unwrap().len() / PAGE_BYTES;
    let mut states = BTreeSet::new();
    for page in 0..pages {
        let damage = Damage::Page(page, 0, 0x55);
        let case = Case { log: Log::Gone, damage, has_waiting: false, from_log: false, accept_loss: true };
        states.insert(format!("{:?}", plan(&case.store(), case).database.state));
        assert_eq!(check(case, |_| {}), Readable::default(), "page {page}");
    }
    assert!(states.contains("Damaged") && states.contains("Unreadable"), "{states:?}");
}

#[test]
fn a_row_and_an_index_that_contradict_each_other_are_damage_and_the_rows_make_the_index() {
    let database = std::fs::read(base().fixture.dir().join("store.db")).unwrap();
    let id = event::request_id(1000);
    let places = database.windows(id.len()).filter(|bytes| *bytes == id.as_bytes()).count();
    let mut salvaged = 0;
    for place in 0..places {
        let damage = Damage::RequestId(1000, place);
        let case = Case { log: Log::Gone, damage, has_waiting: false, from_log: false, accept_loss: false };
        // One of the places may be where nothing is any more.
        salvaged += u32::from(plan(&case.store(), case).action == Action::Salvage);
        assert_eq!(check(case, |_| {}), Readable::default(), "{place}");
    }
    assert!(salvaged > 0, "{places}");
}

#[test]
fn tables_of_which_the_description_is_damaged_are_given_up_at_once_and_made_from_the_log() {
    for from_log in [false, true] {
        let case =
            Case { log: Log::Whole, damage: Damage::Description, has_waiting: true, from_log, accept_loss: true };
        assert_eq!(check(case, |_| {}), Readable::default());
        let fixture = case.store();
        let (config, mut told) = (Config::new(fixture.dir()), 0);
        let mut watch = |_, _| {
            told += 1;
            GO_ON
        };
        mcplog::rebuild::plan(&config, case.source(), true, &mut watch).unwrap();
        // Each table is tried once, not down to single numbers.
        assert!(told < 100, "{told}");
    }
}

#[test]
fn a_rebuild_that_loses_a_row_is_caught() {
    let damage = Damage::Page(9, 0, 0);
    let case = Case { log: Log::Beheaded(2), damage, has_waiting: true, from_log: false, accept_loss: true };
    let lost = check(case, |fixture| {
        let planted = "PRAGMA foreign_keys = OFF; DELETE FROM schema_sightings WHERE ts = 1760000000001";
        fixture.database().execute_batch(planted).unwrap();
    });
    assert_eq!(lost.sightings, BTreeSet::from([1_760_000_000_001]));
    assert!(lost.requests.is_empty() && lost.sessions.is_empty());
}

#[test]
fn a_rebuild_from_a_log_that_lacks_rows_is_refused_and_says_which() {
    let case =
        Case { log: Log::Beheaded(2), damage: Damage::None, has_waiting: true, from_log: true, accept_loss: false };
    let fixture = case.store();
    let before = files(fixture.dir());
    let Err(RebuildError::WouldLose(plan)) = run(&fixture, case) else { panic!("it was done") };
    assert!(files(fixture.dir()) == before);
    let in_log = Readable::of_log(fixture.dir());
    let lost = plan.losses.iter().find(|loss| loss.table == "request_rows").unwrap();
    assert_eq!(lost.rows.rows, 1500 - in_log.requests.range(..1500).count() as u64);
    assert_eq!((lost.rows.from_ts, lost.unreadable), (Some(1_760_000_000_000), false));
    assert!(plan.losses.iter().any(|loss| loss.table == "schema_sightings"), "{:?}", plan.losses);
    assert!(plan.log.waiting_records.rows == 300, "{:?}", plan.log);
    let accepted = Case { accept_loss: true, ..case };
    let Ok(Rebuilt::Log(report)) = run(&fixture, accepted) else { panic!("refused") };
    assert_eq!(report.requests, i64::try_from(in_log.requests.len()).unwrap());
    let copy = Connection::open(report.moved_to.unwrap()).unwrap();
    assert_eq!(copy.query_row("SELECT count(*) FROM requests", [], |row| row.get::<_, i64>(0)).unwrap(), 1500);
}

/// Makes a log one of a newer mcplog: by its level, or by its version. Returns what its files were.
fn make_newer(folder: &Path, by_level: bool) -> Vec<(PathBuf, Vec<u8>)> {
    let files: Vec<_> = mcplog::segment::list(folder).unwrap().into_iter().map(|file| file.path).collect();
    let files = files.into_iter().map(|path| {
        let before = std::fs::read(&path).unwrap();
        match by_level {
            true => segment::change_header(&path, |header| header.needs = LEVEL + 1),
            false => segment::make_newer(&path),
        }
        (path, before)
    });
    files.collect()
}

/// Gives files their bytes back, as if the newer mcplog came that knows them, and holds it against all that was recorded.
fn expect_that_the_newer_one_folds_all(fixture: &mut Fixture, before: &[(PathBuf, Vec<u8>)]) {
    before.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    fixture.open();
    fixture.fold();
    fixture.shut_down();
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1800);
    assert_eq!(fixture.number("SELECT count(*) FROM gaps"), 0);
}

#[test]
fn a_log_of_a_newer_mcplog_waits_in_a_rebuild_as_well_and_is_named() {
    let case = Case { log: Log::Whole, damage: Damage::None, has_waiting: true, from_log: true, accept_loss: false };
    for (by_level, from_log, has_database) in
        [(true, true, true), (true, false, true), (true, true, false), (false, true, true), (false, false, true)]
    {
        let (mut fixture, case) = (case.store(), Case { from_log, ..case });
        if !has_database {
            fixture.remove_database();
        }
        let before = make_newer(&fixture.wal().join(&base().waiting), by_level);
        let newer = files(&fixture.wal());
        let found = plan(&fixture, case).log;
        assert_eq!(found.waiting_records.rows, 0, "{found:?}");
        let left = match run(&fixture, case).unwrap() {
            Rebuilt::Log(report) if from_log => report.left_logs,
            Rebuilt::Rows(report) if !from_log => report.left_logs,
            other => panic!("{other:?}"),
        };
        assert_eq!(left, found.left_logs);
        let [left] = &left[..] else { panic!("{left:?}") };
        assert_eq!((left.writer.to_string(), &left.file), (base().waiting.clone(), &before[0].0));
        assert!(left.reason.contains("not supported"), "{left:?}");
        assert!(files(&fixture.wal()) == newer, "nobody touched it");
        assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1500);
        expect_that_the_newer_one_folds_all(&mut fixture, &before);
    }
}

#[test]
fn what_a_newer_mcplog_has_folded_is_not_given_up_and_comes_back_with_the_next_one() {
    let case = Case { log: Log::Whole, damage: Damage::None, has_waiting: true, from_log: true, accept_loss: false };
    for by_level in [true, false] {
        let mut fixture = case.store();
        let kept = mcplog::segment::writer_folders(&fixture.dir().join("kept")).unwrap().folders;
        let newer = kept.iter().find(|folder| folder.path.join("000000000001.seg").exists()).unwrap();
        let before = make_newer(&newer.path, by_level);
        let all = files(fixture.dir());
        let Err(RebuildError::WouldLose(refused)) = run(&fixture, case) else { panic!("it was done") };
        assert!(files(fixture.dir()) == all);
        assert!(refused.losses.iter().any(|loss| loss.table == "request_rows" && loss.rows.rows == 500));
        run(&fixture, Case { from_log: false, ..case }).unwrap();
        assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1800);
        run(&fixture, Case { accept_loss: true, ..case }).unwrap();
        assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1300);
        before.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
        run(&fixture, case).unwrap();
        assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1800);
        assert_eq!(fixture.number("SELECT count(*) FROM gaps"), 0);
        // Folded where it waits, too.
        std::fs::rename(&newer.path, fixture.wal().join(newer.path.file_name().unwrap())).unwrap();
        let waiting = fixture.wal().join(newer.path.file_name().unwrap());
        let before = make_newer(&waiting, by_level);
        run(&fixture, Case { accept_loss: true, ..case }).unwrap();
        assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1300);
        expect_that_the_newer_one_folds_all(&mut fixture, &before);
    }
}

#[test]
fn records_that_wait_are_folded_whatever_the_database_is_made_from() {
    for (damage, from_log) in [(Damage::None, false), (Damage::None, true), (Damage::Page(9, 0, 0), false)] {
        let case = Case { log: Log::Whole, damage, has_waiting: true, from_log, accept_loss: false };
        let fixture = case.store();
        assert_eq!(plan(&fixture, case).log.waiting_records.rows, 300);
        let rebuilt = run(&fixture, case).unwrap();
        if let Rebuilt::Rows(report) = &rebuilt {
            assert_eq!(report.folded_records, 300);
        }
        assert_eq!(fixture.number("SELECT count(*) FROM requests"), 1800, "{rebuilt:?}");
    }
}

#[test]
fn whoever_has_the_database_open_sees_the_new_rows() {
    for damage in [Damage::None, Damage::Page(9, 0, 0), Damage::Page(0, 0, 0x55)] {
        let case = Case { log: Log::Whole, damage: Damage::None, has_waiting: true, from_log: true, accept_loss: true };
        let fixture = case.store();
        let query = Query::open(fixture.dir()).unwrap();
        assert_eq!(query.totals().unwrap().requests, 1500);
        // The damage comes while it is open.
        if let Damage::Page(page, from, byte) = damage {
            let file = std::fs::OpenOptions::new().write(true).open(fixture.dir().join("store.db")).unwrap();
            let bytes = vec![byte; usize::try_from(PAGE_BYTES - from).unwrap()];
            file.write_all_at(&bytes, page * PAGE_BYTES + from).unwrap();
        }
        run(&fixture, case).unwrap();
        assert_eq!(query.totals().unwrap().requests, 1800, "{damage:?}");
        assert!(query.is_current());
    }
}

/// The ways of a rebuild that take several steps.
fn ways() -> [Case; 4] {
    let case = Case { log: Log::Whole, damage: Damage::None, has_waiting: false, from_log: true, accept_loss: false };
    [
        case,
        Case { damage: Damage::Page(9, 0, 0), from_log: false, log: Log::Beheaded(1), accept_loss: true, ..case },
        // Which logs are gone altogether, only the database knew.
        Case { damage: Damage::Page(0, 0, 0x55), from_log: false, accept_loss: true, ..case },
        Case { damage: Damage::Gone, from_log: false, ..case },
    ]
}

#[test]
fn breaking_off_at_any_moment_leaves_everything_as_it_was() {
    for case in ways() {
        for at in 0_u32.. {
            let fixture = case.store();
            let before = files(fixture.dir());
            let mut told = 0;
            let mut watch = |_, _| {
                told += 1;
                if told > at { ControlFlow::Break(()) } else { GO_ON }
            };
            let config = Config::new(fixture.dir());
            let done = Rebuild::prepare(&config, case.source(), case.accept_loss, &mut watch)
                .and_then(|rebuild| rebuild.run(&mut watch));
            match done {
                Ok(_) => {
                    assert!(at > 5, "{case:?} told {at} times");
                    break;
                }
                Err(RebuildError::Interrupted) => {
                    let after: Vec<_> = files(fixture.dir()).into_keys().collect();
                    assert_eq!(after, before.keys().cloned().collect::<Vec<_>>(), "{case:?}, {at}");
                    assert!(
                        files(fixture.dir())
                            .values()
                            .map(|(bytes, ..)| bytes)
                            .eq(before.values().map(|(bytes, ..)| bytes))
                    );
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Set for the process that is to be killed: the store, the number of the way, and after how many words of progress.
const VICTIM: &str = "MCPLOG_TEST_REBUILD";

#[test]
fn victim() {
    let Ok(told) = std::env::var(VICTIM) else { return };
    let [dir, way, at] = told.split('|').collect::<Vec<_>>()[..] else { panic!("{told}") };
    let (case, mut left) = (ways()[way.parse::<usize>().unwrap()], at.parse::<u32>().unwrap());
    let mut watch = |_, _| {
        if left == 0 {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        }
        left -= 1;
        GO_ON
    };
    let config = Config::new(dir);
    Rebuild::prepare(&config, case.source(), case.accept_loss, &mut watch).unwrap().run(&mut watch).unwrap();
}

#[test]
fn a_kill_at_any_moment_leaves_the_old_rows_or_the_new_ones_and_the_next_one_cleans_up() {
    for (way, case) in ways().into_iter().enumerate() {
        for at in 0_u32.. {
            let fixture = case.store();
            let (before, readable) = (files(fixture.dir()), Readable::of(fixture.dir()));
            let victim = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "victim", "--test-threads=1"])
                .env(VICTIM, format!("{}|{way}|{at}", fixture.dir().display()))
                .output()
                .unwrap();
            if victim.status.success() {
                assert!(at > 5, "{case:?} told {at} times");
                break;
            }
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&victim.status), Some(9), "{victim:?}");
            // A copy in quarantine/, leftovers, and what SQLite passes over, beside what was there.
            let after = files(fixture.dir());
            for (path, (bytes, ..)) in &before {
                let is_own = path.to_string_lossy().ends_with("-shm") || path.to_string_lossy().ends_with("-wal");
                assert!(
                    is_own || after.get(path).is_some_and(|(after, ..)| after == bytes),
                    "{case:?}, {at}: {path:?}"
                );
            }
            let leftovers = fixture.dir().join("rebuild");
            let findings = mcplog::check(fixture.dir(), true, |_| {}).unwrap().findings;
            assert!(findings.iter().all(|finding| !finding.path.starts_with(&leftovers)), "{findings:?}");
            assert_eq!(Readable::of(fixture.dir()), readable, "{case:?}, {at}");
            run(&fixture, case).unwrap();
            assert!(!leftovers.exists());
            assert_eq!(readable.missing_in(&Readable::of(fixture.dir())), Readable::default(), "{case:?}, {at}");
        }
    }
}

#[test]
fn a_look_is_possible_while_others_record_and_changes_nothing() {
    let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    fixture.record(0..100);
    fixture.fold();
    let case = Case { log: Log::Whole, damage: Damage::None, has_waiting: true, from_log: true, accept_loss: false };
    let found = plan(&fixture, case);
    assert!(found.in_use && found.action == Action::Log, "{found:?}");
    assert_eq!((found.database.state, found.database.requests().rows), (DatabaseState::Sound, 100));
    // It can be done, too: they go on.
    run(&fixture, case).unwrap();
    fixture.record(100..200);
    fixture.fold();
    fixture.shut_down();
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 200);
    let before = files(fixture.dir());
    assert!(!plan(&fixture, case).in_use);
    assert!(files(fixture.dir()) == before);
}

#[test]
fn a_newer_database_is_not_given_up_unless_that_is_accepted_and_another_programs_never() {
    let case = Case { log: Log::Whole, damage: Damage::None, has_waiting: true, from_log: true, accept_loss: false };
    let fixture = case.store();
    fixture.database().execute_batch("PRAGMA user_version = 99").unwrap();
    let before = files(fixture.dir());
    for from_log in [false, true] {
        let refused = run(&fixture, Case { from_log, ..case }).unwrap_err();
        assert!(refused.to_string().contains("use a newer mcplog"), "{refused}");
        assert!(files(fixture.dir()) == before);
    }
    let Ok(Rebuilt::Log(report)) = run(&fixture, Case { accept_loss: true, ..case }) else { panic!("refused") };
    assert!(report.requests == 1800 && report.moved_to.is_some());
    fixture.remove_database();
    fixture.database().execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    let before = files(fixture.dir());
    for accept_loss in [false, true] {
        let refused = run(&fixture, Case { accept_loss, ..case }).unwrap_err();
        assert!(refused.to_string().contains("another program's database"), "{refused}");
        assert!(files(fixture.dir()) == before);
    }
}

#[test]
fn a_rebuild_twice_is_a_rebuild_once() {
    for case in ways() {
        let fixture = case.store();
        rebuild(&Config::new(fixture.dir()), Source::BestKept, |_, _| GO_ON).ok();
        run(&fixture, case).unwrap();
        let rows = || fixture.rows("SELECT * FROM requests ORDER BY id");
        let before = rows();
        run(&fixture, Case { damage: Damage::None, from_log: false, ..case }).unwrap();
        assert!(rows() == before);
    }
}

/// A log has, besides requests, what this build can't fold, and a damaged place.
fn log_with(payloads: &[&[u8]], is_damaged: bool) -> Fixture {
    let mut fixture = Fixture::with(|config| config.keep_segments_bytes = Some(u64::MAX));
    fixture.record(0..50);
    fixture.shut_down();
    fixture.remove_database();
    let path = segments(fixture.dir()).pop().unwrap();
    if is_damaged {
        let (offsets, _) = segment::frames(&path);
        segment::flip(&path, offsets[20] + 14);
    } else {
        let generation = segment::open(&path).mark().generation + 1;
        segment::write_mark(&path, Mark { generation, durable: Extent::EMPTY, sealed: None });
        payloads.iter().for_each(|payload| segment::append_frame(&path, payload));
    }
    fixture
}

/// An unknown kind, an unknown version of a known kind, and one that can't be decoded.
const NOT_FOLDED: [&[u8]; 3] = [&[250, 1, 7, 7, 7], &[1, 9, 7, 7, 7], &[0, 1, 7, 7, 7]];

#[test]
fn what_the_log_has_and_nobody_can_fold_is_not_lost_by_a_rebuild() {
    let tables = |fixture: &Fixture| {
        [
            "SELECT id, request_id FROM requests ORDER BY id",
            "SELECT sequence, segment, offset, kind, version, payload FROM newer_records ORDER BY sequence",
            "SELECT sequence, segment, offset, reason FROM quarantine ORDER BY sequence, segment, offset",
            "SELECT id, events, missing FROM gaps ORDER BY id",
        ]
        .map(|sql| fixture.rows(sql))
    };
    let logs = NOT_FOLDED.iter().map(|payload| log_with(&[*payload], false));
    for mut fixture in logs.chain([log_with(&NOT_FOLDED, false), log_with(&[], true)]) {
        let anew = |fixture: &Fixture| {
            rebuild(&Config::new(fixture.dir()), Source::Log, |_, _| GO_ON).unwrap();
            tables(fixture)
        };
        let once = anew(&fixture);
        assert!(once[1].len() + once[2].len() > 0, "{once:?}");
        assert_eq!(anew(&fixture), once);
        fixture.open();
        fixture.fold();
        fixture.shut_down();
        assert_eq!(anew(&fixture), once, "after an opening");
        fixture.remove_database();
        fixture.open();
        fixture.fold();
        fixture.shut_down();
        assert_eq!(anew(&fixture), once, "after an opening that folded all");
    }
}

#[test]
fn where_nobody_can_say_which_records_the_rows_are_none_is_lost() {
    let case = |log, damage| Case { log, damage, has_waiting: false, from_log: false, accept_loss: false };
    let whole = case(Log::Whole, Damage::None).store();
    let page = whole.number("SELECT rootpage FROM sqlite_schema WHERE name = 'fold_runs'") - 1;
    for log in [Log::Whole, Log::Hole(0), Log::Gone] {
        let case = case(log, Damage::Page(page.cast_unsigned(), 0, 0x55));
        let plan = plan(&case.store(), case);
        assert!(plan.losses.is_empty() && plan.action == Action::Salvage, "{plan:?}");
        assert_eq!(check(case, |_| {}), Readable::default(), "{log:?}");
    }
}

#[test]
fn who_folds_removes_what_a_rebuild_left_that_was_killed() {
    let mut fixture = Fixture::with(|_| {});
    fixture.record(0..10);
    fixture.fold();
    fixture.shut_down();
    let leftovers = fixture.dir().join("rebuild");
    std::fs::create_dir(&leftovers).unwrap();
    std::fs::write(leftovers.join("store.db"), "half a database").unwrap();
    fixture.open();
    fixture.record(10..20);
    fixture.fold();
    assert!(!leftovers.exists());
    fixture.shut_down();
    assert_eq!(fixture.number("SELECT count(*) FROM requests"), 20);
}
