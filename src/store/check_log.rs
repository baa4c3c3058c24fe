//! The logs' part of a check: every record of every log, and what is wrong with its files.
//!
//! By plain reads, like any reader. It must not change anything. What a file is to the log, and what is wrong with it,
//! is decided elsewhere ([`super::examined_log`], [`crate::segment::examination`]): `wal-inspect` says the same.

use super::examined_log::{ExaminedLog, LogPlaces, Passing};
use super::folded::FoldedLogs;
use crate::ground::error::PathError;
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::{Offset, SegmentId, Sequence, StoreId, WriterId};
use crate::record::LEVEL;
use crate::record::record::{Record, RecordError};
use crate::segment::directory::list;
use crate::segment::log_examination::MissingNumbers;
use crate::segment::log_file::{LogFile, LogPart};
use crate::segment::log_item::LogItem;
use crate::segment::reader::{Damage, FrameAt};
use crate::segment::wrong_mark::WrongMark;
use std::collections::{HashMap, HashSet};

/// In each segment, so many records that can't be decoded are named one by one.
const UNDECODABLE_NAMED_MAX: u64 = 10;

/// After so many bytes of records it is told how far the check has come.
const PROGRESS_BYTES: u64 = 1024 * 1024;

/// What is known of the logs before they are read.
pub(super) struct LogCheck<'a> {
    /// Which store it is, if something says so.
    pub(super) store: Option<StoreId>,
    /// Asks the database.
    pub(super) tell: &'a dyn Fn() -> FoldedLogs,
    /// The segments that folding found damaged: what was lost there is in no database.
    pub(super) found_damaged: &'a HashSet<(WriterId, SegmentId)>,
}

/// What the logs amount to.
#[derive(Debug, Default)]
pub(super) struct LogState {
    pub(super) logs: u64,
    pub(super) segments: u64,
    pub(super) bytes: u64,
    /// Intact records, folded or not.
    pub(super) records: u64,
    /// Those that are not folded; 0 where nobody knows what is folded.
    pub(super) unfolded_records: u64,
    /// Those of them that a newer build wrote.
    pub(super) unfolded_newer_records: u64,
    /// Records in damaged places, and those that no segment has, which are not folded.
    pub(super) lost_records: u64,
    /// Something keeps this build from folding them all.
    pub(super) has_waiting_log: bool,
}

/// What passed by while one log was read.
#[derive(Debug, Default)]
struct Seen {
    /// How much of it was read.
    bytes: u64,
    segments: HashMap<SegmentId, SeenSegment>,
    /// The number of each record of a newer build.
    newer: Vec<Sequence>,
}

/// And of one of its segments.
#[derive(Debug, Default)]
struct SeenSegment {
    damage: Vec<Damage>,
    wrong_marks: Vec<WrongMark>,
    /// The first of the records that can't be decoded, with their places and numbers.
    undecodable: Vec<(RecordError, Offset, Sequence)>,
    /// How many there are.
    undecodable_count: u64,
}

/// What is said of a damaged place of which the database has everything.
const NOTHING_LOST: &str = "copy the file before anything else, and check the disk; nothing of it is lost so far";

impl LogCheck<'_> {
    /// Reads a log; `state` gets what it amounts to, and `progress` is told how much is read, from 0 to 1.
    ///
    /// # Errors
    /// The directory can't be read.
    pub(super) fn read(
        &self,
        places: &LogPlaces,
        state: &mut LogState,
        findings: &mut Vec<Finding>,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Option<ExaminedLog>, PathError> {
        progress(0.0);
        let mut seen = Seen::default();
        let total = bytes_in(places).max(1) as f64;
        let examined = ExaminedLog::of(places, self.store, self.tell, |passing| match passing {
            Passing::Begin => seen = Seen::default(),
            Passing::Item(item) => {
                let told = seen.bytes / PROGRESS_BYTES;
                seen.note(item);
                if seen.bytes / PROGRESS_BYTES > told {
                    progress((seen.bytes as f64 / total).min(1.0));
                }
            }
        })?;
        let Some(examined) = examined else { return Ok(None) };
        state.add(places, &examined, &seen);
        findings.extend(examined.findings.iter().cloned());
        for file in &examined.log.files {
            let holes = examined.holes.iter().filter(|(hole, _)| hole.behind == file.file.id);
            findings.extend(holes.map(|(_, finding)| finding.clone()));
            let seen = seen.segments.remove(&file.file.id).unwrap_or_default();
            self.tell_file(places, &examined, file, seen, state, findings);
        }
        Ok(Some(examined))
    }

    fn tell_file(
        &self,
        places: &LogPlaces,
        examined: &ExaminedLog,
        file: &LogFile,
        seen: SeenSegment,
        state: &mut LogState,
        findings: &mut Vec<Finding>,
    ) {
        let path = &file.file.path;
        findings.extend(file.finding());
        let segment = examined.log.segments.get(path);
        findings.extend(segment.and_then(|segment| segment.needs_newer(path, LEVEL)));
        let base = file.first_number().unwrap_or(Sequence(0));
        for damage in &seen.damage {
            let first = Sequence(base.0 + u64::from(damage.index));
            let is_found = self.found_damaged.contains(&(places.writer, file.file.id));
            let found = if places.is_kept(file) {
                let found = damage.finding(path, first);
                let last = first.0 + u64::from(damage.records).saturating_sub(1);
                let fate = match examined.known_folded {
                    None => NOBODY_KNOWS,
                    Some(folded) if last <= folded.0 => DATABASE_HAS,
                    // The database is older than what lies here: another one had it.
                    Some(_) => "; all of it was folded before",
                };
                Finding { text: format!("{}{fate}", found.text), ..found }.next(NOTHING_LOST)
            } else {
                damage_finding(examined, file, damage, first, is_found, state)
            };
            findings.push(found);
        }
        findings.extend(seen.wrong_marks.iter().map(|wrong| file.foresee(wrong.finding(path))));
        let undecodable = seen.undecodable.iter().map(|(error, offset, number)| error.finding(path, *offset, *number));
        findings.extend(undecodable.map(|finding| file.foresee(finding)));
        if seen.undecodable_count > UNDECODABLE_NAMED_MAX {
            let more = seen.undecodable_count - UNDECODABLE_NAMED_MAX;
            let text = format!("{more} more records can't be decoded");
            findings.push(file.foresee(Finding::new(FindingKind::UndecodableRecord, path, text)));
        }
        let ends =
            segment.map(|segment| segment.end_findings(path, examined.has_living_tail() && !places.is_kept(file)));
        findings.extend(ends.into_iter().flatten().map(|finding| file.foresee(finding)));
    }
}

/// What became of damaged records, behind the text of the place.
const NOBODY_KNOWS: &str = "; nobody can say whether the database has them";
const DATABASE_HAS: &str = "; the database has them";

/// Names a damaged place and says what became of its records, of which the first has the number `first`. `is_found`:
/// folding has come upon it.
fn damage_finding(
    examined: &ExaminedLog,
    file: &LogFile,
    damage: &Damage,
    first: Sequence,
    is_found: bool,
    state: &mut LogState,
) -> Finding {
    let found = damage.finding(&file.file.path, first);
    let (records, last) = (u64::from(damage.records), first.0 + u64::from(damage.records).saturating_sub(1));
    let (lost, elsewhere) = (examined.lost_with(file, &found), examined.log.numbers.count_within(first.0, last));
    let nobody_knows = examined.known_folded.is_none();
    let (fate, is_lost) = if records == 0 {
        ("", false)
    } else if elsewhere >= records {
        ("; not read from here", false)
    } else if nobody_knows {
        (NOBODY_KNOWS, false)
    } else if lost == 0 && !is_found {
        (DATABASE_HAS, false)
    } else {
        // Those that folding passed over are counted by the database.
        state.lost_records += lost;
        ("; lost", true)
    };
    let found = Finding { text: format!("{}{fate}", found.text), ..found };
    if is_lost || nobody_knows { file.foresee(found) } else { found.next(NOTHING_LOST) }
}

impl LogState {
    fn add(&mut self, places: &LogPlaces, examined: &ExaminedLog, seen: &Seen) {
        self.logs += 1;
        for file in &examined.log.files {
            self.segments += 1;
            self.bytes += file.file.path.symlink_metadata().map_or(0, |metadata| metadata.len());
            self.has_waiting_log |= matches!(file.part, LogPart::Waits(_));
        }
        let numbers = &examined.log.numbers;
        self.records += numbers.count_within(0, u64::MAX - 1);
        // What is kept was folded: nobody folds it again.
        let waits = |file: &&LogFile| !places.is_kept(file);
        let waiting: Vec<_> = examined.log.files.iter().filter(waits).collect();
        if let Some(folded) = examined.folded {
            let count = |file: &&LogFile| file.count_read(folded.next(), Sequence(u64::MAX - 1));
            self.unfolded_records += waiting.iter().map(count).sum::<u64>();
            let waits = |number: &&Sequence| **number > folded && waiting.iter().any(|file| file.is_read(**number));
            self.unfolded_newer_records += seen.newer.iter().filter(waits).count() as u64;
        }
        // Nor is anything lost that only such a one lacks.
        let is_lost = |kind| matches!(kind, FindingKind::MissingRecords | FindingKind::UndurableRecordsMissing);
        let shows = |hole: &MissingNumbers| waiting.iter().any(|file| file.file.id == hole.behind);
        let lost = examined.holes.iter().filter(|(hole, finding)| is_lost(finding.kind) && shows(hole));
        self.lost_records += lost.map(|(hole, _)| hole.count()).sum::<u64>();
    }
}

impl Seen {
    fn note(&mut self, item: &LogItem<'_>) {
        match item {
            LogItem::Frame { segment, frame } => self.note_record(*segment, frame),
            LogItem::Damage { segment, damage, .. } => self.segment(*segment).damage.push(*damage),
            LogItem::WrongMark { segment, wrong } => self.segment(*segment).wrong_marks.push(*wrong),
            _ => {}
        }
    }

    fn segment(&mut self, segment: SegmentId) -> &mut SeenSegment {
        self.segments.entry(segment).or_default()
    }

    fn note_record(&mut self, segment: SegmentId, frame: &FrameAt<'_>) {
        self.bytes += frame.payload.len() as u64;
        let Err(error) = Record::decode(frame.payload) else { return };
        // Those of a newer build are counted, and told once for the whole store.
        if error.kind_of_finding() == FindingKind::NewerRecords {
            return self.newer.push(frame.sequence);
        }
        let seen = self.segment(segment);
        seen.undecodable_count += 1;
        if seen.undecodable_count <= UNDECODABLE_NAMED_MAX {
            seen.undecodable.push((error, frame.offset, frame.sequence));
        }
    }
}

/// The size of a log's files.
fn bytes_in(places: &LogPlaces) -> u64 {
    let folders = places.folder.iter().chain(&places.kept);
    let files = folders.flat_map(|folder| list(folder).unwrap_or_default());
    files.filter_map(|file| file.path.symlink_metadata().ok()).map(|metadata| metadata.len()).sum()
}
