//! What must hold of a live log in every interleaving: whoever reads it sees whole frames in order, whoever follows it over
//! its segments gets each record once, and whatever is called durable is on the disk.

use crate::appender::sync_loop::{SyncCommand, SyncHandles, SyncLoop};
use crate::disk::{FRAME_BYTES, PAYLOAD_BYTES, file_at};
use crate::ground::config::SyncPolicy;
use crate::ground::health::HealthBoard;
use crate::ground::position::{SegmentId, Sequence, StoreId, WriterId};
use crate::ground::store_progress::StoreProgress;
use crate::mailbox::{Receiver, Sender, Thread, mailbox};
use crate::segment::directory::file_name;
use crate::segment::format::{FRAMES_OFFSET, LogIdentity};
use crate::segment::reader::{Item, SegmentReader, Stop};
use crate::segment::segment_list::{LogSegment, SegmentList};
use crate::segment::syncer::{SegmentSyncer, UnsyncedSegment};
use crate::segment::writer::{PreparedSegment, SegmentWriter};
use loom::model::Builder;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The folder of the log.
const LOG: &str = "log";
const LOG_IDENTITY: LogIdentity = LogIdentity { store: StoreId([5; 16]), writer: WriterId([7; 16]), needs: 1 };

/// How often a thread may lose the processor where it did not ask for it.
fn model(preemption_bound: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemption_bound);
    builder.max_branches = 100_000;
    builder.check(check);
}

fn payload(sequence: u64) -> [u8; PAYLOAD_BYTES] {
    [u8::try_from(sequence).expect("few"); PAYLOAD_BYTES]
}

/// A segment with room for so many frames, whose first number is `base`.
fn segment(id: u64, base: u64, frames: u32) -> (SegmentWriter, SegmentSyncer) {
    let bytes = FRAMES_OFFSET + frames * FRAME_BYTES;
    let prepared = PreparedSegment::create(Path::new(LOG), SegmentId(id), bytes).expect("room");
    prepared.activate(LOG_IDENTITY, Sequence(base), 5).expect("room")
}

/// Appends the records with these numbers.
fn append(writer: &mut SegmentWriter, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        assert_eq!(writer.append(&payload(number)).expect("room"), Sequence(number));
    }
}

/// Reads on; the numbers of the frames, which must be whole, and why reading stopped.
fn read(reader: &mut SegmentReader, numbers: &mut Vec<u64>) -> Stop {
    loop {
        match reader.next().expect("readable") {
            Item::Frame(frame) => {
                assert_eq!(frame.payload, payload(frame.sequence.0));
                numbers.push(frame.sequence.0);
            }
            Item::Damage(damage) => panic!("{damage:?} after {numbers:?}"),
            Item::WrongMark(wrong) => panic!("{wrong} after {numbers:?}"),
            Item::Stop(stop) => return stop,
        }
    }
}

#[test]
fn who_reads_a_live_segment_sees_whole_frames_in_order_and_no_damage() {
    model(2, || {
        let (mut writer, mut syncer) = segment(1, 1, 2);
        let path = writer.path().to_owned();
        let appending = loom::thread::spawn(move || append(&mut writer, 1..=2));
        let syncing = loom::thread::spawn(move || {
            syncer.sync().expect("synced");
            syncer.sync().expect("synced");
        });
        // As wal-inspect does: it knows nothing but the file.
        let mut reader = SegmentReader::open(&path).expect("a segment");
        let mut seen = Vec::new();
        assert_eq!(read(&mut reader, &mut seen), Stop::Open, "a frame that shows is there");
        appending.join().expect("appended");
        syncing.join().expect("synced");
        assert_eq!(read(&mut reader, &mut seen), Stop::Open);
        assert_eq!(seen, [1, 2]);
    });
}

#[test]
fn who_reads_a_segment_while_it_is_sealed_and_shortened_sees_all_of_it() {
    model(3, || {
        // With room for more than it takes.
        let (mut writer, syncer) = segment(1, 1, 4);
        let path = writer.path().to_owned();
        append(&mut writer, 1..=2);
        let extent = writer.finish();
        let sealing = loom::thread::spawn(move || syncer.seal(extent, true).expect("sealed"));
        let mut reader = SegmentReader::open(&path).expect("a segment");
        let mut seen = Vec::new();
        read(&mut reader, &mut seen);
        assert_eq!(seen, [1, 2]);
        sealing.join().expect("sealed");
        assert_eq!(read(&mut reader, &mut seen), Stop::Sealed);
        assert_eq!(seen, [1, 2]);
    });
}

/// A segment that takes frames, as the list of the log's own segments has it.
fn log_segment(writer: &SegmentWriter) -> LogSegment {
    LogSegment {
        id: writer.header().segment_id,
        path: writer.path().to_owned(),
        base_sequence: writer.header().base_sequence,
        allocated_bytes: writer.bytes(),
        progress: Arc::clone(writer.progress()),
    }
}

/// Another process, which follows the log over its segments: does what `src/segment/log_reader.rs` does, in the same order,
/// as far as other threads can tell.
#[derive(Default)]
struct Follower {
    reader: Option<SegmentReader>,
    segment: u64,
    numbers: Vec<u64>,
}

impl Follower {
    fn open(&self, segment: u64) -> Option<SegmentReader> {
        SegmentReader::open(&Path::new(LOG).join(file_name(SegmentId(segment)))).ok()
    }

    /// Reads what is there now. With `ends_early`, a planted bug, a segment has ended where its frames ended before its
    /// successor was seen.
    fn look(&mut self, ends_early: bool) {
        loop {
            if self.reader.is_none() {
                self.reader = self.open(self.segment + 1);
                self.segment += u64::from(self.reader.is_some());
            }
            self.read();
            if self.reader.is_none() || self.open(self.segment + 1).is_none() {
                return;
            }
            // It has a successor by now, and so got its last frame before.
            if !ends_early {
                self.read();
            }
            self.reader = None;
        }
    }

    /// Takes the records that are due; those of lower numbers it has.
    fn read(&mut self) {
        let Some(reader) = &mut self.reader else { return };
        let mut found = Vec::new();
        read(reader, &mut found);
        let last = self.numbers.last().copied().unwrap_or(0);
        self.numbers.extend(found.into_iter().filter(|number| *number > last));
    }
}

/// Whether a follower that looks once while segments follow each other, and once after that, gets every record.
fn follows_a_log(ends_early: bool) {
    model(2, move || {
        let (mut first, _first_syncer) = segment(1, 1, 2);
        append(&mut first, 1..=1);
        let appending = loom::thread::spawn(move || {
            append(&mut first, 2..=2);
            drop(first);
            let (mut second, _second_syncer) = segment(2, 3, 1);
            append(&mut second, 3..=3);
        });
        let mut follower = Follower::default();
        follower.look(ends_early);
        appending.join().expect("appended");
        follower.look(ends_early);
        assert_eq!(follower.numbers, [1, 2, 3]);
    });
}

#[test]
fn who_follows_a_log_over_its_segments_gets_every_record() {
    follows_a_log(false);
}

#[test]
fn a_segment_that_is_taken_for_ended_before_its_successor_was_seen_costs_records() {
    let found = std::panic::catch_unwind(|| follows_a_log(true)).expect_err("the planted bug is found");
    let found = found.downcast_ref::<String>().expect("why");
    assert!(found.contains("[1, 3]"), "{found}");
}

/// What the threads of a store share.
#[derive(Clone)]
struct Shared {
    log: Arc<SegmentList>,
    progress: Arc<StoreProgress>,
}

impl Shared {
    fn new() -> Self {
        let progress = StoreProgress::new();
        progress.set_writer(LOG_IDENTITY.writer);
        Self { log: Arc::new(SegmentList::default()), progress: Arc::new(progress) }
    }
}

/// Does what `src/appender/log_writer.rs` and `rewrite.rs` do, in the same order, as far as other threads can tell.
struct Appender {
    shared: Shared,
    sync: Sender<SyncCommand>,
    poisoned: Receiver<UnsyncedSegment>,
    writer: Option<SegmentWriter>,
}

/// An appender, which the caller drives, and a syncing thread that runs.
fn start(policy: SyncPolicy) -> (Appender, loom::thread::JoinHandle<()>) {
    let shared = Shared::new();
    let progress = Arc::clone(&shared.progress);
    let ((sync, commands), (tell_poisoned, poisoned)) = (mailbox(), mailbox());
    let health = Arc::new(HealthBoard::default());
    let handles = SyncHandles { commands, poisoned: tell_poisoned, progress, health, compactor: Thread };
    let syncing = SyncLoop::new(handles, policy, Duration::MAX / 4);
    (Appender { shared, sync, poisoned, writer: None }, loom::thread::spawn(move || syncing.run()))
}

impl Appender {
    /// Begins a segment, which is in the log once the caller has put it there.
    fn begin(&mut self, id: u64, base: u64, frames: u32) -> LogSegment {
        let (writer, syncer) = segment(id, base, frames);
        let segment = log_segment(&writer);
        self.sync.send(SyncCommand::Activate(syncer));
        self.writer = Some(writer);
        segment
    }

    fn append(&mut self, numbers: std::ops::RangeInclusive<u64>) {
        append(self.writer.as_mut().expect("a segment"), numbers);
    }

    fn tell_progress(&self, last: u64) {
        self.shared.progress.set_appended(Sequence(last), 1);
    }

    /// As under the policy `always`.
    fn append_and_sync(&mut self, number: u64) {
        self.append(number..=number);
        self.tell_progress(number);
        self.sync.send(SyncCommand::SyncNow(self.shared.progress.answered()));
    }

    fn end(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.sync.send(SyncCommand::Seal(writer.finish()));
        }
    }

    /// Writes again what a failed sync left in doubt, into a segment with that number.
    fn write_again(&mut self, poisoned: &UnsyncedSegment, id: u64) {
        self.end();
        self.sync.send(SyncCommand::BeginRewrite);
        let durable = poisoned.durable_sequence();
        let mut segments = Vec::new();
        for doubtful in self.shared.log.all_beyond(durable) {
            let mut reader = SegmentReader::open(&doubtful.segment.path).expect("a segment");
            reader.seek(poisoned.durable);
            reader.set_limit(doubtful.segment.progress.published());
            let mut numbers = Vec::new();
            read(&mut reader, &mut numbers);
            assert_eq!(numbers.last(), Some(&doubtful.last.0));
            segments.push(self.begin(id, numbers[0], 2));
            self.append(numbers[0]..=doubtful.last.0);
            // From here on the kernel may forget them.
            file_at(&doubtful.segment.path).forget_what_is_not_on_the_disk();
        }
        self.shared.log.supersede(durable, poisoned.segment, poisoned.durable, segments);
        self.sync.send(SyncCommand::EndRewrite { lost: 0 });
    }
}

/// Whatever is called durable now is on the disk.
fn assert_durable(progress: &StoreProgress, segments: &[LogSegment]) {
    let durable = progress.durable();
    for segment in segments.iter().filter(|segment| segment.base_sequence <= durable) {
        let on_disk = file_at(&segment.path).on_disk();
        let last = on_disk.last_sequence(segment.base_sequence);
        // Of one that has a successor, all that it has.
        let due = durable.min(segment.last_published());
        assert!(last >= due, "durable up to {durable}, on the disk up to {last}");
    }
}

#[test]
fn what_is_called_durable_is_on_the_disk_across_segments() {
    model(2, || {
        let (mut appender, syncing) = start(SyncPolicy::Always);
        let progress = Arc::clone(&appender.shared.progress);
        let mut segments = Vec::new();
        for number in 1..=2 {
            let segment = appender.begin(number, number, 1);
            appender.shared.log.push(segment.clone(), Sequence(0));
            segments.push(segment);
            appender.append_and_sync(number);
            assert_durable(&progress, &segments);
            appender.end();
        }
        drop(appender);
        assert_durable(&progress, &segments);
        syncing.join().expect("synced");
        assert_eq!(progress.durable(), Sequence(2));
        assert_durable(&progress, &segments);
    });
}

#[test]
fn what_was_written_again_after_a_failed_sync_is_followed_once() {
    // How many records were synced before that.
    for synced in 0..=1 {
        // Three threads: a bound of two takes minutes.
        model(1, move || {
            let (mut appender, syncing) = start(SyncPolicy::Always);
            let shared = appender.shared.clone();
            let segment = appender.begin(1, 1, 2);
            shared.log.push(segment.clone(), Sequence(0));
            if synced > 0 {
                appender.append_and_sync(1);
                while shared.progress.durable() < Sequence(1) {
                    loom::thread::yield_now();
                }
            }
            file_at(&segment.path).fail_to_sync();
            let following = loom::thread::spawn(|| {
                let mut follower = Follower::default();
                follower.look(false);
                follower
            });
            appender.append_and_sync(synced + 1);
            let poisoned = appender.poisoned.recv().expect("a failed sync");
            appender.write_again(&poisoned, 2);
            appender.end();
            drop(appender);
            syncing.join().expect("synced");
            let mut follower = following.join().expect("followed");
            follower.look(false);
            assert_eq!(follower.numbers, Vec::from_iter(1..=synced + 1));
        });
    }
}

#[test]
fn who_waited_for_durability_finds_on_the_disk_what_it_recorded_before() {
    model(2, || {
        // Nothing is synced but for who waits.
        let (mut appender, syncing) = start(SyncPolicy::Never);
        let progress = Arc::clone(&appender.shared.progress);
        let segment = appender.begin(1, 1, 2);
        let file = file_at(&segment.path);
        appender.shared.log.push(segment, Sequence(0));
        let recorded = Arc::new(loom::sync::atomic::AtomicU64::new(0));
        let appending = loom::thread::spawn({
            let recorded = Arc::clone(&recorded);
            move || {
                let progress = Arc::clone(&appender.shared.progress);
                let mut appended = 0;
                loop {
                    // As `src/appender.rs` does: before taking.
                    let drawn = progress.drawn();
                    let last = recorded.load(loom::sync::atomic::Ordering::Acquire);
                    if last > appended {
                        appender.append(appended + 1..=last);
                        appended = last;
                        appender.tell_progress(last);
                    }
                    if progress.answer(drawn) {
                        appender.sync.send(SyncCommand::SyncNow(drawn));
                        break;
                    }
                    loom::thread::yield_now();
                }
                appender.end();
            }
        });
        recorded.store(1, loom::sync::atomic::Ordering::Release);
        let ticket = progress.draw();
        let patience = Duration::from_secs(3600);
        assert_eq!(progress.wait_durable(ticket, Instant::now() + patience, patience), Ok(()));
        assert!(file.on_disk().frames >= 1, "called durable, and not on the disk");
        appending.join().expect("appended");
        syncing.join().expect("synced");
    });
}
