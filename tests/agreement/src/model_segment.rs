//! The model's reading of one file: sections 1 to 3 of the format's page, over the bytes in memory. Pure.

use crate::bytes::{End, FRAMES_START, HEADER_BYTES, Header, Id, MARK_BYTES, MARK_PLACES, Mark, VERSION, frame_at};

/// No log gets as far as this: a higher id or number is a forgery.
const REACHABLE: u64 = 1 << 62;

/// What a file is, before its frames are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Every byte is zero, or there is none.
    NeverStarted,
    /// The first page is lost, and the header's place is zero.
    Blank,
    /// The first page is cut.
    CutShort,
    /// A newer version wrote it.
    Newer,
    /// It is part of another store.
    OtherStore,
    /// The header says nothing.
    Damaged,
    /// The name says another id, or the folder another writer. If it is only its own name that is wrong: the number that
    /// would follow, as its mark has it.
    Misplaced(Option<u64>),
    /// It is a part of the log, and this is in it.
    Read(Box<Reading>),
}

/// Where the frames of a file end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At the sealed end.
    Sealed,
    /// Where nothing was written yet.
    Open,
    /// At something that is no frame.
    Torn,
}

/// Something in a file, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A record: its number, where it stands, and what it is.
    Frame {
        /// The number.
        number: u64,
        /// In bytes from the start of the file.
        offset: u32,
        /// The payload.
        payload: Vec<u8>,
    },
    /// A place that was synced and is no more.
    Damage {
        /// In bytes from the start of the file.
        offset: u32,
        /// The number that was due.
        first: u64,
        /// How many numbers are lost there.
        records: u32,
    },
}

/// A file that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The header.
    pub header: Header,
    /// What there is.
    pub found: Vec<Found>,
    /// Where the frames end.
    pub stop: Stop,
    /// Where that is.
    pub end: u32,
    /// The number that would follow.
    pub follows: u64,
    /// The mark that counts.
    pub mark: Mark,
    /// How many places of marks hold something that is none.
    pub damaged_marks: usize,
    /// Where the frames contradict the mark.
    pub wrong_mark: Vec<u32>,
}

impl Reading {
    /// The number behind all that it says to have been given: by its header, its frames, and a seal that is not wrong.
    pub fn told(&self) -> u64 {
        let sealed = self.mark.sealed.filter(|_| self.wrong_mark.is_empty());
        self.follows.max(sealed.map_or(0, |sealed| self.header.base + u64::from(sealed.frames)))
    }

    /// The numbers of the records, and what they are.
    pub fn frames(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.found.iter().filter_map(|found| match found {
            Found::Frame { number, payload, .. } => Some((*number, payload.as_slice())),
            Found::Damage { .. } => None,
        })
    }

    /// Where something was synced and is no more.
    pub fn damages(&self) -> impl Iterator<Item = u32> {
        self.found.iter().filter_map(|found| match found {
            Found::Damage { offset, .. } => Some(*offset),
            Found::Frame { .. } => None,
        })
    }
}

/// Reads a file of the log of that writer and store; the name says `id`.
pub fn read(bytes: &[u8], id: u64, store: Id, writer: Id) -> FileState {
    if bytes.iter().all(|byte| *byte == 0) {
        return FileState::NeverStarted;
    }
    let is_whole = bytes.len() >= FRAMES_START as usize;
    let Some(first) = bytes.first_chunk::<HEADER_BYTES>() else { return FileState::CutShort };
    if first.iter().all(|byte| *byte == 0) {
        return FileState::Blank;
    }
    match Header::decode(first) {
        Some(header) if header.version > VERSION => FileState::Newer,
        _ if !is_whole => FileState::CutShort,
        None => FileState::Damaged,
        Some(header) => judge_header(bytes, &header, id, store, writer).unwrap_or_else(|| {
            let mut scan = Scan::new(bytes, header);
            scan.run();
            FileState::Read(Box::new(scan.reading))
        }),
    }
}

/// Why a header is not that of a file of this log.
fn judge_header(bytes: &[u8], header: &Header, id: u64, store: Id, writer: Id) -> Option<FileState> {
    let is_reachable = |number: u64| (1..=REACHABLE).contains(&number);
    if header.version == 0 || header.needs == 0 || !is_reachable(header.segment) || !is_reachable(header.base) {
        return Some(FileState::Damaged);
    }
    if header.store != store {
        return Some(FileState::OtherStore);
    }
    if header.writer != writer {
        return Some(FileState::Misplaced(None));
    }
    (header.segment != id).then(|| {
        let mark = Scan::new(bytes, *header).reading.mark;
        FileState::Misplaced(Some(header.base + u64::from(mark.sealed.unwrap_or(mark.durable).frames)))
    })
}

struct Scan<'a> {
    bytes: &'a [u8],
    position: End,
    reading: Reading,
}

impl<'a> Scan<'a> {
    fn new(bytes: &'a [u8], header: Header) -> Self {
        let marks = MARK_PLACES.map(|place| Mark::decode(bytes, place, header.salt));
        let is_damaged = |place: usize, mark: Option<Mark>| {
            mark.is_none() && bytes[place..place + MARK_BYTES].iter().any(|byte| *byte != 0)
        };
        let damaged_marks = MARK_PLACES.iter().zip(marks).filter(|(place, mark)| is_damaged(**place, *mark)).count();
        let mark = marks.into_iter().flatten().max_by_key(|mark| mark.generation).unwrap_or(Mark::UNWRITTEN);
        let reading = Reading {
            header,
            found: Vec::new(),
            stop: Stop::Open,
            end: FRAMES_START,
            follows: header.base,
            mark,
            damaged_marks,
            wrong_mark: Vec::new(),
        };
        Self { bytes, position: End { offset: FRAMES_START, frames: 0 }, reading }
    }

    /// The table of section 3.
    fn run(&mut self) {
        let Mark { durable, sealed, .. } = self.reading.mark;
        let ends: Vec<End> = [Some(durable), sealed].into_iter().flatten().collect();
        let salt = self.reading.header.salt;
        loop {
            let End { offset, frames } = self.position;
            if ends.iter().any(|end| end.offset == offset && end.frames != frames) {
                self.contradict();
            }
            let frame = frame_at(self.bytes, offset, salt).filter(|(index, ..)| *index == frames);
            if let Some((_, payload, end)) = frame {
                let is_behind = sealed.is_some_and(|sealed| offset >= sealed.offset);
                if is_behind || ends.iter().any(|says| offset < says.offset && says.offset < end) {
                    self.contradict();
                }
                let number = self.number(frames);
                self.reading.found.push(Found::Frame { number, offset, payload: payload.to_vec() });
                self.position = End { offset: end, frames: frames + 1 };
                continue;
            }
            if sealed.is_some_and(|sealed| offset >= sealed.offset) {
                return self.stop(Stop::Sealed);
            }
            if offset >= durable.offset {
                let is_blank = self.bytes.get(offset as usize..).is_none_or(|rest| rest.iter().all(|byte| *byte == 0));
                return self.stop(if is_blank && sealed.is_none() { Stop::Open } else { Stop::Torn });
            }
            let next = self.look_on(durable);
            let (first, records) = (self.number(frames), next.frames - frames);
            self.reading.found.push(Found::Damage { offset, first, records });
            self.position = next;
        }
    }

    /// Where reading goes on behind damage.
    fn look_on(&self, durable: End) -> End {
        let End { offset, frames } = self.position;
        let last = durable.offset.min(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        for place in (offset..=last).step_by(4) {
            let most = frames + (place - offset) / 16 + 1;
            let index = self.bytes.get(place as usize + 4..place as usize + 8);
            let index = index.and_then(|word| word.first_chunk()).map(|word| u32::from_le_bytes(*word));
            // A checksum at every place would take too long.
            if index.is_some_and(|index| (frames..=most).contains(&index))
                && let Some((index, ..)) = frame_at(self.bytes, place, self.reading.header.salt)
            {
                return End { offset: place, frames: index };
            }
        }
        End { offset: durable.offset, frames: durable.frames.max(frames) }
    }

    fn contradict(&mut self) {
        let offset = self.position.offset;
        if self.reading.wrong_mark.last() != Some(&offset) {
            self.reading.wrong_mark.push(offset);
        }
    }

    fn stop(&mut self, stop: Stop) {
        self.reading.stop = stop;
        self.reading.end = self.position.offset;
        self.reading.follows = self.number(self.position.frames);
    }

    fn number(&self, index: u32) -> u64 {
        self.reading.header.base + u64::from(index)
    }
}
