//! Segments made from fuzz input: what a store writes, what crashes and disks make of it, and what a forger would.
//!
//! A fuzzer does not guess checksums, so bytes alone would never come past the first frame.

use crate::input::Input;
use mcplog::Request;
use mcplog::position::{Offset, SegmentId, Sequence, StoreId, WriterId};
use mcplog::record::Record;
use mcplog::segment::format::{Extent, FRAMES_OFFSET, FrameHeader, HEADER_BYTES, Mark, SegmentHeader, frame_bytes};

/// So many choices of an input count: files stay small.
const CHOICES_MAX: usize = 300;
/// And no forged length of zeros or garbage makes them longer than that.
const FILE_BYTES_MAX: usize = 256 * 1024;
const SALT: u32 = 0x5eed_5a17;
/// The store of all of them.
pub(crate) const STORE: StoreId = StoreId([5; 16]);
/// Who wrote them.
pub(crate) const WRITER: WriterId = WriterId([7; 16]);

/// A file, and what is known about it.
pub(crate) struct Forged {
    pub(crate) bytes: Vec<u8>,
    /// The sequence number that follows, as whoever wrote the file counts.
    pub(crate) next_sequence: u64,
    /// Header and marks say what a store would have said, unless they were damaged.
    pub(crate) is_honest: bool,
}

/// The segment with that number. Its records' request ids are unique in the log.
pub(crate) fn segment(input: &mut Input<'_>, id: u64, base: u64) -> Forged {
    let header = SegmentHeader {
        needs: 1,
        salt: SALT ^ id as u32,
        store_id: STORE,
        writer_id: WRITER,
        segment_id: SegmentId(id),
        base_sequence: Sequence(base),
        created_at: 1_760_000_000_000,
    };
    let mut bytes = vec![0; FRAMES_OFFSET as usize];
    bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
    let mut file = File { header, bytes, extent: Extent::EMPTY, mark: Mark::UNWRITTEN, is_honest: true };
    for _ in 0..CHOICES_MAX {
        if input.is_empty() || file.bytes.len() > FILE_BYTES_MAX || !file.choose(input) {
            break;
        }
    }
    let next_sequence = base + u64::from(file.extent.frames);
    Forged { bytes: file.bytes, next_sequence, is_honest: file.is_honest }
}

struct File {
    header: SegmentHeader,
    bytes: Vec<u8>,
    /// What the writer believes to have written.
    extent: Extent,
    mark: Mark,
    is_honest: bool,
}

impl File {
    /// Does what the next byte of the input says. `false`: the file ends.
    fn choose(&mut self, input: &mut Input<'_>) -> bool {
        match input.u8() % 16 {
            0..=2 => self.append_request(input),
            3 => self.append(input.bytes()),
            4 => self.append(&[&[1 + input.u8() % 5, 1], input.bytes()].concat()),
            5 => self.write_mark(Mark { durable: self.extent, ..self.mark }),
            6 => self.write_mark(Mark { durable: self.extent, sealed: Some(self.extent), ..self.mark }),
            7 => self.write_mark(Mark { sealed: Some(self.extent), ..self.mark }),
            // Damage: bytes are changed, a sector is zeroed, the file is cut.
            8 => {
                let at = usize::from(input.u16());
                self.patch(at, input.bytes());
            }
            9 => {
                let behind = usize::from(input.u16());
                self.patch(self.bytes.len().saturating_sub(behind), input.bytes());
            }
            10 => {
                let sector = usize::from(input.u8()) * 512;
                self.patch(sector, &[0; 512]);
            }
            11 => self.bytes.truncate(self.bytes.len().saturating_sub(usize::from(input.u16()))),
            // Room that was allocated and not used, or garbage in it.
            12 => self.bytes.resize(self.bytes.len() + 16 * usize::from(input.u8()), 0),
            13 => self.bytes.extend_from_slice(input.bytes()),
            // What only a forger writes: checksums fit, numbers lie.
            14 => self.forge(input),
            _ => return !input.u8().is_multiple_of(4),
        }
        true
    }

    fn append_request(&mut self, input: &mut Input<'_>) {
        let id = format!("{}-{}", self.header.segment_id.0, self.extent.frames);
        let session = format!("s{}", input.u8() % 4);
        let mut request = Request::new(&id, 1_760_000_000_000 + i64::from(self.extent.frames), "p", "tools/call");
        request.session_id = Some(&session);
        let mut payload = Vec::new();
        Record::from(mcplog::Event::from(request)).encode(&mut payload);
        self.append(&payload);
    }

    fn append(&mut self, payload: &[u8]) {
        if payload.is_empty() || self.mark.sealed.is_some() {
            return;
        }
        self.frame(self.header.salt, self.extent.frames, self.extent.end.0, payload);
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.extent = Extent { end: Offset(self.extent.end.0 + frame_bytes(length)), frames: self.extent.frames + 1 };
    }

    fn frame(&mut self, salt: u32, index: u32, offset: u32, payload: &[u8]) {
        let header = FrameHeader::for_payload(salt, index, payload);
        let mut frame: Vec<u8> =
            [header.length, header.index, header.crc].iter().flat_map(|word| word.to_le_bytes()).collect();
        frame.extend_from_slice(payload);
        frame.resize(frame_bytes(header.length) as usize, 0);
        self.patch(offset as usize, &frame);
    }

    fn write_mark(&mut self, mark: Mark) {
        self.mark = Mark { generation: self.mark.generation + 1, ..mark };
        self.patch(Mark::offset(self.mark.generation) as usize, &self.mark.encode(self.header.salt));
    }

    fn forge(&mut self, input: &mut Input<'_>) {
        self.is_honest = false;
        let extent = |input: &mut Input<'_>| Extent {
            end: Offset(FRAMES_OFFSET.saturating_add(4 * (input.u32() % (1 << 30)))),
            frames: input.u32(),
        };
        match input.u8() % 8 {
            0 => {
                let (durable, sealed) = (extent(input), extent(input));
                self.write_mark(Mark { durable, sealed: Some(sealed), ..self.mark });
            }
            1 => {
                let durable = extent(input);
                self.write_mark(Mark { durable, ..self.mark });
            }
            2 => self.header.base_sequence.0 = u64::from(input.u32()) << (input.u8() % 32),
            3 => self.header.segment_id.0 = u64::from(input.u8()),
            4 => self.header.writer_id.0[0] = input.u8(),
            5 => self.header.created_at = i64::from(input.u32()) << (input.u8() % 32),
            6 => {
                let (index, back) = (input.u32(), u32::from(input.u8()) * 4);
                let offset = self.extent.end.0.saturating_sub(back).max(FRAMES_OFFSET);
                self.frame(
                    self.header.salt ^ u32::from(input.u8() % 2),
                    index,
                    offset,
                    &[&[1][..], input.bytes()].concat(),
                );
            }
            _ => self.bytes = input.rest().to_vec(),
        }
        let header = self.header.encode();
        if self.bytes.len() >= header.len() {
            self.bytes[..HEADER_BYTES].copy_from_slice(&header);
            if input.u8() == 1 {
                // A newer version: of that, the checksum fits in the same place.
                self.bytes[..HEADER_BYTES].copy_from_slice(&self.header.encode_as(2));
            }
        }
    }

    /// Changes bytes; those beyond the end make the file longer.
    fn patch(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[at..end].copy_from_slice(bytes);
    }
}
