//! Zstandard, undone by the library of its authors.
//!
//! Pure. Each frame says how large its window is, and the decoder allocates that: it is taken from the budget before the frame's
//! header is handed on. The library's own, in C, is chosen over one in Rust since what it holds is known and does not
//! depend on the bytes; its authors fuzz it all the time.

use super::limits::WINDOW_BYTES_MAX;
use super::step::{Stand, Step};
use super::zstd_frame::{FrameStart, HEADER_BYTES_MAX, frame_start};
use crate::budget::Share;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// What a decoder holds beside the room for a frame, in bytes: itself, with its tables and room for literals.
const DECODER_BYTES: usize = 104 * 1024;
/// The largest block, in bytes.
const BLOCK_BYTES_MAX: usize = 128 * 1024;

/// What a decoder holds for a frame with that window, in bytes: the window, two blocks behind it, one before it that is not
/// complete, and room to copy in strides. A test measures it.
const fn frame_bytes(window_bytes: usize) -> usize {
    let block_bytes = if window_bytes < BLOCK_BYTES_MAX { window_bytes } else { BLOCK_BYTES_MAX };
    DECODER_BYTES + window_bytes + 3 * block_bytes + 128
}

/// Undoes Zstandard.
pub(super) struct Zstd {
    /// `None` before the first frame.
    decoder: Option<DCtx<'static>>,
    state: State,
    /// The beginning of the frame, until it says how large its window is.
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    share: Share,
}

#[derive(Clone, Copy)]
enum State {
    /// At the beginning of a frame.
    Header,
    /// In a frame. So many bytes of its beginning were handed on.
    Frame(usize),
    Over,
}

impl Zstd {
    pub(super) fn new(share: Share) -> Self {
        Self { decoder: None, state: State::Header, header: [0; HEADER_BYTES_MAX], header_bytes: 0, share }
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        match self.state {
            State::Header => self.read_header(input),
            State::Frame(handed_on) if handed_on < self.header_bytes => {
                let header = self.header;
                let step = self.unpack(&header[handed_on..self.header_bytes], output);
                if let State::Frame(handed_on) = &mut self.state {
                    *handed_on += step.taken;
                }
                Step { taken: 0, ..step }
            }
            State::Frame(_) => self.unpack(input, output),
            State::Over => Step { taken: 0, given: 0, stand: Stand::Over },
        }
    }

    /// Takes what it needs to know the frame's window.
    fn read_header(&mut self, input: &[u8]) -> Step {
        let mut taken = 0;
        let start = loop {
            let start = frame_start(&self.header[..self.header_bytes]);
            let next = input.get(taken).filter(|_| start == FrameStart::Short);
            let (Some(byte), Some(place)) = (next, self.header.get_mut(self.header_bytes)) else { break start };
            *place = *byte;
            self.header_bytes += 1;
            taken += 1;
        };
        let stand = match start {
            FrameStart::Short if self.header_bytes == 0 => Stand::Whole,
            FrameStart::Short => Stand::Within,
            FrameStart::Window(bytes) => self.begin_frame(bytes),
            FrameStart::Skippable => self.begin_frame(0),
            FrameStart::Foreign if self.decoder.is_none() => Stand::Damaged,
            // What is put behind the last frame is no part of it.
            FrameStart::Foreign => {
                self.state = State::Over;
                Stand::Over
            }
        };
        Step { taken, given: 0, stand }
    }

    fn begin_frame(&mut self, window_bytes: u64) -> Stand {
        let Some(window_bytes) = usize::try_from(window_bytes).ok().filter(|bytes| *bytes <= WINDOW_BYTES_MAX) else {
            return Stand::Damaged;
        };
        // The decoder keeps the largest window that it had.
        let bytes = frame_bytes(window_bytes).max(self.share.bytes());
        if !self.share.resize(bytes) {
            return Stand::Damaged;
        }
        if self.decoder.is_none() {
            let Some(mut decoder) = DCtx::try_create() else { return Stand::Damaged };
            if decoder.set_parameter(DParameter::WindowLogMax(WINDOW_BYTES_MAX.ilog2())).is_err() {
                return Stand::Damaged;
            }
            self.decoder = Some(decoder);
        }
        self.state = State::Frame(0);
        Stand::Within
    }

    fn unpack(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let Some(decoder) = &mut self.decoder else { return Step::DAMAGED };
        let mut source = InBuffer::around(input);
        let mut target = OutBuffer::around(output);
        let result = decoder.decompress_stream(&mut target, &mut source);
        let stand = match result {
            Ok(0) => {
                self.state = State::Header;
                self.header_bytes = 0;
                Stand::Whole
            }
            Ok(_) => Stand::Within,
            Err(_) => Stand::Damaged,
        };
        Step { taken: source.pos(), given: target.pos(), stand }
    }
}
