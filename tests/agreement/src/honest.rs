//! Stores as their writers leave them: logs that live, that were ended or killed, synced by any policy, with a second
//! writing after a failed sync, folded up to anywhere, retired or not. Pure.

use crate::bytes::{Header, Id, LEVEL, VERSION, id_text};
use crate::life::{Meaning, of_a_newer_build};
use crate::recording::{Log, Recording, Stage};
use crate::segment_image::{FULL_BYTES, SegmentImage};
use crate::store_image::{FileImage, FolderImage, Place, StoreImage, name_of};
use fastrand::Rng;

/// A store of that recording, and what it is like, in words.
pub fn store(recording: &Recording, rng: &mut Rng) -> (StoreImage, Vec<String>) {
    let mut words = Vec::new();
    let stage = &recording.stages[rng.usize(..recording.stages.len())];
    let mut image = StoreImage::empty(recording.store, recording.meanings.clone());
    choose_database(&mut image, stage, rng, &mut words);
    for log in &recording.logs {
        let mut shape = Shape::of(log, image.folded_of(log.writer));
        shape.shape(rng, &mut image);
        words.push(shape.words.join(", "));
        shape.leave(rng, &mut image, log.writer);
    }
    if chance(rng, 15) {
        words.push(leave_a_birth(rng, &mut image));
    }
    (image, words)
}

fn choose_database(image: &mut StoreImage, stage: &Stage, rng: &mut Rng, words: &mut Vec<String>) {
    if stage.folded.is_empty() && chance(rng, 50) {
        words.push("without a database".to_owned());
        return;
    }
    image.database = Some(stage.database().to_vec());
    image.database_store = Some(image.store);
    image.folded = stage.folded.clone();
    image.places = stage.places().clone();
    words.push(format!("{} folded", stage.folded.values().sum::<u64>()));
}

/// A folder in the middle of its birth.
fn leave_a_birth(rng: &mut Rng, image: &mut StoreImage) -> String {
    let writer = rng.u128(..).to_be_bytes();
    let mut folder = FolderImage { is_living: rng.bool(), ..FolderImage::default() };
    match rng.u8(..3) {
        0 => {}
        1 => {
            let bytes = vec![0; FULL_BYTES];
            folder.files.insert(name_of(1), FileImage { bytes, segment: None });
        }
        _ => {
            let (store, salt, created_at) = (image.store, rng.u32(..), 1_760_000_000_000);
            let header =
                Header { version: VERSION, needs: LEVEL, salt, store, writer, segment: 1, base: 1, created_at };
            let mut segment = SegmentImage::sealed(header, Vec::new());
            segment.leave_open(0);
            segment.generation = 0;
            folder.add(segment);
        }
    }
    let word = if folder.is_living { "a birth" } else { "a birth that came to nothing" };
    image.folders.insert((Place::Wal, format!(".new-{}", id_text(writer))), folder);
    word.to_owned()
}

/// The log of one life.
struct Shape {
    segments: Vec<SegmentImage>,
    /// How many of its records are folded.
    folded: u64,
    /// The writer lives.
    is_living: bool,
    /// The log ends with the last record of the life.
    is_complete: bool,
    words: Vec<&'static str>,
}

impl Shape {
    fn of(log: &Log, folded: u64) -> Self {
        Self { segments: log.segments.clone(), folded, is_living: false, is_complete: true, words: Vec::new() }
    }

    fn shape(&mut self, rng: &mut Rng, image: &mut StoreImage) {
        let is_cut = self.end_life(rng);
        self.lag_durable_ends(rng, is_cut);
        if is_cut && chance(rng, 15) {
            self.append_newer_records(rng, image);
        }
        if is_cut && chance(rng, 30) {
            self.write_again(rng);
        }
        if is_cut && chance(rng, 15) {
            self.begin_segment_without_records();
        }
    }

    /// Lets the log end at any record that is not folded yet; tells whether it ends before the last one.
    fn end_life(&mut self, rng: &mut Rng) -> bool {
        let last = self.last_number();
        if self.folded == last || chance(rng, 35) {
            self.words.push("ended");
            // A child of the process may hold the lock on.
            self.is_living = chance(rng, 10);
            return false;
        }
        self.is_living = chance(rng, 45);
        self.words.push(if self.is_living { "alive" } else { "killed" });
        self.is_complete = false;
        let end = rng.u64(self.folded.max(1)..last);
        self.segments.retain(|segment| segment.numbers().start <= end);
        let last = self.last();
        let frames = usize::try_from(end + 1 - last.numbers().start).expect("few frames");
        last.leave_open(frames);
        last.durable_frames = if chance(rng, 50) { frames } else { rng.usize(..=frames) };
        last.generation = if last.durable_frames == 0 { rng.u64(..2) } else { rng.u64(1..9) };
        true
    }

    /// Lets the durable end lie before the sealed one in the last segments.
    fn lag_durable_ends(&mut self, rng: &mut Rng, is_cut: bool) {
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
        let from = self.segments.len().saturating_sub(lagging + usize::from(is_cut));
        for (index, segment) in self.segments[from..].iter_mut().enumerate() {
            segment.durable_frames = if index == 0 { rng.usize(..=segment.durable_frames) } else { 0 };
            segment.generation = 1 + u64::from(segment.durable_frames > 0);
        }
    }

    /// Ends with records of a newer build, which its headers announce or don't.
    fn append_newer_records(&mut self, rng: &mut Rng, image: &mut StoreImage) {
        if rng.bool() {
            self.words.push("of a newer build");
            let from = rng.usize(..self.segments.len());
            self.segments[from..].iter_mut().for_each(|segment| segment.header.needs = LEVEL + 1);
        } else {
            self.words.push("records of a newer build");
        }
        let last = self.last();
        let is_durable = last.durable_frames == last.frames.len();
        for number in 0..rng.u8(1..4) {
            let payload = of_a_newer_build(number, rng.bool());
            image.meanings.insert(payload.clone(), Meaning::Newer);
            last.frames.push(payload);
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
        // A segment whose sync failed, and those behind it, are never sealed by the process that wrote them.
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
        loop {
            let taken = if chance(rng, 30) { rng.usize(..=rest.len()) } else { rest.len() };
            let (now, later) = rest.split_at(taken);
            let mut segment = self.next_segment(base, now.to_vec(), rng.u32(..));
            segment.is_sealed = !later.is_empty();
            segment.durable_frames = if is_complete && rng.bool() { taken } else { 0 };
            segment.generation = u64::from(segment.is_sealed || segment.durable_frames > 0) * 2;
            segment.file_bytes = if segment.is_sealed { 0 } else { FULL_BYTES };
            self.segments.push(segment);
            (base, rest) = (base + taken as u64, later);
            if rest.is_empty() {
                break;
            }
        }
    }

    /// Ends with a segment that was begun and has nothing yet.
    fn begin_segment_without_records(&mut self) {
        self.words.push("a segment without records");
        let next = self.last_number() + 1;
        let salt = self.last().header.salt.rotate_left(7) ^ 0x5eed;
        let mut segment = self.next_segment(next, Vec::new(), salt);
        (segment.is_sealed, segment.generation, segment.file_bytes) = (false, 0, FULL_BYTES);
        // Who begins a segment has sealed the one before it, but after a failed sync.
        let last = self.last();
        if last.durable_frames == last.frames.len() {
            (last.is_sealed, last.generation, last.file_bytes) = (true, last.generation + 1, 0);
        }
        self.segments.push(segment);
    }

    fn next_segment(&mut self, base: u64, frames: Vec<Vec<u8>>, salt: u32) -> SegmentImage {
        let last = self.last().header;
        SegmentImage::sealed(Header { segment: last.segment + 1, base, salt, ..last }, frames)
    }

    /// Puts the log where it lies: what is folded of it may be retired, to `kept/` or for good.
    fn leave(mut self, rng: &mut Rng, image: &mut StoreImage, writer: Id) {
        let folded = self.folded;
        let is_folded = |segment: &SegmentImage| segment.numbers().end <= folded + 1;
        let mut count = self.segments.iter().take_while(|segment| is_folded(segment)).count();
        // The newest segment of a writer who lives stays.
        let is_all = self.is_complete && !self.is_living && count == self.segments.len();
        if !is_all {
            count = count.min(self.segments.len() - 1);
        }
        let retired = if image.database.is_none() || chance(rng, 40) { 0 } else { rng.usize(..=count) };
        for segment in self.segments.drain(..retired) {
            if rng.bool() {
                let name = name_of(segment.header.segment);
                let file = FileImage { bytes: segment.bytes(), segment: Some(segment) };
                let place = if rng.u8(..5) == 0 { Place::Quarantine } else { Place::Kept };
                image.folders.entry((place, id_text(writer))).or_default().files.insert(name, file);
            }
        }
        if self.segments.is_empty() {
            return;
        }
        let folder = image.log(writer);
        folder.is_living = self.is_living;
        for segment in self.segments {
            folder.add(segment);
        }
        // What the holder tells the writer is a hint: it may be old, or nonsense.
        if folded > 0 && rng.bool() {
            let mut hint = vec![0; 16];
            rng.fill(&mut hint);
            folder.files.insert("folded".to_owned(), FileImage { bytes: hint, segment: None });
        }
    }

    fn last(&mut self) -> &mut SegmentImage {
        self.segments.last_mut().expect("a life has segments")
    }

    fn last_number(&self) -> u64 {
        self.segments.iter().map(|segment| segment.numbers().end - 1).max().unwrap_or(0)
    }
}

/// Whether something that happens in so many of a hundred cases does so now.
pub fn chance(rng: &mut Rng, percent: u8) -> bool {
    rng.u8(..100) < percent
}
