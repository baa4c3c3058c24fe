//! What a process leaves in the log that it writes, and what it leaves where it can't: the appender with the two threads
//! beside it, and no database.

use super::appender::Appender;
use super::handles::AppenderHandles;
use super::preparer::{Preparer, Supply};
use super::segment_growth::FIRST_BYTES;
use super::sync_loop::{SyncHandles, SyncLoop};
use crate::event::Request;
use crate::ground::config::{Config, SyncPolicy};
use crate::ground::health::{HealthBoard, Part};
use crate::ground::machine_clock::MachineClock;
use crate::ground::position::{Sequence, StoreId, WriterId};
use crate::ground::sabotage::{self, Spot};
use crate::ground::store_progress::StoreProgress;
use crate::record::record::Record;
use crate::recorder::channel::Channel;
use crate::recorder::recorder::Recorder;
use crate::segment::folder_lock::{FolderLock, FolderOwner, probe};
use crate::segment::log_item::{LogItem, Owner};
use crate::segment::log_reader::LogReader;
use crate::segment::place::Place;
use crate::segment::segment_list::SegmentList;
use crate::segment::writer_folder::{FoundFolders, WriterFolder, writer_folders};
use proptest::prelude::*;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const STORE: StoreId = StoreId([5; 16]);
const PATIENCE: Duration = Duration::from_secs(60);
const EVENT_TS: i64 = 1_760_000_000_000;

/// A store's directory, in which processes record.
struct Fixture {
    dir: tempfile::TempDir,
    config: Config,
}

/// A process that records: its three threads, and what they share.
struct Process {
    recorder: Recorder,
    channel: Arc<Channel>,
    progress: Arc<StoreProgress>,
    health: Arc<HealthBoard>,
    clock: MachineClock,
    give_up: Arc<AtomicBool>,
    appender: JoinHandle<()>,
    others: [JoinHandle<()>; 2],
}

/// A record, as far as these tests tell them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Read {
    Began {
        process_id: u64,
        program: String,
    },
    /// An event with that number, and so many bytes of text.
    Event(u64, usize),
    Dropped(u64),
    ClockStep,
    Ended,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path());
        config.sync = SyncPolicy::Never;
        config.min_free_bytes = Some(0);
        config.channel_events = 4096;
        std::fs::create_dir(config.wal_dir()).unwrap();
        Self { dir, config }
    }

    fn start(&self) -> Process {
        let channel = Arc::new(Channel::new(self.config.channel_events, self.config.event_bytes_max()));
        let (progress, health) = (Arc::new(StoreProgress::new()), Arc::new(HealthBoard::default()));
        let (clock, give_up) = (MachineClock::new(), Arc::new(AtomicBool::new(false)));
        let (sync, commands) = crossbeam_channel::unbounded();
        let (to_appender, poisoned) = crossbeam_channel::bounded(1);
        let preparer = Preparer::new(&self.config);
        let (work, supply) = Supply::new(preparer.clone());
        let handles = AppenderHandles {
            channel: Arc::clone(&channel),
            supply,
            sync,
            poisoned,
            log: Arc::new(SegmentList::default()),
            progress: Arc::clone(&progress),
            health: Arc::clone(&health),
            clock: clock.clone(),
            level: crate::record::LEVEL,
            give_up: Arc::clone(&give_up),
        };
        let sync_handles = SyncHandles {
            commands,
            poisoned: to_appender,
            progress: Arc::clone(&progress),
            health: Arc::clone(&health),
            compactor: std::thread::current(),
        };
        let sync_loop = SyncLoop::new(sync_handles, self.config.sync, self.config.sync_interval());
        let appender = Appender::new(handles, &self.config, STORE);
        Process {
            recorder: Recorder::new(Arc::clone(&channel), Duration::ZERO),
            channel,
            progress,
            health,
            clock,
            give_up,
            others: [std::thread::spawn(move || preparer.run(work)), std::thread::spawn(move || sync_loop.run())],
            appender: std::thread::spawn(move || appender.run()),
        }
    }

    fn folders(&self) -> FoundFolders {
        writer_folders(&self.config.wal_dir()).unwrap()
    }

    /// The one log that is there.
    fn log(&self) -> WriterFolder {
        let FoundFolders { mut folders, unborn, others, .. } = self.folders();
        assert!(folders.len() == 1 && unborn.is_empty() && others.is_empty(), "{folders:?} {unborn:?} {others:?}");
        folders.remove(0)
    }

    /// What a dead writer's log says, by ascending numbers from 1, none missing.
    fn read(&self, folder: &WriterFolder) -> Vec<Read> {
        let FolderOwner::Dead(_lock) = FolderLock::take(&folder.path) else { panic!("its writer is gone") };
        let mut reader = LogReader::open(folder, Some(STORE), Place::START).unwrap();
        let mut records = Vec::new();
        loop {
            match reader.next(Owner::Dead).unwrap() {
                LogItem::Frame { frame, .. } => {
                    records.push(Read::of(&Record::decode(frame.payload).unwrap()));
                    assert_eq!(frame.sequence, Sequence(records.len() as u64));
                }
                LogItem::End => return records,
                other => panic!("{other:?} after {} records", records.len()),
            }
        }
    }

    /// The sizes of the files in the folder, by name.
    fn files(folder: &Path) -> Vec<(String, u64)> {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let mut files: Vec<_> = entries
            .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().blocks() * 512))
            .collect();
        files.sort();
        files
    }
}

impl Read {
    fn of(record: &Record<'_>) -> Self {
        match record {
            Record::WriterBegan(began) => {
                Self::Began { process_id: began.process_id, program: began.program.to_owned() }
            }
            Record::WriterEnded(_) => Self::Ended,
            Record::Request(request) => {
                Self::Event(u64::try_from(request.ts - EVENT_TS).unwrap(), request.target.unwrap_or_default().len())
            }
            Record::Gap(gap) => Self::Dropped(gap.events),
            Record::ClockStep(_) => Self::ClockStep,
            other => panic!("{other:?}"),
        }
    }

    fn began(program: &str) -> Self {
        Self::Began { process_id: std::process::id().into(), program: program.to_owned() }
    }
}

impl Process {
    fn record(&self, number: u64, text_bytes: usize) -> bool {
        let text = "x".repeat(text_bytes);
        let mut request = Request::new("id", EVENT_TS + number as i64, "proxy", "ping");
        request.target = Some(&text);
        self.recorder.record(request)
    }

    /// Records, and waits until it is in the map.
    fn append(&self, number: u64, text_bytes: usize) {
        assert!(self.record(number, text_bytes));
        self.answer();
    }

    /// Waits until everything that was recorded is in the map.
    fn answer(&self) {
        let ticket = self.progress.draw();
        self.appender.thread().unpark();
        self.progress.wait_answered(ticket, Instant::now() + PATIENCE, PATIENCE).unwrap();
    }

    /// Waits until everything that was recorded is durable.
    fn flush(&self) -> Result<(), String> {
        let ticket = self.progress.draw();
        self.appender.thread().unpark();
        let flushed = self.progress.wait_durable(ticket, Instant::now() + PATIENCE, PATIENCE);
        flushed.map_err(|error| error.to_string())
    }

    /// Waits until that holds, which others bring about.
    fn wait_until(&self, holds: impl Fn() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < PATIENCE, "{:?}", self.health.get());
            std::thread::yield_now();
        }
    }

    /// Ends in good order; returns how many events were dropped.
    fn end(self) -> u64 {
        self.channel.begin_closing();
        self.appender.thread().unpark();
        self.appender.join().unwrap();
        self.others.into_iter().for_each(|other| other.join().unwrap());
        self.channel.dropped()
    }

    /// Ends though it waits for something that does not come.
    fn give_up(self) -> u64 {
        self.channel.begin_closing();
        self.give_up.store(true, Ordering::Relaxed);
        self.end()
    }
}

#[test]
fn who_records_nothing_leaves_nothing() {
    let fixture = Fixture::new();
    let process = fixture.start();
    // Not even a clock that is set is a reason to begin a log.
    process.clock.step(3_600_000);
    process.answer();
    assert_eq!(process.flush(), Ok(()));
    assert_eq!(process.progress.writer(), None);
    assert_eq!(process.end(), 0);
    assert_eq!(fixture.folders(), FoundFolders::default());
}

#[test]
fn a_log_says_first_who_writes_it_and_last_that_the_writer_ended_and_is_locked_meanwhile() {
    let mut fixture = Fixture::new();
    fixture.config.program = Some("a test".into());
    let process = fixture.start();
    process.append(1, 10);
    let log = fixture.log();
    assert_eq!(process.progress.writer(), Some(log.writer));
    assert!(probe(&log.path).unwrap());
    assert!(matches!(FolderLock::take(&log.path), FolderOwner::Living));
    assert_eq!(Fixture::files(&log.path), [("000000000001.seg".into(), u64::from(FIRST_BYTES))]);
    process.append(2, 20);
    assert_eq!(process.progress.appended_events(), 2, "what the log says of itself is no event");
    process.end();
    assert!(!probe(&log.path).unwrap());
    assert_eq!(fixture.read(&log), [Read::began("a test"), Read::Event(1, 10), Read::Event(2, 20), Read::Ended]);
    assert_eq!(Fixture::files(&log.path).len(), 1, "no segment that nobody needed");
}

#[test]
fn each_life_has_a_log_of_its_own_also_at_the_same_time() {
    let fixture = Fixture::new();
    let processes = [1, 2, 3].map(|number| (number, fixture.start()));
    for (number, process) in &processes {
        process.append(*number, 1);
    }
    let writers: Vec<WriterId> = processes.iter().filter_map(|(_, process)| process.progress.writer()).collect();
    for (_, process) in processes {
        process.end();
    }
    for (number, writer) in (1..).zip(writers) {
        let log = WriterFolder::within(&fixture.config.wal_dir(), writer);
        assert_eq!(fixture.read(&log)[1..], [Read::Event(number, 1), Read::Ended]);
    }
    assert_eq!(fixture.folders().folders.len(), 3);
}

#[test]
fn a_step_of_the_clock_before_the_first_record_is_told_behind_it() {
    let fixture = Fixture::new();
    let process = fixture.start();
    process.clock.step(3_600_000);
    // The clock is looked at each 10 ms here.
    std::thread::sleep(Duration::from_millis(20));
    process.answer();
    assert_eq!(fixture.folders(), FoundFolders::default());
    process.append(1, 1);
    process.wait_until(|| process.progress.clock_steps() == 1);
    process.end();
    assert_eq!(fixture.read(&fixture.log())[1..], [Read::Event(1, 1), Read::ClockStep, Read::Ended]);
}

#[test]
fn the_first_event_finds_room_however_large_it_is() {
    let fixture = Fixture::new();
    for bytes in [FIRST_BYTES as usize - 5000, FIRST_BYTES as usize, 4_000_000] {
        let process = fixture.start();
        process.append(1, bytes);
        let log = fixture.log();
        let (_, size) = Fixture::files(&log.path)[0];
        assert!((bytes as u64..bytes as u64 + 16384).contains(&size) || size == u64::from(FIRST_BYTES), "{size}");
        process.append(2, 1);
        process.end();
        assert_eq!(fixture.read(&log)[1..], [Read::Event(1, bytes), Read::Event(2, 1), Read::Ended]);
        std::fs::remove_dir_all(&log.path).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Events of all sizes, at any pace, through as many segments as they take.
    #[test]
    fn whatever_is_recorded_is_in_the_log_once_and_in_order(
        sizes in proptest::collection::vec(prop_oneof![8 => 0..2_000_usize, 2 => 2_000..30_000_usize], 1..300),
        answered in proptest::collection::vec(any::<bool>(), 300),
        segment_pages in 16..200_u64,
    ) {
        let mut fixture = Fixture::new();
        fixture.config.segment_bytes = segment_pages * 4096;
        fixture.config.channel_events = 65_536;
        let process = fixture.start();
        for (number, bytes) in sizes.iter().enumerate() {
            prop_assert!(process.record(number as u64, *bytes));
            if answered[number] {
                process.answer();
            }
        }
        prop_assert_eq!(process.end(), 0);
        let log = fixture.log();
        let records = fixture.read(&log);
        let [began, events @ .., ended] = &records[..] else { panic!("{records:?}") };
        let is_whole = matches!(began, Read::Began { .. }) && *ended == Read::Ended;
        prop_assert!(is_whole);
        // Events that share a block, and those that don't, come in an order of their own each.
        let mut events = events.to_vec();
        events.sort_by_key(|event| match event { Read::Event(number, _) => *number, other => panic!("{other:?}") });
        let expected: Vec<_> = sizes.iter().enumerate().map(|(n, bytes)| Read::Event(n as u64, *bytes)).collect();
        prop_assert_eq!(events, expected);
        for (name, bytes) in Fixture::files(&log.path) {
            prop_assert!(name.ends_with(".seg") && bytes <= fixture.config.segment_bytes, "{} {}", name, bytes);
        }
    }
}

#[test]
fn a_birth_that_fails_is_tried_again_and_leaves_nothing_half_born() {
    for spot in [Spot::Prepare, Spot::PrepareFirst, Spot::GiveBirth] {
        let fixture = Fixture::new();
        sabotage::order(fixture.dir.path(), spot, 0, 2, sabotage::fail);
        let process = fixture.start();
        process.append(1, 1);
        process.append(2, 1);
        assert!(process.health.get().is_ok(), "{spot:?}: it works again");
        process.end();
        let log = fixture.log();
        assert_eq!(fixture.read(&log)[1..], [Read::Event(1, 1), Read::Event(2, 1), Read::Ended], "{spot:?}");
    }
}

#[test]
fn where_no_log_can_be_born_events_wait_and_are_counted_in_the_end_and_nothing_stays() {
    for spot in [Spot::Prepare, Spot::PrepareFirst, Spot::GiveBirth] {
        let fixture = Fixture::new();
        sabotage::order(fixture.dir.path(), spot, 0, u32::MAX, sabotage::fail);
        let process = fixture.start();
        for number in 0..10 {
            assert!(process.record(number, 1), "it waits in the channel");
        }
        process.wait_until(|| process.health.get().problems.contains_key(&Part::Segments));
        assert_eq!(process.progress.appended_events(), 0);
        assert_eq!(process.give_up(), 10, "{spot:?}");
        assert_eq!(fixture.folders(), FoundFolders::default(), "{spot:?}");
    }
}

#[test]
fn who_is_told_to_give_up_before_its_first_record_was_taken_still_writes_it() {
    let fixture = Fixture::new();
    let process = fixture.start();
    // The appender sleeps when it comes.
    process.answer();
    process.give_up.store(true, Ordering::Relaxed);
    assert!(process.record(1, 1));
    assert_eq!(process.give_up(), 0);
    assert_eq!(fixture.read(&fixture.log())[1..], [Read::Event(1, 1), Read::Ended]);
}

#[test]
fn a_folder_gets_its_name_when_it_is_locked_and_has_its_first_segment_and_not_before() {
    let fixture = Fixture::new();
    let (looked, wal_dir) = (Arc::new(AtomicU32::new(0)), fixture.config.wal_dir());
    let look = {
        let looked = Arc::clone(&looked);
        move || {
            let found = writer_folders(&wal_dir).unwrap();
            assert!(found.folders.is_empty() && found.unborn.len() == 1, "{found:?}");
            assert!(probe(&found.unborn[0].path).unwrap());
            assert_eq!(Fixture::files(&found.unborn[0].path)[0].0, "000000000001.seg");
            looked.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    };
    sabotage::order(fixture.dir.path(), Spot::GiveBirth, 0, 1, look);
    let process = fixture.start();
    process.append(1, 1);
    assert_eq!(looked.load(Ordering::Relaxed), 1);
    process.end();
    fixture.log();
}

#[test]
fn who_looks_at_any_time_sees_no_log_without_its_lock_or_its_first_segment() {
    let fixture = Fixture::new();
    // However it ends, who looks ends too.
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let end = End(&ended);
        let looks = scope.spawn(|| {
            let mut seen = 0_u64;
            while !ended.load(Ordering::Relaxed) {
                for folder in fixture.folders().folders {
                    // In this order: the lock of a log that ends is given back at the end.
                    let first = folder.path.join("000000000001.seg").exists();
                    assert!(first, "{}", folder.path.display());
                    seen += 1;
                }
            }
            seen
        });
        for number in 0..50 {
            let process = fixture.start();
            process.append(number, 1);
            assert!(probe(&fixture.folders().folders[0].path).unwrap() || number > 0);
            process.end();
        }
        drop(end);
        assert!(looks.join().unwrap() > 0);
    });
    assert_eq!(fixture.folders().folders.len(), 50);
}

#[test]
fn the_names_above_a_segment_are_synced_once_each_after_the_segment_and_before_anything_is_called_durable() {
    let fixture = Fixture::new();
    let order = Arc::new(parking_lot::Mutex::new(Vec::new()));
    for spot in [Spot::Sync, Spot::SyncFolder, Spot::SyncLogs] {
        let order = Arc::clone(&order);
        let note = move || {
            order.lock().push(spot);
            Ok(())
        };
        sabotage::order(fixture.dir.path(), spot, 0, u32::MAX, note);
    }
    let process = fixture.start();
    process.append(1, 1);
    for number in 2..4 {
        process.append(number, 1);
        process.flush().unwrap();
    }
    let order = order.lock().clone();
    // The folder in `wal/`, and `wal/` in the store.
    assert_eq!(order[..4], [Spot::Sync, Spot::SyncFolder, Spot::SyncLogs, Spot::SyncLogs]);
    assert!(order.len() > 4 && order[4..].iter().all(|spot| *spot == Spot::Sync), "{order:?}");
    process.end();
}

#[test]
fn where_the_names_above_a_segment_can_not_be_synced_nothing_is_called_durable() {
    for spot in [Spot::SyncFolder, Spot::SyncLogs] {
        let fixture = Fixture::new();
        sabotage::order(fixture.dir.path(), spot, 0, u32::MAX, sabotage::fail);
        let process = fixture.start();
        process.append(1, 1);
        process.flush().unwrap_err();
        assert_eq!(process.progress.durable(), Sequence(0), "{spot:?}");
        process.end();
        // All of it is there, each writing of it.
        let records = fixture.read(&fixture.log());
        assert_eq!(records[1..], [Read::Event(1, 1), Read::Ended], "{spot:?}");
    }
}

#[test]
fn who_finds_its_folder_taken_away_says_so_and_goes_on_in_another() {
    type Take = fn(&Path);
    let ways: [Take; 3] = [
        |folder| std::fs::remove_dir_all(folder).unwrap(),
        |folder| std::fs::rename(folder, folder.with_extension("moved")).unwrap(),
        |folder| {
            std::fs::rename(folder, folder.with_extension("moved")).unwrap();
            std::fs::create_dir(folder).unwrap();
        },
    ];
    for take_away in ways {
        let fixture = Fixture::new();
        let process = fixture.start();
        process.append(1, 1);
        let first = fixture.log();
        take_away(&first.path);
        process.wait_until(|| process.health.get().problems.contains_key(&Part::Damage));
        process.append(2, 1);
        process.append(3, 1);
        process.flush().unwrap();
        let second = process.progress.writer().unwrap();
        assert_ne!(second, first.writer);
        assert_eq!(process.progress.durable(), Sequence(3), "its own numbers, from 1 on");
        assert_eq!(process.progress.appended_events(), 3);
        assert_eq!(process.end(), 0);
        let log = WriterFolder::within(&fixture.config.wal_dir(), second);
        assert_eq!(fixture.read(&log)[1..], [Read::Event(2, 1), Read::Event(3, 1), Read::Ended]);
    }
}

#[test]
fn whose_folder_is_taken_away_each_time_begins_another_only_now_and_then() {
    let fixture = Fixture::new();
    let process = fixture.start();
    let start = Instant::now();
    for number in 0..3 {
        process.append(number, 1);
        let writer = process.progress.writer().unwrap();
        std::fs::remove_dir_all(WriterFolder::within(&fixture.config.wal_dir(), writer).path).unwrap();
        process.wait_until(|| {
            process.record(99, 1) && {
                process.answer();
                process.progress.writer() != Some(writer)
            }
        });
    }
    // Three more logs, each a quarter of a second after the one before, here.
    assert!(start.elapsed() >= Duration::from_millis(750), "{:?}", start.elapsed());
    process.end();
}

/// Records until a segment of a MiB is there, which only a log that grows has; tells how many events that took.
fn record_until_it_grows(fixture: &Fixture, process: &Process) -> (WriterFolder, u64) {
    let mut number = 0;
    loop {
        for _ in 0..50 {
            assert!(process.record(number, 2_000));
            number += 1;
        }
        process.answer();
        let log = fixture.log();
        if Fixture::files(&log.path).iter().any(|(name, bytes)| name.ends_with(".seg") && *bytes >= 1024 * 1024) {
            return (log, number);
        }
    }
}

#[test]
fn a_busy_log_has_its_next_segment_ready_and_an_idle_one_keeps_little() {
    let fixture = Fixture::new();
    let process = fixture.start();
    let (log, events) = record_until_it_grows(&fixture, &process);
    // The one after it is made though this one has hardly begun.
    process.wait_until(|| Fixture::files(&log.path).iter().any(|(name, _)| name.ends_with(".new")));
    // Then nothing comes for a while: a small one is begun, and none is ready.
    process.wait_until(|| {
        let files = Fixture::files(&log.path);
        files.iter().all(|(name, _)| name.ends_with(".seg"))
            && files.last().is_some_and(|(_, bytes)| *bytes == u64::from(FIRST_BYTES))
    });
    process.append(events, 1);
    process.end();
    assert_eq!(fixture.read(&log).len() as u64, events + 3);
}

#[test]
fn who_ends_amid_much_leaves_no_segment_that_nobody_needed() {
    let fixture = Fixture::new();
    let process = fixture.start();
    let (log, events) = record_until_it_grows(&fixture, &process);
    process.wait_until(|| Fixture::files(&log.path).iter().any(|(name, _)| name.ends_with(".new")));
    process.end();
    assert!(Fixture::files(&log.path).iter().all(|(name, _)| name.ends_with(".seg")));
    assert_eq!(fixture.read(&log).len() as u64, events + 2);
}

#[test]
fn the_log_of_an_idle_process_takes_one_small_segment() {
    let mut fixture = Fixture::new();
    fixture.config.segment_age_ms = 1;
    let process = fixture.start();
    // However old it is: as long as nothing comes, nothing is begun.
    for number in 0..5 {
        process.append(number, 1);
        process.answer();
    }
    let log = fixture.log();
    let files = || Fixture::files(&log.path);
    let allocated = |files: &[(String, u64)]| files.iter().map(|(_, bytes)| bytes).sum::<u64>();
    process.wait_until(|| {
        let files = files();
        // Those that ended give back what no frame used.
        files.len() > 1 && allocated(&files) < u64::from(FIRST_BYTES) + files.len() as u64 * 16_384
    });
    process.end();
    assert_eq!(fixture.read(&log).len(), 7);
}

#[test]
fn after_a_failed_sync_everything_is_written_once_more_and_what_was_removed_meanwhile_counts_as_folded() {
    for removed in [false, true] {
        let mut fixture = Fixture::new();
        fixture.config.segment_bytes = 64 * 1024;
        fixture.config.channel_events = 65_536;
        let process = fixture.start();
        for number in 0..200 {
            assert!(process.record(number, 2_000));
        }
        // While the third segment is synced, which fails.
        let (wal_dir, dir) = (fixture.config.wal_dir(), fixture.dir.path().to_owned());
        sabotage::order(&dir, Spot::SealedSync, 2, 1, move || {
            if removed {
                let log = writer_folders(&wal_dir).unwrap().folders.remove(0);
                std::fs::remove_file(log.path.join("000000000004.seg")).unwrap();
            }
            sabotage::fail()
        });
        process.flush().unwrap();
        assert_eq!(process.progress.poisoned_segments(), 1);
        assert_eq!((process.progress.appended_events(), process.channel.dropped()), (200, 0));
        assert!(process.health.get().is_ok(), "{:?}", process.health.get());
        process.append(200, 1);
        process.end();
        let log = fixture.log();
        if !removed {
            let expected: Vec<_> = (0..200).map(|number| Read::Event(number, 2_000)).collect();
            let records = fixture.read(&log);
            assert_eq!(records[1..201], expected);
            assert_eq!(records[201..], [Read::Event(200, 1), Read::Ended]);
        }
        assert!(Fixture::files(&log.path).len() > 7, "two writings");
    }
}

#[test]
fn what_can_not_be_read_back_after_a_failed_sync_is_counted_and_named() {
    let mut fixture = Fixture::new();
    fixture.config.segment_bytes = 64 * 1024;
    let process = fixture.start();
    for number in 0..100 {
        assert!(process.record(number, 2_000));
    }
    sabotage::order(fixture.dir.path(), Spot::ReadBack, 1, 1, sabotage::fail);
    sabotage::order(fixture.dir.path(), Spot::SealedSync, 0, 1, sabotage::fail);
    process.flush().unwrap_err();
    let lost = process.channel.dropped();
    assert!((1..100).contains(&lost), "{lost}");
    assert_eq!(process.progress.appended_events(), 100 - lost);
    assert!(process.health.get().problems.contains_key(&Part::Damage));
    process.append(100, 1);
    assert_eq!(process.end(), lost);
}

#[test]
fn a_folder_that_is_taken_away_while_a_failed_sync_is_mended_ends_that_and_recording_goes_on() {
    let mut fixture = Fixture::new();
    fixture.config.segment_bytes = 64 * 1024;
    let process = fixture.start();
    for number in 0..100 {
        assert!(process.record(number, 2_000));
    }
    let wal_dir = fixture.config.wal_dir();
    sabotage::order(fixture.dir.path(), Spot::Rewrite, 20, 1, move || {
        let log = writer_folders(&wal_dir).unwrap().folders.remove(0);
        std::fs::rename(&log.path, log.path.with_extension("moved")).unwrap();
        Ok(())
    });
    sabotage::order(fixture.dir.path(), Spot::SealedSync, 0, 1, sabotage::fail);
    process.flush().unwrap_err();
    process.wait_until(|| process.health.get().problems.contains_key(&Part::Damage));
    process.append(100, 1);
    process.flush().unwrap();
    let second = WriterFolder::within(&fixture.config.wal_dir(), process.progress.writer().unwrap());
    process.end();
    assert_eq!(fixture.read(&second)[1..], [Read::Event(100, 1), Read::Ended]);
}
