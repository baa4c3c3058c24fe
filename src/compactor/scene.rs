//! A store's directory for the tests of folding, and writers that do there what they are told: without threads, so that a
//! test says what happens in which order.

use super::folder_task::Role;
use super::folding::{Folding, Worked};
use super::handles::CompactorHandles;
use crate::Request;
use crate::event::Event;
use crate::ground::config::Config;
use crate::ground::health::HealthBoard;
use crate::ground::machine_clock::MachineClock;
use crate::ground::position::{SegmentId, Sequence, StoreId, WriterId};
use crate::ground::store_progress::StoreProgress;
use crate::index::build::Build;
use crate::record::LEVEL;
use crate::record::record::{GapRecord, Record, WriterBeganRecord, WriterEndedRecord};
use crate::segment::directory::list;
use crate::segment::folder_birth::NewFolder;
use crate::segment::folder_lock::FolderLock;
use crate::segment::format::LogIdentity;
use crate::segment::syncer::SegmentSyncer;
use crate::segment::writer::{NotAppended, PreparedSegment, SegmentWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Where the times of requests begin.
pub(super) const FIRST_TS: i64 = 1_700_000_000_000;
const SEGMENT_BYTES: u32 = 64 * 1024;

/// The directory.
pub(super) struct Scene {
    _dir: tempfile::TempDir,
    pub(super) config: Config,
}

impl Scene {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path().join("data"));
        config.min_free_bytes = Some(0);
        std::fs::create_dir_all(config.wal_dir()).unwrap();
        Self { _dir: dir, config }
    }

    pub(super) fn store() -> StoreId {
        LogIdentity::sample(WriterId([0; 16])).store
    }

    /// What a process's threads share; each call makes another process.
    pub(super) fn handles(&self) -> CompactorHandles {
        CompactorHandles {
            progress: Arc::new(StoreProgress::new()),
            health: Arc::new(HealthBoard::default()),
            finish: Arc::new(AtomicBool::new(false)),
            give_up: Arc::new(AtomicBool::new(false)),
            build: Build::THIS,
            lock: None,
            clock: MachineClock::new(),
        }
    }

    /// A process that folds, whatever the lock says.
    pub(super) fn folding(&self, role: Role) -> (Folding, CompactorHandles) {
        let handles = self.handles();
        (Folding::open(&self.config, Self::store(), role, &handles).unwrap(), handles)
    }

    /// One that folds all that is there, and ends.
    pub(super) fn fold_all(&self) -> CompactorHandles {
        let (mut folding, handles) = self.folding(Role::Holder);
        self.work(&mut folding);
        handles
    }

    /// Has it fold and clean up until nothing is left to do.
    pub(super) fn work(&self, folding: &mut Folding) {
        loop {
            folding.hurry();
            match folding.work(false) {
                Ok(Worked::More) => {}
                Ok(Worked::Idle(_) | Worked::Through) if folding.is_copying() => std::thread::yield_now(),
                Ok(Worked::Idle(_) | Worked::Through) => return,
                Err(error) if error.is_moved() => folding.start_anew(self.config.wal_dir()),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// What a statement says about the database, a line for each row.
    pub(super) fn rows(&self, sql: &str) -> Vec<String> {
        let connection = rusqlite::Connection::open(self.config.dir.join("store.db")).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let line = |row: &rusqlite::Row<'_>| {
            let values = (0..columns).map(|at| match row.get_ref(at).unwrap() {
                rusqlite::types::ValueRef::Null => "-".to_owned(),
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                rusqlite::types::ValueRef::Real(number) => number.to_string(),
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                rusqlite::types::ValueRef::Blob(bytes) => format!("{bytes:02x?}"),
            });
            Ok(values.collect::<Vec<_>>().join(" "))
        };
        statement.query_map([], line).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// The requests that are in the database, by name.
    pub(super) fn requests(&self) -> Vec<String> {
        self.rows("SELECT request_id FROM request_rows ORDER BY request_id")
    }

    /// The entries of a directory within the store's, by name; none if it is not there.
    pub(super) fn entries(&self, name: impl AsRef<Path>) -> Vec<String> {
        let entries = std::fs::read_dir(self.config.dir.join(name)).into_iter().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A process that records.
pub(super) struct ScriptedWriter {
    pub(super) id: WriterId,
    name: u8,
    pub(super) folder: PathBuf,
    /// The level that its log's headers say it needs.
    level: u16,
    lock: Option<FolderLock>,
    active: Option<(SegmentWriter, SegmentSyncer)>,
    next_segment: u64,
    next: u64,
    /// What was appended since numbers were last skipped, in the order of the numbers.
    since_skip: Vec<Vec<u8>>,
}

impl ScriptedWriter {
    /// One that begins with the record that says who it is.
    pub(super) fn begin(scene: &Scene, name: u8) -> Self {
        Self::begin_at(scene, name, LEVEL)
    }

    /// The same of a build that writes records of that level.
    pub(super) fn begin_at(scene: &Scene, name: u8, level: u16) -> Self {
        let id = WriterId([name; 16]);
        let (folder, lock) =
            NewFolder::create(&scene.config.wal_dir(), Scene::store(), id).unwrap().into_place().unwrap();
        let lock = Some(lock);
        let mut writer = Self {
            id,
            name,
            folder: folder.path,
            level,
            lock,
            active: None,
            next_segment: 1,
            next: 1,
            since_skip: vec![],
        };
        writer.append(&Record::WriterBegan(WriterBeganRecord {
            process_id: u64::from(name),
            host: "host",
            program: "scripted",
            program_version: "1",
            started_at: FIRST_TS,
        }));
        writer
    }

    /// Records that many requests, and returns their names.
    pub(super) fn record(&mut self, count: u64) -> Vec<String> {
        (0..count).map(|_| self.record_one()).collect()
    }

    fn record_one(&mut self) -> String {
        self.record_as(&[])
    }

    /// Records a request, as a record that begins with these bytes: another kind, which holds this one.
    pub(super) fn record_as(&mut self, kind: &[u8]) -> String {
        let id = format!("{:03}-{:06}", self.name, self.next);
        let ts = FIRST_TS + i64::try_from(self.next).unwrap();
        let mut request = Request::new(&id, ts, "proxy", "tools/call");
        let session = format!("session of {}", self.name);
        request.session_id = Some(&session);
        let mut payload = kind.to_vec();
        Record::from(Event::Request(request)).encode(&mut payload);
        self.append_bytes(&payload);
        id
    }

    /// Numbers that no record gets: as if what had them was lost.
    pub(super) fn skip(&mut self, count: u64) {
        self.seal();
        self.next += count;
        self.since_skip.clear();
    }

    /// The last records once more, as after a failed sync: in another segment, under the numbers that they had.
    pub(super) fn rewrite(&mut self, count: usize) {
        let from = self.since_skip.len().saturating_sub(count);
        let again = self.since_skip.split_off(from);
        self.active = None;
        self.next -= again.len() as u64;
        again.iter().for_each(|payload| self.append_bytes(payload));
    }

    /// Events that were dropped before they were recorded.
    pub(super) fn drop_events(&mut self, events: u64) {
        let ts = FIRST_TS + self.next as i64;
        self.append(&Record::Gap(GapRecord { from_ts: ts, to_ts: ts + 5, events }));
    }

    pub(super) fn append(&mut self, record: &Record<'_>) {
        let mut payload = Vec::new();
        record.encode(&mut payload);
        self.append_bytes(&payload);
    }

    pub(super) fn append_bytes(&mut self, payload: &[u8]) {
        loop {
            let writer = &mut self.active.get_or_insert_with(|| {
                let id = SegmentId(self.next_segment);
                let identity = LogIdentity { needs: self.level, ..LogIdentity::sample(self.id) };
                self.next_segment += 1;
                let prepared = PreparedSegment::create(&self.folder, id, SEGMENT_BYTES).unwrap();
                prepared.activate(identity, Sequence(self.next), FIRST_TS + self.next as i64).unwrap()
            });
            match writer.0.append(payload) {
                Ok(_) => break,
                Err(NotAppended::Full) => self.seal(),
                Err(NotAppended::Refused(error)) => panic!("{error}"),
            }
        }
        self.next += 1;
        self.since_skip.push(payload.to_owned());
    }

    /// Seals the active segment; the next record begins another one.
    pub(super) fn seal(&mut self) {
        if let Some((writer, syncer)) = self.active.take() {
            syncer.seal(writer.finish(), false).map_err(|(_, error)| error).unwrap();
        }
    }

    /// Dies without a word.
    pub(super) fn die(mut self) {
        self.active = None;
        self.lock = None;
    }

    /// Ends as it should.
    pub(super) fn end(mut self) {
        self.append(&Record::WriterEnded(WriterEndedRecord { ended_at: FIRST_TS + 1_000_000 }));
        self.seal();
    }

    pub(super) fn segments(&self) -> Vec<u64> {
        list(&self.folder).unwrap().iter().map(|segment| segment.id.0).collect()
    }
}
