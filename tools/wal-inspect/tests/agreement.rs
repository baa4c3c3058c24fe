//! Whoever looks at a log tells the same of it: `mcplog check`, `wal-inspect verify`, `dump`, and the examination of each
//! file. Logs are damaged in every way that one finds, in any combination.

#![expect(clippy::unwrap_used, reason = "a log that can't be made or read fails the test")]

mod fixture;

use fixture::{Log, patch};
use mcplog::check::CheckReport;
use mcplog::error::SegmentError;
use mcplog::finding::{FindingKind, Severity};
use mcplog::position::{Offset, Sequence, StoreId, WriterId};
use mcplog::record::LEVEL;
use mcplog::segment::format::{Extent, MARK_OFFSETS, Mark};
use mcplog::segment::{Examination, LogPart, SegmentReader};
use mcplog_fixture::segment;
use proptest::prelude::*;
use serde_json::Value;
use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What is done to a segment; the numbers say where.
#[derive(Clone, Copy, Debug)]
enum Damage {
    FlippedByte(u32),
    ZeroedFrames(u32, u32),
    LostFirstPage,
    LostHeader,
    Cut(u32),
    Removed,
    Renamed,
    Foreign,
    OneMark,
    BothMarks,
    BytesBehind,
    NewerRecord,
    UndecodableRecord,
    ForgedSeal(u32),
    ForgedDurableEnd(u32),
    ForgottenSyncs,
    Doubled,
    NumbersFurtherOn(u64),
    NeverStarted,
    Newer,
    OfAnotherStore,
    OfHigherLevel,
}

fn damage() -> impl Strategy<Value = Damage> {
    use Damage as D;
    prop_oneof![
        (0..60_000_u32).prop_map(D::FlippedByte),
        (4_096..60_000_u32, 1..9_000_u32).prop_map(|(at, bytes)| D::ZeroedFrames(at, bytes)),
        Just(D::LostFirstPage),
        Just(D::LostHeader),
        (1..60_000_u32).prop_map(D::Cut),
        Just(D::Removed),
        Just(D::Renamed),
        Just(D::Foreign),
        Just(D::OneMark),
        Just(D::BothMarks),
        Just(D::BytesBehind),
        Just(D::NewerRecord),
        Just(D::UndecodableRecord),
        (1..400_u32).prop_map(D::ForgedSeal),
        (1..400_u32).prop_map(D::ForgedDurableEnd),
        Just(D::ForgottenSyncs),
        Just(D::Doubled),
        (1..900_u64).prop_map(D::NumbersFurtherOn),
        Just(D::NeverStarted),
        Just(D::Newer),
        Just(D::OfAnotherStore),
        Just(D::OfHigherLevel),
    ]
}

impl Damage {
    /// Does it to the file, if it is still one that it can be done to.
    fn apply(self, path: &Path) {
        let Ok(bytes) = std::fs::read(path) else { return };
        let Ok(reader) = SegmentReader::open(path) else { return };
        let length = u32::try_from(bytes.len()).unwrap();
        let zero = |at: u32, count: u32| patch(path, at, &vec![0; count.min(length.saturating_sub(at)) as usize]);
        let forge = |frames: u32, sealed: bool| {
            let Some(extent) = extent_of(path, frames) else { return };
            let generation = reader.mark().generation + 1;
            segment::write_mark(path, Mark { generation, durable: extent, sealed: sealed.then_some(extent) });
        };
        match self {
            Self::FlippedByte(at) => segment::flip(path, at % length),
            Self::ZeroedFrames(at, count) => zero(at, count),
            Self::LostFirstPage => zero(0, 4_096),
            Self::LostHeader => zero(0, 96),
            Self::Cut(at) => segment::set_length(path, u64::from(at % length)),
            Self::Removed => std::fs::remove_file(path).unwrap(),
            Self::Renamed => std::fs::rename(path, path.with_file_name("000000000077.seg")).unwrap(),
            Self::Foreign => segment::change_header(path, |header| header.writer_id = WriterId([1; 16])),
            Self::OneMark => patch(path, Mark::offset(reader.mark().generation), &[0x5a; 32]),
            Self::BothMarks => MARK_OFFSETS.iter().for_each(|at| patch(path, *at, &[0x5a; 32])),
            Self::BytesBehind => segment::append(path, b"garbage"),
            Self::NewerRecord | Self::UndecodableRecord => {
                // A frame behind the last one that can be read; where there is a seal, it denies that.
                let payload: &[u8] = if matches!(self, Self::NewerRecord) { &[200, 1, 7] } else { &[1, 1, 0xff] };
                if examine(path).severity() == Severity::Sound {
                    segment::append_frame(path, payload);
                }
            }
            Self::ForgedSeal(frames) => forge(frames, true),
            Self::ForgedDurableEnd(frames) => forge(frames, false),
            Self::ForgottenSyncs => segment::forget_syncs(path),
            Self::Doubled => {
                std::fs::copy(path, path.with_file_name("000000000088.seg")).unwrap();
                segment::change_header(&path.with_file_name("000000000088.seg"), |header| header.segment_id.0 = 88);
            }
            Self::NumbersFurtherOn(by) => segment::change_header(path, |header| header.base_sequence.0 += by),
            Self::NeverStarted => std::fs::write(path, vec![0; 8_192]).unwrap(),
            Self::Newer => segment::make_newer(path),
            Self::OfAnotherStore => segment::change_header(path, |header| header.store_id = StoreId([1; 16])),
            Self::OfHigherLevel => segment::change_header(path, |header| header.needs += 1),
        }
    }
}

/// Where so many frames end, if there are more.
fn extent_of(path: &Path, frames: u32) -> Option<Extent> {
    let mut reader = SegmentReader::open(path).ok()?;
    let mut ends = Vec::new();
    Examination::of_reader(&mut reader, |item| {
        if let mcplog::segment::Item::Frame(frame) = item {
            ends.push(frame.offset.0);
        }
        Ok::<_, SegmentError>(())
    })
    .ok()?;
    Some(Extent { end: Offset(*ends.get(frames as usize)?), frames })
}

fn examine(path: &Path) -> Examination {
    Examination::of(path, |_| Ok::<_, SegmentError>(())).unwrap()
}

/// What the tool prints as JSON, and its exit code.
fn inspect(command: &str, path: &Path) -> (Vec<Value>, u8) {
    #[derive(Clone, Default)]
    struct Printed(Rc<RefCell<Vec<u8>>>);
    impl Write for Printed {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let printed = Printed::default();
    let line = ["wal-inspect".as_ref(), command.as_ref(), "--json".as_ref(), path.as_os_str()];
    let code = wal_inspect::print_into(printed.clone(), None, line).unwrap();
    let text = String::from_utf8(printed.0.take()).unwrap();
    (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), code)
}

/// The worst that a check says of a file, as far as that is about the log.
fn checked(report: &CheckReport, path: &Path) -> Severity {
    let is_of_log = |kind: FindingKind| match path.file_name().and_then(|name| name.to_str()) {
        Some("store.db") => kind == FindingKind::ForeignDatabase,
        Some(_) => !matches!(kind, FindingKind::UnfoldedRecords | FindingKind::OpenToOthers),
        None => false,
    };
    let found = report.findings.iter().filter(|found| found.path == path && is_of_log(found.kind));
    found.map(|found| found.severity).max().unwrap_or_default()
}

/// What is told twice, of each file and of the whole.
fn expect_agreement(log: &Log) {
    let report = mcplog::check(log.dir(), true, |_| {}).unwrap();
    let (verified, verdict) = inspect("verify", log.folder());
    let (dumped, dump_verdict) = inspect("dump", log.folder());
    assert_eq!(verdict, dump_verdict, "verify and dump judge the log alike: {verified:#?}\n{dumped:#?}");

    let examined = mcplog::examine_log(log.folder()).unwrap();
    let segments: Vec<&Value> = verified.iter().filter(|object| object["type"] == "segment").collect();
    assert_eq!(segments.len(), examined.log.files.len());
    let mut worst = checked(&report, log.folder()).max(checked(&report, &log.dir().join("store.db")));
    for (segment, file) in segments.iter().zip(&examined.log.files) {
        let path = &file.file.path;
        assert_eq!(segment["file"], path.to_str().unwrap());
        let of_check = checked(&report, path);
        assert_eq!(segment["verdict"], of_check.name(), "{path:?}: {:#?}\n{segment:#}", report.findings);
        let alone = examine(path);
        // Nothing is said of the content of a file at which its log waits, or that lies behind it.
        assert!(matches!(file.part, LogPart::Waits(_)) || alone.severity() <= of_check, "{path:?}: {alone:?}");
        // What a segment needs is said of its log.
        let is_known = SegmentReader::open(path).is_ok_and(|reader| reader.header().needs <= LEVEL);
        if is_known && matches!(file.part, LogPart::Read(..) | LogPart::Empty) && segment["undecodable_records"] == 0 {
            assert_eq!(alone.severity(), of_check, "{path:?}: {alone:?}\n{:#?}", report.findings);
        }
        worst = worst.max(of_check);
    }
    assert_eq!(verdict, worst.exit_code(), "{verified:#?}\n{:#?}", report.findings);

    let summary = verified.last().unwrap();
    let numbers: Vec<u64> = dumped
        .iter()
        .filter(|object| object.get("kind_number").is_some())
        .map(|object| object["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(summary["records"], report.records, "{:#?}", report.findings);
    assert_eq!(numbers.len() as u64, report.records, "dump prints what the store reads");
    let mut once = numbers.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), numbers.len(), "and each number once");
    let is_read = |number: &u64| examined.log.files.iter().any(|file| file.is_read(Sequence(*number)));
    assert!(numbers.iter().all(is_read));
}

#[test]
fn check_verify_dump_and_the_examination_are_of_one_mind() {
    let template = Log::of_segments().folded();
    let folded = (1..=Log::RECORDS).prop_map(Some).boxed();
    let strategy = (proptest::collection::vec((0..4_usize, damage()), 1..4), prop_oneof![folded, Just(None).boxed()]);
    let paths: Vec<PathBuf> = template.segments().iter().map(|path| path.file_name().unwrap().into()).collect();
    proptest!(ProptestConfig { failure_persistence: None, max_shrink_iters: 60, ..ProptestConfig::with_cases(64) }, |((damages, folded) in strategy)| {
        let log = template.copied();
        match folded {
            Some(number) => log.fold_up_to(number),
            None => log.remove_database(),
        }
        let is_open = is_open(&damages);
        for (segment, damage) in damages {
            damage.apply(&log.folder().join(&paths[segment]));
        }
        if is_open {
            eprintln!("KNOWN DISAGREEMENT, OPEN: forged numbers and destroyed marks in one log are not judged here");
        } else {
            expect_agreement(&log);
        }
    });
}

/// Whether the tools are known to judge that differently: numbers were forged, and a segment has no marks. `verify` calls the
/// log damaged then, and `dump` says that somebody should look.
fn is_open(damages: &[(usize, Damage)]) -> bool {
    let has = |is: fn(&Damage) -> bool| damages.iter().any(|(_, damage)| is(damage));
    has(|damage| matches!(damage, Damage::NumbersFurtherOn(_))) && has(|damage| matches!(damage, Damage::BothMarks))
}

#[test]
fn what_is_left_open_is_open_still() {
    let log = Log::of_segments().folded().copied();
    log.remove_database();
    let paths = log.segments();
    Damage::NumbersFurtherOn(460).apply(&paths[2]);
    Damage::BothMarks.apply(&paths[3]);
    let [verified, dumped] = ["verify", "dump"].map(|command| inspect(command, log.folder()).1);
    assert_ne!(verified, dumped, "they agree by now: judge such logs with the others");
}
