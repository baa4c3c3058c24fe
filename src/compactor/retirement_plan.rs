//! What becomes of each folded segment, as data: decided here, printed by whoever asks, carried out by `retirement.rs`.
//!
//! Pure; on whichever thread calls it. It must not look at a file.

use super::folded_segment::FoldedSegment;
use super::log_retention::{LogRetention, Surplus};
use crate::ground::position::{SegmentId, WriterId};
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;

/// What is about to become of the folded segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetirementPlan {
    /// Each of them, the oldest first, whoever wrote it: those that lie in the log, and those that are kept.
    pub segments: Vec<PlannedSegment>,
}

/// A folded segment, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedSegment {
    /// Whose log it is of.
    #[serde(serialize_with = "as_text")]
    pub writer: WriterId,
    /// Its number in that log.
    pub segment: SegmentId,
    /// Its file.
    #[serde(rename = "file")]
    pub path: PathBuf,
    /// How many bytes it takes.
    pub bytes: u64,
    /// It lies in `kept/` already.
    #[serde(skip)]
    pub(crate) is_kept: bool,
    /// What becomes of it, and why.
    pub fate: Fate,
}

/// What becomes of a folded segment, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fate {
    /// It stays, or goes to `kept/`, for a database that is made anew: it is within the limits.
    Kept,
    /// It is deleted: with it, more than [`keep_segments_bytes`](crate::Config::keep_segments_bytes) would be kept.
    BeyondBytes,
    /// It is deleted: it is older than [`keep_segments_age_ms`](crate::Config::keep_segments_age_ms).
    BeyondAge,
    /// It is deleted, whatever else it is kept for: everything in it is older than
    /// [`keep_rows_age_ms`](crate::Config::keep_rows_age_ms).
    Expired,
    /// It is deleted: it never was a segment, and holds nothing. A crash left it.
    Unstarted,
    /// It goes to `quarantine/` with all its bytes: damage was found in it.
    Damaged,
    /// It goes to `quarantine/` with all its bytes: it has records that were missing when the log was folded past them, and
    /// that count as lost. Somebody put it back.
    PassedOver,
}

impl Fate {
    /// Whether its file is deleted.
    pub fn is_deleted(self) -> bool {
        matches!(self, Self::BeyondBytes | Self::BeyondAge | Self::Expired | Self::Unstarted)
    }

    /// Whether its file goes to `quarantine/`.
    pub fn is_moved(self) -> bool {
        matches!(self, Self::Damaged | Self::PassedOver)
    }
}

impl RetirementPlan {
    /// Plans for segments of which everything is folded, of all logs.
    pub(crate) fn new(mut folded: Vec<FoldedSegment>, retention: &LogRetention, now_ms: i64) -> Self {
        // Of one log in the order of its numbers, whatever the clock said meanwhile.
        folded.sort_by_key(|segment| (segment.writer.0, segment.id));
        let mut latest: Option<(WriterId, i64)> = None;
        let ages = folded.iter().map(|segment| {
            let before = latest.filter(|(writer, _)| *writer == segment.writer).map_or(i64::MIN, |(_, at)| at);
            let at = segment.created_at.max(before);
            latest = Some((segment.writer, at));
            (at, segment.writer.0, segment.id)
        });
        let mut aged: Vec<_> = ages.collect::<Vec<_>>().into_iter().zip(folded).collect();
        aged.sort_by_key(|(age, _)| *age);
        Self::of_sorted(aged.into_iter().map(|(_, segment)| segment).collect(), retention, now_ms)
    }

    fn of_sorted(folded: Vec<FoldedSegment>, retention: &LogRetention, now_ms: i64) -> Self {
        // Those that go to quarantine are not among those that a database is made from, and take no room from them.
        let is_sound =
            |segment: &&FoldedSegment| !segment.is_damaged && !segment.is_passed_over && !segment.is_unstarted;
        let sizes: Vec<_> = folded.iter().filter(is_sound).map(|segment| (segment.bytes, segment.created_at)).collect();
        let mut surplus = retention.surplus(&sizes, now_ms).into_iter();
        let planned = folded.into_iter().map(|segment| {
            let fate = match &segment {
                FoldedSegment { is_damaged: true, .. } => Fate::Damaged,
                FoldedSegment { is_passed_over: true, .. } => Fate::PassedOver,
                FoldedSegment { is_unstarted: true, .. } => Fate::Unstarted,
                _ => surplus.next().flatten().into(),
            };
            PlannedSegment::new(segment, fate)
        });
        Self { segments: planned.collect() }
    }

    /// Segments that are kept go all the same if everything in them `is_expired`. That may leave a hole in what is kept:
    /// an import of old events lies between younger ones.
    pub(crate) fn expire(&mut self, mut is_expired: impl FnMut(&PlannedSegment) -> bool) {
        for planned in self.segments.iter_mut().filter(|planned| planned.fate == Fate::Kept) {
            if is_expired(planned) {
                planned.fate = Fate::Expired;
            }
        }
    }

    /// Those whose files are deleted.
    pub fn deleted(&self) -> impl Iterator<Item = &PlannedSegment> {
        self.segments.iter().filter(|planned| planned.fate.is_deleted())
    }

    /// Those whose files go to `quarantine/`.
    pub fn moved(&self) -> impl Iterator<Item = &PlannedSegment> {
        self.segments.iter().filter(|planned| planned.fate.is_moved())
    }

    /// Those that are to be kept and still lie in the log.
    pub(crate) fn newly_kept(&self) -> impl Iterator<Item = &PlannedSegment> {
        self.segments.iter().filter(|planned| planned.fate == Fate::Kept && !planned.is_kept)
    }

    /// How many segments are not kept.
    pub(crate) fn retired_count(&self) -> usize {
        self.deleted().chain(self.moved()).count()
    }
}

impl PlannedSegment {
    fn new(segment: FoldedSegment, fate: Fate) -> Self {
        let FoldedSegment { writer, id, path, bytes, is_kept, .. } = segment;
        Self { writer, segment: id, path, bytes, is_kept, fate }
    }
}

fn as_text<S: Serializer>(writer: &WriterId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(writer)
}

impl From<Option<Surplus>> for Fate {
    fn from(surplus: Option<Surplus>) -> Self {
        match surplus {
            None => Self::Kept,
            Some(Surplus::Bytes) => Self::BeyondBytes,
            Some(Surplus::Age) => Self::BeyondAge,
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept: within the limits",
            Self::BeyondBytes => "deleted: folded, and beyond keep_segments_bytes",
            Self::BeyondAge => "deleted: folded, and older than keep_segments_age_ms",
            Self::Expired => "deleted: everything in it is older than keep_rows_age_ms",
            Self::Unstarted => "deleted: it never was a segment",
            Self::Damaged => "moved to quarantine/: folded, and damaged",
            Self::PassedOver => "moved to quarantine/: it has records that count as lost",
        })
    }
}

impl fmt::Display for RetirementPlan {
    /// A line for each segment that leaves the log, and one for the rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for PlannedSegment { writer, segment, bytes, fate, .. } in self.deleted().chain(self.moved()) {
            writeln!(f, "writer {writer}, segment {segment}, {bytes} bytes, {fate}")?;
        }
        let kept = self.segments.iter().filter(|planned| planned.fate == Fate::Kept);
        let bytes: u64 = kept.clone().map(|planned| planned.bytes).sum();
        let (count, s) = (kept.count(), if self.segments.len() == 1 { "" } else { "s" });
        write!(f, "{count} of {} folded segment{s} kept, {bytes} bytes", self.segments.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::config::Config;

    const FIRST: WriterId = WriterId([1; 16]);
    const SECOND: WriterId = WriterId([2; 16]);

    /// Three segments of 4196 bytes, of two logs, from the times 100, 200 and 300.
    fn folded(damaged: &[u64], passed_over: &[u64]) -> Vec<FoldedSegment> {
        let segment = |(id, writer): (u64, WriterId)| FoldedSegment {
            writer,
            id: SegmentId(id),
            path: format!("{writer}/{id}.seg").into(),
            bytes: 4196,
            created_at: i64::try_from(id).unwrap() * 100,
            is_kept: id == 1,
            is_damaged: damaged.contains(&id),
            is_unstarted: false,
            is_passed_over: passed_over.contains(&id),
        };
        // In no order.
        [(2, SECOND), (3, FIRST), (1, FIRST)].map(segment).into()
    }

    fn retention(keep_segments: u64, age_max_ms: Option<u64>) -> LogRetention {
        let mut config = Config::new("");
        (config.keep_segments_bytes, config.keep_segments_age_ms) = (Some(keep_segments * 4196), age_max_ms);
        LogRetention::new(&config.limits())
    }

    fn fates(keep_segments: u64, age_max_ms: Option<u64>, damaged: &[u64], passed_over: &[u64]) -> Vec<Fate> {
        let plan = RetirementPlan::new(folded(damaged, passed_over), &retention(keep_segments, age_max_ms), 400);
        assert_eq!(plan.segments.iter().map(|planned| planned.segment.0).collect::<Vec<_>>(), [1, 2, 3]);
        let kept = plan.segments.iter().filter(|planned| planned.fate == Fate::Kept).count();
        assert_eq!(plan.retired_count() + kept, 3, "each is kept, deleted or moved");
        assert_eq!(plan.to_string().lines().count(), plan.retired_count() + 1);
        assert!(plan.newly_kept().all(|planned| planned.segment.0 != 1), "it is kept already");
        plan.segments.iter().map(|planned| planned.fate).collect()
    }

    #[test]
    fn each_folded_segment_has_the_fate_of_its_row_in_the_table_whoever_wrote_it() {
        use Fate::{BeyondAge as Age, BeyondBytes as Bytes, Damaged as Hurt, Kept, PassedOver as Back};
        for (keep_segments, age_max_ms, damaged, passed_over, expected) in [
            // Limits of size.
            (0, None, &[][..], &[][..], [Bytes, Bytes, Bytes]),
            (1, None, &[], &[], [Bytes, Bytes, Kept]),
            (2, None, &[], &[], [Bytes, Kept, Kept]),
            (3, None, &[], &[], [Kept, Kept, Kept]),
            // Of age, and of both: what is beyond both is told to be beyond the size.
            (9, Some(99), &[], &[], [Age, Age, Age]),
            (9, Some(100), &[], &[], [Age, Age, Kept]),
            (9, Some(200), &[], &[], [Age, Kept, Kept]),
            (9, Some(300), &[], &[], [Kept, Kept, Kept]),
            (2, Some(100), &[], &[], [Bytes, Age, Kept]),
            (0, Some(300), &[], &[], [Bytes, Bytes, Bytes]),
            // Damage: neither limit keeps it, and it takes no room.
            (9, None, &[2], &[], [Kept, Hurt, Kept]),
            (1, None, &[3], &[], [Bytes, Kept, Hurt]),
            (2, None, &[1, 2, 3], &[], [Hurt, Hurt, Hurt]),
            (0, None, &[2], &[], [Bytes, Hurt, Bytes]),
            // Records that count as lost, likewise; what is both is called damaged.
            (0, None, &[], &[2], [Bytes, Back, Bytes]),
            (2, None, &[], &[2], [Kept, Back, Kept]),
            (9, None, &[2], &[2, 3], [Kept, Hurt, Back]),
        ] {
            let found = fates(keep_segments, age_max_ms, damaged, passed_over);
            assert_eq!(found, expected, "{keep_segments} kept, {age_max_ms:?} ms, {damaged:?}, {passed_over:?}");
        }
    }

    #[test]
    fn a_log_loses_its_oldest_segments_first_whatever_the_clock_said() {
        let mut segments = folded(&[], &[]);
        segments.retain(|segment| segment.writer == FIRST);
        segments.iter_mut().for_each(|segment| segment.created_at = 500 - segment.created_at);
        let plan = RetirementPlan::new(segments, &retention(1, None), 400);
        let fates: Vec<_> = plan.segments.iter().map(|planned| (planned.segment.0, planned.fate)).collect();
        assert_eq!(fates, [(1, Fate::BeyondBytes), (3, Fate::Kept)]);
    }

    #[test]
    fn nothing_folded_is_nothing_to_do() {
        let plan = RetirementPlan::new(Vec::new(), &retention(0, None), 400);
        assert_eq!((plan.retired_count(), plan.to_string()), (0, "0 of 0 folded segments kept, 0 bytes".into()));
    }
}
