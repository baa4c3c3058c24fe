//! Logs as a store leaves them: folded up to anywhere, retired or not, killed or shut down, synced by any policy, with a
//! second writing after a failed sync. Pure.

use crate::log_image::{FileImage, LogImage, WRITER_ID_NAME};
use crate::recording::Recording;
use crate::segment_image::SegmentImage;
use fastrand::Rng;
use mcplog::position::{SegmentId, Sequence};
use std::collections::BTreeMap;

/// The size of a segment that nobody sealed.
const FULL_BYTES: usize = 64 * 1024;
/// A kind that no build knows.
const UNKNOWN_KIND: u8 = 200;

/// A log of that recording, and what it is like, in words.
pub fn log(recording: &Recording, rng: &mut Rng) -> (LogImage, Vec<&'static str>) {
    let mut shape = Shape { segments: recording.segments.clone(), words: Vec::new() };
    let is_killed = shape.end_run(rng);
    let known_last = shape.last_number();
    shape.lag_durable_ends(rng, is_killed);
    if chance(rng, 20) {
        shape.append_newer_records(rng);
    }
    if is_killed && chance(rng, 25) {
        shape.write_again(rng);
    }
    if chance(rng, 15) {
        shape.begin_run_without_records();
    }
    let (folded, database) = shape.choose_database(recording, rng, known_last);
    let told: Vec<_> =
        shape.segments.iter().flat_map(|segment| segment.numbers().zip(segment.frames.clone())).collect();
    if folded > 0 && chance(rng, 40) {
        shape.retire(rng, folded);
    }
    let mut image =
        LogImage { files: BTreeMap::new(), database, folded, writer_id: recording.writer_id, told: BTreeMap::new() };
    for (number, payload) in told {
        image.note(number, &payload);
    }
    for segment in shape.segments {
        image.add(segment);
    }
    let writer_id = format!("{}\n", recording.writer_id).into_bytes();
    image.files.insert(WRITER_ID_NAME.to_owned(), FileImage { bytes: writer_id, segment: None });
    (image, shape.words)
}

struct Shape {
    segments: Vec<SegmentImage>,
    words: Vec<&'static str>,
}

impl Shape {
    /// Lets the recording end at any record; tells whether a kill ended it.
    fn end_run(&mut self, rng: &mut Rng) -> bool {
        if chance(rng, 30) {
            self.words.push("shut down");
            return false;
        }
        self.words.push("killed");
        let keep = rng.usize(..self.segments.len()) + 1;
        self.segments.truncate(keep);
        let last = self.last();
        let frames = rng.usize(..=last.frames.len());
        last.frames.truncate(frames);
        last.is_sealed = false;
        last.durable_frames = if chance(rng, 50) { frames } else { rng.usize(..=frames) };
        last.generation = if last.durable_frames == 0 { rng.u64(..2) } else { rng.u64(1..9) };
        last.file_bytes = FULL_BYTES;
        true
    }

    /// Lets the durable end lie before the sealed one in the last segments.
    fn lag_durable_ends(&mut self, rng: &mut Rng, is_killed: bool) {
        let lagging = match rng.u8(..4) {
            0 | 1 => return,
            2 => {
                self.words.push("the last syncs are missing");
                rng.usize(..=self.segments.len().min(2))
            }
            _ => {
                self.words.push("never synced");
                self.segments.len()
            }
        };
        let is_open_too = usize::from(is_killed);
        let from = self.segments.len().saturating_sub(lagging + is_open_too);
        for (index, segment) in self.segments[from..].iter_mut().enumerate() {
            segment.durable_frames = if index == 0 { rng.usize(..=segment.durable_frames) } else { 0 };
            segment.generation = 1 + u64::from(segment.durable_frames > 0);
        }
    }

    /// Ends with records of a newer build.
    fn append_newer_records(&mut self, rng: &mut Rng) {
        self.words.push("records of a newer build");
        let last = self.last();
        let is_durable = last.durable_frames == last.frames.len();
        for number in 0..rng.u8(1..4) {
            last.frames.push(if rng.bool() { vec![UNKNOWN_KIND, 1, number] } else { vec![2, UNKNOWN_KIND, number] });
        }
        if is_durable {
            last.durable_frames = last.frames.len();
        }
    }

    /// Writes what is not durable again, completely or as far as a crash let it come.
    fn write_again(&mut self, rng: &mut Rng) {
        let from = self.segments.iter().position(|segment| segment.durable_frames < segment.frames.len());
        let Some(from) = from else { return };
        let first = self.segments[from].numbers().start + self.segments[from].durable_frames as u64;
        let again: Vec<_> = self.segments[from..]
            .iter()
            .flat_map(|segment| segment.numbers().zip(&segment.frames))
            .filter(|(number, _)| *number >= first)
            .map(|(_, payload)| payload.clone())
            .collect();
        // A segment whose sync failed, and those behind it, are never sealed by the run that wrote them.
        for segment in &mut self.segments[from..] {
            segment.is_sealed = false;
            segment.file_bytes = FULL_BYTES;
            if segment.durable_frames == 0 {
                segment.generation = 0;
            }
        }
        let is_complete = chance(rng, 60);
        self.words.push(if is_complete { "written again" } else { "written again in part" });
        let frames = if is_complete { again.len() } else { rng.usize(..=again.len()) };
        let (mut base, mut rest) = (first, &again[..frames]);
        let mut id = self.last().header.segment_id.0 + 1;
        loop {
            let taken = if chance(rng, 30) { rng.usize(..=rest.len()) } else { rest.len() };
            let (now, later) = rest.split_at(taken);
            let mut segment = self.last().clone();
            segment.header.segment_id = SegmentId(id);
            segment.header.base_sequence = Sequence(base);
            segment.header.salt = rng.u32(..);
            segment.frames = now.to_vec();
            segment.is_sealed = !later.is_empty() || (is_complete && rng.bool());
            segment.durable_frames = if is_complete && rng.bool() { taken } else { 0 };
            segment.generation = u64::from(segment.is_sealed || segment.durable_frames > 0) * 2;
            segment.file_bytes = if segment.is_sealed { 0 } else { FULL_BYTES };
            self.segments.push(segment);
            (base, rest, id) = (base + taken as u64, later, id + 1);
            if rest.is_empty() {
                break;
            }
        }
    }

    /// Ends with a run that recorded nothing before it died.
    fn begin_run_without_records(&mut self) {
        self.words.push("a run without records");
        let next = self.last_number() + 1;
        let last = self.last();
        // Who opened the store sealed what was there before.
        let mut segment = last.clone();
        last.is_sealed = true;
        last.generation += 1;
        last.file_bytes = 0;
        segment.header.segment_id = segment.header.segment_id.next();
        segment.header.base_sequence = Sequence(next);
        segment.header.salt = segment.header.salt.rotate_left(7) ^ 0x5eed;
        (segment.frames, segment.durable_frames, segment.generation) = (Vec::new(), 0, 0);
        (segment.is_sealed, segment.file_bytes) = (false, FULL_BYTES);
        self.segments.push(segment);
    }

    /// A database that has folded some of it, all of it, or nothing.
    fn choose_database(&mut self, recording: &Recording, rng: &mut Rng, last: u64) -> (u64, Option<Vec<u8>>) {
        if chance(rng, 8) {
            self.words.push("without a database");
            return (0, None);
        }
        // Nothing beyond what is durable is folded, but where nothing is ever synced.
        let fitting: Vec<_> = recording.databases.iter().filter(|(folded, _)| **folded <= last).collect();
        let (folded, bytes) = fitting[rng.usize(..fitting.len())];
        self.words.push(match *folded {
            0 => "nothing folded",
            folded if folded >= last => "all folded",
            _ => "some folded",
        });
        (*folded, Some(bytes.clone()))
    }

    /// Removes segments that are folded.
    fn retire(&mut self, rng: &mut Rng, folded: u64) {
        let is_folded = |segment: &SegmentImage| segment.numbers().end <= folded + 1;
        let count = self.segments.iter().take_while(|segment| is_folded(segment)).count();
        let count = rng.usize(..=count.min(self.segments.len() - 1));
        if count > 0 {
            self.words.push("retired");
            self.segments.drain(..count);
        }
    }

    fn last(&mut self) -> &mut SegmentImage {
        self.segments.last_mut().expect("a recording has segments")
    }

    fn last_number(&self) -> u64 {
        self.segments.iter().map(|segment| segment.numbers().end - 1).max().unwrap_or(0)
    }
}

/// Whether something that happens in so many of a hundred cases does so now.
pub fn chance(rng: &mut Rng, percent: u8) -> bool {
    rng.u8(..100) < percent
}
