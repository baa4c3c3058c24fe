//! What becomes of each folded segment, as data: decided here, printed by whoever asks, carried out by `retirement.rs`.
//!
//! Pure; on whichever thread calls it. It must not look at a file.

use super::log_retention::{LogRetention, Surplus};
use crate::ground::position::{SegmentId, Sequence};
use crate::segment::number_set::NumberSet;
use crate::segment::segment_list::{FoldedSegments, LogSegment};
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

/// What is about to become of the folded segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetirementPlan {
    /// Each of them, those that are read by age, then those that were superseded. The newest segment of all is never among
    /// them: it carries the store's identity.
    pub segments: Vec<PlannedSegment>,
}

/// A folded segment, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedSegment {
    /// Its number.
    pub segment: SegmentId,
    /// Its file.
    #[serde(rename = "file")]
    pub path: PathBuf,
    /// How many bytes it takes.
    pub bytes: u64,
    /// Its last number.
    #[serde(skip)]
    pub(crate) last_sequence: Sequence,
    /// What becomes of it, and why.
    pub fate: Fate,
}

/// What becomes of a folded segment, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fate {
    /// It stays, for a database that is made anew: it is within the limits.
    Kept,
    /// It is deleted: with it, more than [`keep_segments_bytes`](crate::Config::keep_segments_bytes) would be kept.
    BeyondBytes,
    /// It is deleted: it is older than [`keep_segments_age_ms`](crate::Config::keep_segments_age_ms).
    BeyondAge,
    /// It is deleted, whatever else it is kept for: everything in it is older than
    /// [`keep_rows_age_ms`](crate::Config::keep_rows_age_ms).
    Expired,
    /// It is deleted: others have its records, or it has none.
    Superseded,
    /// It goes to `quarantine/` with all its bytes: damage was found in it.
    Damaged,
    /// It goes to `quarantine/` with all its bytes: it has records that were missing when the log was folded past them, and
    /// that count as lost. Somebody put it back.
    PassedOver,
}

impl Fate {
    /// Whether its file is deleted.
    pub fn is_deleted(self) -> bool {
        matches!(self, Self::BeyondBytes | Self::BeyondAge | Self::Expired | Self::Superseded)
    }

    /// Whether its file goes to `quarantine/`.
    pub fn is_moved(self) -> bool {
        matches!(self, Self::Damaged | Self::PassedOver)
    }
}

impl RetirementPlan {
    /// Plans for segments up to the last number that is folded. `damaged` are those in which damage was found, and `missing`
    /// the numbers that are not folded all the same: the database says that they are lost.
    pub(crate) fn new(
        folded: &FoldedSegments,
        damaged: &HashSet<SegmentId>,
        missing: &NumberSet,
        retention: &LogRetention,
        now_ms: i64,
    ) -> Self {
        // Damaged ones are not among those that a database is made from, and take no room from them.
        let is_passed_over =
            |segment: &LogSegment| missing.count_within(segment.base_sequence.0, segment.last_published().0) > 0;
        let is_sound = |segment: &&LogSegment| !damaged.contains(&segment.id) && !is_passed_over(segment);
        let sizes: Vec<_> =
            folded.ordered.iter().filter(is_sound).map(|segment| (segment.bytes(), segment.created_at)).collect();
        let mut surplus = retention.surplus(&sizes, now_ms).into_iter();
        let ordered = folded.ordered.iter().map(|segment| {
            let fate = match is_sound(&segment) {
                true => surplus.next().flatten().into(),
                false if damaged.contains(&segment.id) => Fate::Damaged,
                false => Fate::PassedOver,
            };
            PlannedSegment::new(segment, fate)
        });
        let superseded = folded.superseded.iter().map(|segment| {
            // Others have its records; but where damage was found, those may be the ones that it took.
            let may_be_alone = !damaged.is_empty() && segment.progress.published().frames > 0;
            let is_damaged = damaged.contains(&segment.id) || may_be_alone;
            let fate = match is_damaged {
                true => Fate::Damaged,
                false if is_passed_over(segment) => Fate::PassedOver,
                false => Fate::Superseded,
            };
            PlannedSegment::new(segment, fate)
        });
        Self { segments: ordered.chain(superseded).collect() }
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

    /// How many segments leave the log.
    pub(crate) fn retired_count(&self) -> usize {
        self.deleted().chain(self.moved()).count()
    }
}

impl PlannedSegment {
    fn new(segment: &LogSegment, fate: Fate) -> Self {
        let (bytes, last_sequence) = (segment.bytes(), segment.last_published());
        Self { segment: segment.id, path: segment.path.clone(), bytes, last_sequence, fate }
    }
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
            Self::Superseded => "deleted: others have its records",
            Self::Damaged => "moved to quarantine/: folded, and damaged",
            Self::PassedOver => "moved to quarantine/: it has records that count as lost",
        })
    }
}

impl fmt::Display for RetirementPlan {
    /// A line for each segment that leaves the log, and one for the rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for PlannedSegment { segment, bytes, fate, .. } in self.deleted().chain(self.moved()) {
            writeln!(f, "segment {segment}, {bytes} bytes, {fate}")?;
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
    use crate::ground::position::Offset;
    use crate::segment::format::Extent;
    use crate::segment::segment_progress::SegmentProgress;
    use std::sync::Arc;

    fn segment(id: u64, created_at: i64) -> LogSegment {
        let extent = Extent { end: Offset(4096 + 100), frames: 1 };
        LogSegment {
            id: SegmentId(id),
            path: format!("{id}.seg").into(),
            base_sequence: Sequence(id),
            created_at,
            allocated_bytes: 8192,
            progress: Arc::new(SegmentProgress::of_sealed(extent)),
        }
    }

    /// Three segments of 4196 bytes, from the times 100, 200 and 300, and two that were superseded, at 400.
    fn fates(keep_segments: u64, age_max_ms: Option<u64>, damaged: &[u64], missing: &[u64]) -> Vec<Fate> {
        let mut config = Config::new("");
        (config.keep_segments_bytes, config.keep_segments_age_ms) = (Some(keep_segments * 4196), age_max_ms);
        let folded = FoldedSegments {
            ordered: vec![segment(1, 100), segment(2, 200), segment(3, 300)],
            superseded: vec![segment(4, 100), segment(5, 350)],
        };
        let damaged = damaged.iter().copied().map(SegmentId).collect();
        let mut set = NumberSet::default();
        missing.iter().for_each(|number| set.insert_all(*number, *number));
        let plan = RetirementPlan::new(&folded, &damaged, &set, &LogRetention::new(&config.limits()), 400);
        assert_eq!(plan.segments.iter().map(|planned| planned.segment.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert!(plan.segments.iter().all(|planned| planned.bytes == 4196), "as long as its frames");
        let kept = plan.segments.iter().filter(|planned| planned.fate == Fate::Kept).count();
        assert_eq!(plan.retired_count() + kept, 5, "each is kept, deleted or moved");
        assert_eq!(plan.to_string().lines().count(), plan.retired_count() + 1);
        plan.segments.iter().map(|planned| planned.fate).collect()
    }

    #[test]
    fn each_folded_segment_has_the_fate_of_its_row_in_the_table() {
        use Fate::{BeyondAge as Age, BeyondBytes as Bytes, Damaged as Hurt, Kept, Superseded};
        for (keep_segments, age_max_ms, damaged, expected) in [
            // Limits of size.
            (0, None, &[][..], [Bytes, Bytes, Bytes]),
            (1, None, &[], [Bytes, Bytes, Kept]),
            (2, None, &[], [Bytes, Kept, Kept]),
            (3, None, &[], [Kept, Kept, Kept]),
            // Of age, and of both: what is beyond both is told to be beyond the size.
            (9, Some(99), &[], [Age, Age, Age]),
            (9, Some(100), &[], [Age, Age, Kept]),
            (9, Some(200), &[], [Age, Kept, Kept]),
            (9, Some(300), &[], [Kept, Kept, Kept]),
            (2, Some(100), &[], [Bytes, Age, Kept]),
            (0, Some(300), &[], [Bytes, Bytes, Bytes]),
            // Damage: neither limit keeps it, and it takes no room.
            (9, None, &[2], [Kept, Hurt, Kept]),
            (1, None, &[3], [Bytes, Kept, Hurt]),
            (2, None, &[1, 2, 3], [Hurt, Hurt, Hurt]),
            (0, None, &[2], [Bytes, Hurt, Bytes]),
            // Where there is damage, those that nothing is read from are moved too: what it took may be nowhere else.
            (9, None, &[4, 5, 77], [Kept, Kept, Kept]),
        ] {
            let found = fates(keep_segments, age_max_ms, damaged, &[]);
            let superseded = if damaged.is_empty() { Superseded } else { Hurt };
            let expected = [&expected[..], &[superseded; 2]].concat();
            assert_eq!(found, expected, "{keep_segments} kept, {age_max_ms:?} ms, {damaged:?} damaged");
        }
    }

    #[test]
    fn a_segment_with_records_that_count_as_lost_is_moved_whatever_the_limits() {
        use Fate::{BeyondBytes as Bytes, Damaged as Hurt, Kept, PassedOver as Back, Superseded};
        for (keep_segments, damaged, missing, expected) in [
            (0, &[][..], &[2][..], [Bytes, Back, Bytes, Superseded, Superseded]),
            // It takes no room from those that are kept.
            (2, &[], &[2], [Kept, Back, Kept, Superseded, Superseded]),
            (1, &[], &[6], [Bytes, Bytes, Kept, Superseded, Superseded]),
            (9, &[], &[4], [Kept, Kept, Kept, Back, Superseded]),
            (9, &[2], &[2, 4], [Kept, Hurt, Kept, Hurt, Hurt]),
        ] {
            assert_eq!(fates(keep_segments, None, damaged, missing), expected, "{damaged:?} {missing:?}");
        }
    }

    #[test]
    fn nothing_folded_is_nothing_to_do() {
        let plan = RetirementPlan::new(
            &FoldedSegments::default(),
            &HashSet::new(),
            &NumberSet::default(),
            &LogRetention::new(&Config::new("").limits()),
            400,
        );
        assert_eq!((plan.retired_count(), plan.to_string()), (0, "0 of 0 folded segments kept, 0 bytes".into()));
    }
}
