//! What a crash may leave of a log, and what recovery makes of it; recovering a second time changes nothing.

use super::directory;
use super::format::{Extent, FRAMES_OFFSET, LogIdentity, Mark};
use super::quarantine::{DamagedPlace, Note};
use super::reader::SegmentReader;
use super::recovery::{RecoveredLog, Repair, SealedSegment, TornTail, recover};
use super::recovery_plan::RecoveryPlan;
use super::survey::Survey;
use super::syncer::{SegmentSyncer, UnsyncedSegment, sync_sealed_file};
use super::verdict::{Action, NUMBER_MAX};
use super::witness::Folded;
use super::writer::{PreparedSegment, SegmentWriter};
use crate::ground::error::SegmentError;
use crate::ground::position::{SegmentId, Sequence, WriterId};
use crate::ground::sabotage;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const WRITER: WriterId = WriterId([1; 16]);

struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(fixture.wal()).unwrap();
        fixture
    }

    fn wal(&self) -> PathBuf {
        self.dir.path().join("wal")
    }

    fn segment(&self, id: u64, base: u64, writer_id: WriterId) -> (SegmentWriter, SegmentSyncer) {
        let prepared = PreparedSegment::create(&self.wal(), SegmentId(id), 65536).unwrap();
        prepared.activate(LogIdentity::sample(writer_id), Sequence(base), 5).unwrap()
    }

    fn recover(&self) -> RecoveredLog {
        self.recover_after(None)
    }

    fn recover_after(&self, folded: Option<(WriterId, Sequence)>) -> RecoveredLog {
        let survey = Survey::of(&self.wal()).unwrap();
        let writer_id = folded.map(|(writer_id, _)| writer_id).or(survey.owners().told());
        let folded = folded.map_or(Sequence(0), |(_, sequence)| sequence);
        recover(survey, &self.dir.path().join("quarantine"), writer_id, folded).unwrap()
    }

    /// A segment that holds these numbers, as a killed writer leaves it.
    fn holding(&self, id: u64, numbers: std::ops::RangeInclusive<u64>) {
        let (mut writer, _syncer) = self.segment(id, *numbers.start(), WRITER);
        for number in numbers {
            writer.append(format!("record {number}").as_bytes()).unwrap();
        }
    }
}

fn snapshot(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> =
        directory::list(dir).unwrap().into_iter().map(|f| (f.path.clone(), std::fs::read(f.path).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn torn_tail_is_dropped_without_error_and_recovering_twice_changes_nothing() {
    let fixture = Fixture::new();
    let (mut writer, _syncer) = fixture.segment(1, 1, WRITER);
    writer.append(b"first").unwrap();
    let good = writer.extent();
    writer.append(b"second").unwrap();
    let file = OpenOptions::new().write(true).open(writer.path()).unwrap();
    file.write_all_at(b"X", u64::from(good.end.0) + 13).unwrap();
    let recovered = fixture.recover();
    // The frame's header, its payload, and nothing behind.
    let torn = TornTail { bytes: 12 + 6, frames_follow: false };
    assert_eq!(recovered.repairs, [Repair::Cut { segment: SegmentId(1), at: good.end.0, torn }]);
    assert_eq!((recovered.last_sequence, recovered.segments[0].extent), (Sequence(1), good));
    let before = snapshot(&fixture.wal());
    let again = fixture.recover();
    assert!(again.repairs.is_empty());
    assert_eq!(snapshot(&fixture.wal()), before);
}

#[test]
fn a_sealed_segment_is_left_as_it_is() {
    let fixture = Fixture::new();
    let (mut writer, syncer) = fixture.segment(1, 11, WRITER);
    writer.append(b"first").unwrap();
    let extent = writer.finish();
    syncer.seal(extent, true).unwrap();
    let before = snapshot(&fixture.wal());
    let recovered = fixture.recover();
    assert!(recovered.repairs.is_empty());
    assert_eq!(recovered.last_sequence, Sequence(11));
    assert_eq!(snapshot(&fixture.wal()), before);
}

#[test]
fn a_seal_that_was_never_synced_is_checked_like_a_crash() {
    let fixture = Fixture::new();
    let (mut writer, syncer) = fixture.segment(1, 1, WRITER);
    writer.append(b"first").unwrap();
    let good = writer.extent();
    writer.append(b"second").unwrap();
    let path = writer.path().to_owned();
    let extent = writer.finish();
    syncer.seal(extent, false).unwrap();
    // The power went before the second frame's page was written.
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 16], u64::from(good.end.0)).unwrap();
    let recovered = fixture.recover();
    assert_eq!(recovered.segments[0].extent, good);
}

#[test]
fn foreign_and_headless_files_are_moved_aside_and_never_reused() {
    let fixture = Fixture::new();
    let (mut writer, _syncer) = fixture.segment(1, 1, WRITER);
    writer.append(b"mine").unwrap();
    let _foreign = fixture.segment(2, 1, WriterId([9; 16]));
    std::fs::write(fixture.wal().join("000000000003.seg"), [b'x'; 8192]).unwrap();
    std::fs::write(fixture.wal().join("000000000004.new"), [0; 8192]).unwrap();
    let recovered = fixture.recover_after(Some((WRITER, Sequence(0))));
    assert_eq!(recovered.segments.len(), 1);
    assert_eq!(recovered.last_segment, SegmentId(3), "an id that a file once had must not come again");
    let moved = recovered.repairs.iter().filter(|r| matches!(r, Repair::Quarantined { .. })).count();
    assert_eq!(moved, 2, "{:?}", recovered.repairs);
    assert!(fixture.dir.path().join("quarantine/000000000002.seg").exists());
    assert!(!fixture.wal().join("000000000004.new").exists());
}

#[test]
fn a_log_of_a_newer_version_is_refused_untouched() {
    let fixture = Fixture::new();
    let (mut writer, _syncer) = fixture.segment(1, 1, WRITER);
    writer.append(b"old").unwrap();
    let (newer, _syncer) = fixture.segment(2, 2, WRITER);
    let file = OpenOptions::new().write(true).open(newer.path()).unwrap();
    file.write_all_at(&newer.header().encode_as(2), 0).unwrap();
    let before = snapshot(&fixture.wal());
    let error = Survey::of(&fixture.wal()).unwrap_err();
    assert!(matches!(error, SegmentError::UnsupportedVersion { found: 2, .. }), "{error}");
    assert_eq!(snapshot(&fixture.wal()), before);
}

#[test]
fn what_was_recovered_is_checked_again_until_it_is_synced() {
    let fixture = Fixture::new();
    let (mut writer, _syncer) = fixture.segment(1, 1, WRITER);
    writer.append(b"first").unwrap();
    let good = writer.extent();
    writer.append(b"second").unwrap();
    let path = writer.path().to_owned();
    let owed = UnsyncedSegment {
        segment: SegmentId(1),
        path: path.clone(),
        base_sequence: Sequence(1),
        durable: Extent::EMPTY,
        keeps_mark: false,
        writer: WRITER,
    };
    assert_eq!(fixture.recover().unsynced, std::slice::from_ref(&owed));
    // The power went: the seal is on the disk, the second frame is not.
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 16], u64::from(good.end.0)).unwrap();
    let recovered = fixture.recover();
    assert_eq!((recovered.segments[0].extent, recovered.unsynced), (good, vec![owed.clone()]));
    sync_sealed_file(&owed).unwrap();
    let recovered = fixture.recover();
    assert_eq!((recovered.segments[0].extent, recovered.unsynced), (good, vec![]));
}

#[test]
fn an_empty_segment_is_sealed_empty() {
    let fixture = Fixture::new();
    let _active = fixture.segment(1, 1, WRITER);
    let recovered = fixture.recover();
    assert_eq!((recovered.last_sequence, recovered.segments.len()), (Sequence(0), 0));
    assert_eq!(recovered.superseded[0].extent, Extent::EMPTY);
    assert_eq!(std::fs::metadata(&recovered.superseded[0].path).unwrap().len(), u64::from(FRAMES_OFFSET));
}

#[test]
fn a_segment_whose_frames_go_on_behind_its_seal_keeps_them_and_is_called_damaged_each_time() {
    let fixture = Fixture::new();
    let (mut writer, _syncer) = fixture.segment(1, 1, WRITER);
    writer.append(b"first").unwrap();
    let forged = writer.extent();
    writer.append(b"second").unwrap();
    let whole = writer.extent();
    let mark = Mark { generation: 9, durable: forged, sealed: Some(forged) };
    let salt = SegmentReader::open(writer.path()).unwrap().header().salt;
    let file = OpenOptions::new().write(true).open(writer.path()).unwrap();
    file.write_all_at(&mark.encode(salt), u64::from(Mark::offset(mark.generation))).unwrap();
    for _ in 0..2 {
        let recovered = fixture.recover();
        let [Repair::KeptDamaged { segment: SegmentId(1), damaged }] = &recovered.repairs[..] else {
            panic!("{:?}", recovered.repairs)
        };
        assert_eq!((damaged.offset, recovered.segments[0].extent), (forged.end.0, whole));
        assert_eq!(recovered.last_sequence, Sequence(2));
    }
}

#[test]
fn intact_frames_behind_a_torn_one_are_cut_with_it_and_told() {
    // Pages reach the disk in any order: of three records the second was lost, in part or whole. The first is short, or so
    // long that the tail lies far behind the start.
    for (lost, first_bytes) in [(&[b'X'; 20][..], 5), (&[0; 20], 5), (&[b'X'; 20], 30_000)] {
        let fixture = Fixture::new();
        let (mut writer, _syncer) = fixture.segment(1, 1, WRITER);
        writer.append(&vec![b'f'; first_bytes]).unwrap();
        let good = writer.extent();
        writer.append(b"payload!").unwrap();
        writer.append(b"third").unwrap();
        let file = OpenOptions::new().write(true).open(writer.path()).unwrap();
        file.write_all_at(lost, u64::from(good.end.0)).unwrap();
        let recovered = fixture.recover();
        let torn = TornTail { bytes: 20 + 12 + 5, frames_follow: true };
        assert_eq!(recovered.repairs, [Repair::Cut { segment: SegmentId(1), at: good.end.0, torn }]);
        assert_eq!(recovered.last_sequence, Sequence(1), "nobody was promised the third");
        assert!(fixture.recover().repairs.is_empty());
    }
}

#[test]
fn a_torn_tail_reaches_to_the_last_byte_that_is_not_zero_however_far_that_is() {
    let fixture = Fixture::new();
    let prepared = PreparedSegment::create(&fixture.wal(), SegmentId(1), 4 * 1024 * 1024).unwrap();
    let (mut writer, _syncer) = prepared.activate(LogIdentity::sample(WRITER), Sequence(1), 5).unwrap();
    writer.append(b"first").unwrap();
    let good = writer.extent();
    for _ in 0..120 {
        writer.append(&[b'l'; 10_000]).unwrap();
    }
    let far = writer.extent();
    writer.append(b"far").unwrap();
    let file = OpenOptions::new().write(true).open(writer.path()).unwrap();
    file.write_all_at(&vec![0; (far.end.0 - good.end.0) as usize], u64::from(good.end.0)).unwrap();
    let torn = TornTail { bytes: far.end.0 - good.end.0 + 12 + 3, frames_follow: true };
    assert_eq!(fixture.recover().repairs, [Repair::Cut { segment: SegmentId(1), at: good.end.0, torn }]);
}

#[test]
fn what_was_written_again_counts_if_it_reaches_as_far_and_a_second_opening_says_the_same() {
    for (again, order, superseded, last) in
        [(3..=8, vec![1, 3], vec![2], 8), (3..=6, vec![1, 3], vec![2], 6), (3..=5, vec![1, 2], vec![3], 6)]
    {
        let fixture = Fixture::new();
        fixture.holding(1, 1..=4);
        fixture.holding(2, 5..=6);
        fixture.holding(3, again);
        let mut before = Vec::new();
        for _ in 0..2 {
            let recovered = fixture.recover();
            let ids = |segments: &[SealedSegment]| -> Vec<_> {
                segments.iter().map(|segment| segment.header.segment_id.0).collect()
            };
            assert_eq!(ids(&recovered.segments), order);
            assert_eq!(ids(&recovered.superseded), superseded);
            assert_eq!(recovered.last_sequence, Sequence(last));
            assert!(before.is_empty() || before == snapshot(&fixture.wal()));
            before = snapshot(&fixture.wal());
        }
    }
}

#[test]
fn no_number_that_an_unreadable_segment_may_hold_is_used_again() {
    let fixture = Fixture::new();
    fixture.holding(1, 1..=3);
    fixture.holding(2, 4..=6);
    let file = OpenOptions::new().write(true).open(fixture.wal().join("000000000002.seg")).unwrap();
    file.write_all_at(b"X", 17).unwrap();
    // Their lengths and indices tell how many there are, to where only zeros follow.
    let possible = 3;
    let first = fixture.recover_after(Some((WRITER, Sequence(2))));
    assert_eq!(first.last_sequence, Sequence(3 + possible));
    let damage = vec![DamagedPlace { offset: 0, bytes: 65536, reason: first.quarantined[0].damage[0].reason.clone() }];
    let note = Note { segment: 2, damage, last_sequence: Some(3 + possible) };
    assert_eq!(first.quarantined, std::slice::from_ref(&note));
    // The file is gone from the log; a crash before a new segment began must not make its numbers free.
    let second = fixture.recover_after(Some((WRITER, Sequence(3))));
    assert_eq!((second.last_sequence, second.quarantined), (Sequence(3 + possible), vec![note]));
    assert!(second.repairs.is_empty());
}

#[test]
fn no_number_that_a_segment_behind_a_link_may_hold_is_used_again() {
    let fixture = Fixture::new();
    fixture.holding(1, 1..=3);
    fixture.holding(2, 4..=6);
    let (path, elsewhere) = (fixture.wal().join("000000000002.seg"), fixture.dir.path().join("elsewhere"));
    std::fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    let recovered = fixture.recover();
    assert!(recovered.last_sequence >= Sequence(6), "{}", recovered.last_sequence);
    assert!(fixture.dir.path().join("quarantine/000000000002.seg").is_symlink());
    assert_eq!(fixture.recover().last_sequence, recovered.last_sequence);
}

#[test]
fn a_forged_header_with_numbers_that_no_store_reaches_is_moved_aside() {
    let fixture = Fixture::new();
    fixture.holding(1, 1..=3);
    let _forged = fixture.segment(2, i64::MAX as u64, WRITER);
    let _forged = fixture.segment(i64::MAX as u64, 4, WRITER);
    let recovered = fixture.recover();
    assert_eq!((recovered.last_sequence, recovered.last_segment), (Sequence(3), SegmentId(2)));
    assert_eq!(recovered.repairs.len(), 3, "{:?}", recovered.repairs);
}

#[test]
fn a_name_alone_takes_no_id_that_its_log_can_not_have_got_to() {
    const FAR: u64 = 1 << 32;
    for (name, last) in
        [(3, 3), (2 + FAR, 2 + FAR), (3 + FAR, 2), (NUMBER_MAX - 1, 2), (NUMBER_MAX, 2), (i64::MAX as u64, 2)]
    {
        for content in ["zeros", "garbage", "foreign", "misnamed"] {
            let fixture = Fixture::new();
            fixture.holding(2, 1..=3);
            let path = fixture.wal().join(format!("{name:012}.seg"));
            match content {
                "zeros" => std::fs::write(&path, [0; 8192]).unwrap(),
                "garbage" => std::fs::write(&path, [b'x'; 8192]).unwrap(),
                "foreign" => drop(fixture.segment(name, 1, WriterId([9; 16]))),
                _ => drop(std::fs::copy(fixture.wal().join("000000000002.seg"), &path).unwrap()),
            }
            let recovered = fixture.recover_after(Some((WRITER, Sequence(3))));
            assert_eq!((recovered.last_segment, recovered.last_sequence), (SegmentId(last), Sequence(3)), "{content}");
            assert!(!path.exists());
        }
    }
    // Its very next id is taken, however far.
    let fixture = Fixture::new();
    fixture.holding(2, 1..=3);
    for name in [2 + FAR, 3 + FAR, 5 + FAR] {
        std::fs::write(fixture.wal().join(format!("{name:012}.seg")), [b'x'; 8192]).unwrap();
    }
    assert_eq!(fixture.recover_after(Some((WRITER, Sequence(3)))).last_segment, SegmentId(3 + FAR));
}

#[test]
fn segments_behind_missing_records_go_and_their_numbers_stay_taken() {
    let fixture = Fixture::new();
    let (mut first, _syncer) = fixture.segment(1, 1, WRITER);
    first.append(b"kept").unwrap();
    let good = first.extent();
    first.append(b"lost").unwrap();
    let (mut second, _syncer) = fixture.segment(2, 3, WRITER);
    second.append(b"behind").unwrap();
    let behind = std::fs::read(second.path()).unwrap();
    // The third one's header, too.
    let _third = fixture.segment(3, 4, WRITER);
    // The power went after Linux had written the second segment's pages, and not all of the first one's.
    let file = OpenOptions::new().write(true).open(first.path()).unwrap();
    file.write_all_at(&[0; 32], u64::from(good.end.0)).unwrap();
    let recovered = fixture.recover();
    assert_eq!(recovered.segments.iter().map(|segment| segment.extent).collect::<Vec<_>>(), [good]);
    let to = fixture.dir.path().join("quarantine/000000000002.seg");
    assert_eq!(std::fs::read(&to).unwrap(), behind, "nobody was promised it, but it is all there");
    assert!(recovered.repairs.contains(&Repair::SetAside { segment: SegmentId(2), frames: 1, to }));
    assert_eq!((recovered.last_segment, recovered.last_sequence), (SegmentId(3), Sequence(3)));
    let before = snapshot(&fixture.wal());
    let again = fixture.recover();
    assert_eq!((again.repairs, again.last_sequence), (vec![], Sequence(3)), "if nothing was recorded before a crash");
    assert_eq!(snapshot(&fixture.wal()), before);
}

#[test]
fn what_lies_behind_a_segment_of_which_nothing_reached_the_disk_goes() {
    let fixture = Fixture::new();
    let (mut first, syncer) = fixture.segment(1, 1, WRITER);
    first.append(b"kept").unwrap();
    // Sealed and synced: that nothing is missing there is certain.
    syncer.seal(first.finish(), true).unwrap();
    fixture.holding(2, 2..=3);
    fixture.holding(3, 4..=4);
    let lost = OpenOptions::new().write(true).open(fixture.wal().join("000000000002.seg")).unwrap();
    lost.write_all_at(&[0; FRAMES_OFFSET as usize + 64], 0).unwrap();
    let recovered = fixture.recover();
    let to = fixture.dir.path().join("quarantine/000000000003.seg");
    assert!(recovered.repairs.contains(&Repair::SetAside { segment: SegmentId(3), frames: 1, to }));
    assert_eq!((recovered.segments.len(), recovered.last_sequence), (1, Sequence(4)));
}

#[test]
fn after_a_recovery_that_left_a_segment_without_records_the_numbers_may_jump_whatever_the_next_power_cut_takes() {
    let fixture = Fixture::new();
    let (mut emptied, _syncer) = fixture.segment(1, 1, WRITER);
    emptied.append(b"lost").unwrap();
    fixture.holding(2, 2..=2);
    let file = OpenOptions::new().write(true).open(emptied.path()).unwrap();
    file.write_all_at(&[0; 32], u64::from(FRAMES_OFFSET)).unwrap();
    let header_page = std::fs::read(emptied.path()).unwrap()[..FRAMES_OFFSET as usize].to_vec();
    let recovered = fixture.recover();
    assert_eq!(recovered.last_sequence, Sequence(2), "whose record went to quarantine");
    // What is owed a sync gets one, and the next segment takes a record.
    let synced: Vec<_> = recovered.unsynced.iter().map(|segment| segment.path.clone()).collect();
    recovered.unsynced.iter().for_each(|segment| sync_sealed_file(segment).unwrap());
    fixture.holding(3, 3..=3);
    // The power goes. What was written and never synced is as it was before; the file's length came by the journal.
    if !synced.contains(&emptied.path().to_owned()) {
        file.write_all_at(&header_page, 0).unwrap();
    }
    let again = fixture.recover();
    assert!(!again.repairs.iter().any(|repair| matches!(repair, Repair::SetAside { .. })), "{:?}", again.repairs);
    assert_eq!(again.segments.last().map(|segment| segment.header.segment_id), Some(SegmentId(3)));
}

#[test]
fn segments_behind_missing_records_stay_if_the_database_has_those() {
    let fixture = Fixture::new();
    let (mut first, _syncer) = fixture.segment(1, 1, WRITER);
    first.append(b"lost").unwrap();
    let (mut second, _syncer) = fixture.segment(2, 2, WRITER);
    second.append(b"behind").unwrap();
    let file = OpenOptions::new().write(true).open(first.path()).unwrap();
    file.write_all_at(&[0; 32], u64::from(FRAMES_OFFSET)).unwrap();
    let recovered = fixture.recover_after(Some((WRITER, Sequence(1))));
    assert!(!recovered.repairs.iter().any(|repair| matches!(repair, Repair::SetAside { .. })));
    assert_eq!(recovered.last_sequence, Sequence(2));
}

#[test]
fn a_renamed_segment_is_moved_aside_and_its_numbers_stay_taken() {
    let fixture = Fixture::new();
    fixture.holding(1, 1..=3);
    fixture.holding(2, 100..=103);
    std::fs::rename(fixture.wal().join("000000000002.seg"), fixture.wal().join("000000000009.seg")).unwrap();
    let recovered = fixture.recover();
    assert!(recovered.last_sequence >= Sequence(103));
    assert_eq!(recovered.segments.len(), 1);
}

#[test]
fn neither_the_id_nor_the_numbers_of_a_segment_under_another_ones_name_come_again_wherever_that_lies() {
    let name = |id: u64| format!("{id:012}.seg");
    // The last one under the name of a retired one; two of them changed about.
    for (from, to, is_swap) in [(4, 1, false), (4, 2, true), (4, 3, true), (4, 9, false)] {
        let fixture = Fixture::new();
        for (id, numbers) in [(2, 101..=200), (3, 201..=300), (4, 301..=400)] {
            fixture.holding(id, numbers);
        }
        let path = |id| fixture.wal().join(name(id));
        let other = std::fs::read(path(to));
        std::fs::rename(path(from), path(to)).unwrap();
        if is_swap {
            std::fs::write(path(from), other.unwrap()).unwrap();
        }
        let whole = std::fs::read(path(to)).unwrap();
        for _ in 0..2 {
            // A second time, as after a crash before the next segment began.
            let recovered = fixture.recover_after(Some((WRITER, Sequence(100))));
            let last = SegmentId(from.max(to));
            assert_eq!((recovered.last_segment, recovered.last_sequence), (last, Sequence(400)), "{from} as {to}");
            assert_eq!(std::fs::read(fixture.dir.path().join("quarantine").join(name(to))).unwrap(), whole);
        }
    }
}

#[test]
fn without_a_database_most_of_its_segments_tell_whose_log_it_is() {
    let fixture = Fixture::new();
    fixture.holding(2, 8..=9);
    fixture.holding(3, 10..=12);
    assert_eq!(Survey::of(&fixture.wal()).unwrap().owners().told(), Some(WRITER));
    let (mut foreign, _syncer) = fixture.segment(4, 1, WriterId([9; 16]));
    foreign.append(b"theirs").unwrap();
    assert_eq!(Survey::of(&fixture.wal()).unwrap().owners().told(), Some(WRITER));
    let recovered = fixture.recover_after(Some((WRITER, Sequence(0))));
    assert_eq!(recovered.last_sequence, Sequence(12));
    assert_eq!(recovered.segments.len(), 2);
    assert!(fixture.dir.path().join("quarantine/000000000004.seg").exists());
}

#[test]
fn a_segment_of_which_the_disk_can_not_read_a_place_is_moved_aside_and_its_numbers_stay_taken() {
    for place in [0..1, 5000..5001] {
        let fixture = Fixture::new();
        fixture.holding(1, 1..=200);
        fixture.holding(2, 201..=203);
        sabotage::spoil(&fixture.wal().join("000000000001.seg"), place);
        let recovered = fixture.recover();
        assert_eq!(recovered.segments.len(), 1);
        assert!(recovered.last_sequence >= Sequence(203));
        assert!(fixture.dir.path().join("quarantine/000000000001.seg").exists());
    }
}

/// What becomes of each file.
fn actions(plan: &RecoveryPlan) -> Vec<Action> {
    (0..plan.files.len()).map(|place| plan.decided(place).0).collect()
}

#[test]
fn a_log_that_ended_in_order_is_opened_without_reading_its_frames() {
    let fixture = Fixture::new();
    let mut folded = None;
    for (id, base) in [(1, 1), (2, 101), (3, 201)] {
        let (mut writer, syncer) = fixture.segment(id, base, WRITER);
        for number in 0..100 {
            writer.append(format!("record {number}").as_bytes()).unwrap();
        }
        let path = writer.path().to_owned();
        let extent = writer.finish();
        syncer.seal(extent, true).unwrap();
        folded = Some((SegmentId(id), extent.end));
        // Who reads there can't.
        sabotage::spoil(&path, 5000..5001);
    }
    let opened = |folded: Folded| {
        let survey = Survey::of(&fixture.wal()).unwrap();
        actions(&RecoveryPlan::of(survey, Some(WRITER), folded).unwrap())
    };
    let whole = Folded { sequence: Sequence(300), place: folded };
    assert_eq!(opened(whole), [Action::Keep; 3]);
    // The segments behind them bear the first two out, and nothing the last one.
    let unread = [Action::Keep, Action::Keep, Action::QuarantineReservingNumbers];
    for folded in [Sequence(0).into(), Sequence(300).into(), Folded { sequence: Sequence(299), ..whole }] {
        assert_eq!(opened(folded), unread, "{folded:?}");
    }
    let survey = Survey::of(&fixture.wal()).unwrap();
    let looked = RecoveryPlan::of_opened(survey, Some(WRITER), Sequence(0)).unwrap();
    assert!(actions(&looked).iter().all(|action| *action == Action::Keep), "whoever opened it has looked");
}

#[test]
fn a_mark_that_counts_too_many_frames_takes_no_segment_behind_it_away_folded_or_not() {
    for folded in [0, 5, 7] {
        let fixture = Fixture::new();
        let mut paths = Vec::new();
        for (id, base, count) in [(1, 1, 5), (2, 6, 2)] {
            let (mut writer, syncer) = fixture.segment(id, base, WRITER);
            for _ in 0..count {
                writer.append(&[b'r'; 400]).unwrap();
            }
            paths.push(writer.path().to_owned());
            syncer.seal(writer.finish(), true).unwrap();
        }
        let reader = SegmentReader::open(&paths[0]).unwrap();
        let Mark { generation, durable, .. } = reader.mark();
        let many = Extent { frames: 100, ..durable };
        let mark = Mark { generation: generation + 1, durable: many, sealed: Some(many) };
        let file = OpenOptions::new().write(true).open(&paths[0]).unwrap();
        file.write_all_at(&mark.encode(reader.header().salt), u64::from(Mark::offset(mark.generation))).unwrap();
        let recovered = fixture.recover_after(Some((WRITER, Sequence(folded))));
        let frames: Vec<_> = recovered.segments.iter().map(|segment| segment.extent.frames).collect();
        assert_eq!(
            (frames, recovered.superseded.len(), recovered.last_sequence),
            (vec![5, 2], 0, Sequence(7)),
            "{folded}"
        );
        assert!(matches!(recovered.repairs[..], [Repair::KeptDamaged { segment: SegmentId(1), .. }]), "{folded}");
    }
}
