//! What must hold of a live segment in every interleaving: whoever reads it sees whole frames in order, whatever is called
//! durable is on the disk, and what is folded is read once, from where it is.

use crate::appender::sync_loop::{SyncCommand, SyncHandles, SyncLoop};
use crate::compactor::fold_limit::{FoldLimit, Unfolded};
use crate::disk::{FRAME_BYTES, PAYLOAD_BYTES, file_at};
use crate::ground::config::SyncPolicy;
use crate::ground::health::HealthBoard;
use crate::ground::position::{SegmentId, Sequence, WriterId};
use crate::ground::store_progress::StoreProgress;
use crate::mailbox::{Receiver, Sender, Thread, mailbox};
use crate::segment::format::{Extent, FRAMES_OFFSET, LogIdentity};
use crate::segment::reader::{Item, SegmentReader, Stop};
use crate::segment::segment_list::{LogSegment, SegmentList};
use crate::segment::syncer::{SegmentSyncer, UnsyncedSegment};
use crate::segment::writer::{PreparedSegment, SegmentWriter};
use loom::model::Builder;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    let prepared = PreparedSegment::create(Path::new("wal"), SegmentId(id), bytes).expect("room");
    prepared.activate(LogIdentity::sample(WriterId([7; 16])), Sequence(base), 5).expect("room")
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

/// What the threads of a store share.
#[derive(Clone)]
struct Shared {
    log: Arc<SegmentList>,
    progress: Arc<StoreProgress>,
    /// Whether what is folded need not be durable.
    takes_published: bool,
}

impl Shared {
    fn new(takes_published: bool) -> Self {
        let progress = StoreProgress::new(Sequence(0), Sequence(0), Sequence(0));
        Self { log: Arc::new(SegmentList::new([], [])), progress: Arc::new(progress), takes_published }
    }
}

/// A segment that takes frames, as the log knows it.
fn log_segment(writer: &SegmentWriter) -> LogSegment {
    LogSegment {
        id: writer.header().segment_id,
        path: writer.path().to_owned(),
        base_sequence: writer.header().base_sequence,
        created_at: writer.header().created_at,
        allocated_bytes: writer.bytes(),
        progress: Arc::clone(writer.progress()),
    }
}

/// Does what `src/tail.rs` and `src/tail/again.rs` do, in the same order, as far as other threads can tell.
struct Appender {
    shared: Shared,
    sync: Sender<SyncCommand>,
    poisoned: Receiver<UnsyncedSegment>,
    writer: Option<SegmentWriter>,
}

/// An appender, which the caller drives, and a syncing thread that runs.
fn start(policy: SyncPolicy) -> (Appender, loom::thread::JoinHandle<()>) {
    let shared = Shared::new(policy == SyncPolicy::Never);
    let progress = Arc::clone(&shared.progress);
    let ((sync, commands), (tell_poisoned, poisoned)) = (mailbox(), mailbox());
    let health = Arc::new(HealthBoard::default());
    let handles = SyncHandles { commands, poisoned: tell_poisoned, progress, health, compactor: Thread };
    let syncing = SyncLoop::new(handles, policy, Duration::MAX / 4, Vec::new(), Sequence(0));
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

/// Folds what there is to fold, as the compactor does; whether there was any.
fn fold_some(shared: &Shared, folded: &mut Vec<u64>) -> bool {
    let _folding = shared.log.hold_folding();
    let checkpoint = Sequence(folded.last().copied().unwrap_or(0));
    let outlook = Unfolded::beyond(checkpoint, &shared.log, &shared.progress, shared.takes_published);
    // Without a segment, the compactor takes all numbers that were appended for folded.
    assert!(outlook.next.is_some() || outlook.appended <= checkpoint, "{outlook:?} passes something over");
    let Some(FoldLimit { segment, limit, last }) = outlook.next.filter(|next| next.last > checkpoint) else {
        return false;
    };
    let on_disk = file_at(&segment.path).on_disk();
    let is_due = shared.takes_published || on_disk >= limit;
    assert!(is_due, "folded up to {limit:?}, on the disk up to {on_disk:?}");
    let mut reader = SegmentReader::open(&segment.path).expect("a segment");
    reader.set_limit(limit);
    let mut numbers = Vec::new();
    assert_eq!(read(&mut reader, &mut numbers), Stop::Limit);
    folded.extend(numbers.into_iter().filter(|number| (checkpoint.0 + 1..=last.0).contains(number)));
    assert_eq!(folded.last(), Some(&last.0));
    shared.progress.set_folded(last, 1);
    true
}

/// A compactor that looks so many times, meanwhile, and does not wait in between. Loom runs a thread that waits by yielding
/// only where no other can run; this one is held up wherever it stands, for as long as the others need.
fn start_folding(shared: &Shared, looks: usize) -> loom::thread::JoinHandle<Vec<u64>> {
    let shared = shared.clone();
    loom::thread::spawn(move || {
        let mut folded = Vec::new();
        (0..looks).for_each(|_| _ = fold_some(&shared, &mut folded));
        folded
    })
}

/// Folds the rest, once nothing more comes; all that was folded.
fn end_folding(shared: &Shared, folding: loom::thread::JoinHandle<Vec<u64>>) -> Vec<u64> {
    let mut folded = folding.join().expect("folded");
    while fold_some(shared, &mut folded) {}
    folded
}

#[test]
fn who_folds_a_live_segment_reads_up_to_where_it_is_durable_and_finds_it_whole() {
    model(2, || {
        let shared = Shared::new(false);
        let (mut writer, mut syncer) = segment(1, 1, 2);
        shared.log.push(log_segment(&writer));
        let appending = loom::thread::spawn(move || append(&mut writer, 1..=2));
        let folding = start_folding(&shared, 1);
        syncer.sync().expect("synced");
        syncer.sync().expect("synced");
        appending.join().expect("appended");
        syncer.sync().expect("synced");
        assert_eq!(end_folding(&shared, folding), [1, 2]);
    });
}

#[test]
fn what_is_folded_is_on_the_disk_and_folded_once_across_segments() {
    model(2, || {
        let (mut appender, syncing) = start(SyncPolicy::Always);
        let shared = appender.shared.clone();
        let folding = start_folding(&shared, 2);
        for number in 1..=2 {
            let segment = appender.begin(number, number, 1);
            shared.log.push(segment);
            appender.append_and_sync(number);
            appender.end();
        }
        drop(appender);
        syncing.join().expect("synced");
        assert_eq!(end_folding(&shared, folding), [1, 2]);
    });
}

#[test]
fn what_was_written_again_after_a_failed_sync_is_folded_once_and_from_there() {
    // How many records were synced before that.
    for synced in 0..=1 {
        model(2, move || {
            let (mut appender, syncing) = start(SyncPolicy::Always);
            let shared = appender.shared.clone();
            let segment = appender.begin(1, 1, 2);
            shared.log.push(segment.clone());
            if synced > 0 {
                appender.append_and_sync(1);
                while shared.progress.durable() < Sequence(1) {
                    loom::thread::yield_now();
                }
            }
            file_at(&segment.path).fail_to_sync();
            let folding = start_folding(&shared, 1);
            appender.append_and_sync(synced + 1);
            let poisoned = appender.poisoned.recv().expect("a failed sync");
            appender.write_again(&poisoned, 2);
            appender.end();
            drop(appender);
            syncing.join().expect("synced");
            assert_eq!(end_folding(&shared, folding), Vec::from_iter(1..=synced + 1));
        });
    }
}

#[test]
fn what_can_not_be_written_again_is_either_folded_or_lost() {
    model(3, || {
        let shared = Shared::new(true);
        let (mut writer, _syncer) = segment(1, 1, 1);
        shared.log.push(log_segment(&writer));
        append(&mut writer, 1..=1);
        let folding = start_folding(&shared, 1);
        // As `src/tail/again.rs` does where nothing can be read back: what is folded by then is not lost.
        let held = shared.log.hold_folding();
        let lost = shared.progress.folded() < Sequence(1);
        shared.log.supersede(Sequence(0), SegmentId(1), Extent::EMPTY, []);
        drop(held);
        assert_eq!(end_folding(&shared, folding).is_empty(), lost);
    });
}

#[test]
fn who_waited_for_durability_finds_on_the_disk_what_it_recorded_before() {
    model(2, || {
        // Nothing is synced but for who waits.
        let (mut appender, syncing) = start(SyncPolicy::Never);
        let progress = Arc::clone(&appender.shared.progress);
        let segment = appender.begin(1, 1, 2);
        let file = file_at(&segment.path);
        appender.shared.log.push(segment);
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
