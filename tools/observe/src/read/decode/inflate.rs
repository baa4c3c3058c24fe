//! gzip and deflate, undone by zlib-rs.
//!
//! Pure. What it holds does not depend on the bytes: the texts in a gzip header are skipped, not kept.

use super::step::{Stand, Step};
use crate::budget::Share;
use flate2::{Decompress, FlushDecompress, Status};

/// What zlib-rs holds for one stream at most, in bytes: its window of 32 KiB, its tables, and room to align them. A test
/// measures it.
const INFLATE_BYTES: usize = 56 * 1024;
/// The window of any gzip stream, as its logarithm.
const GZIP_WINDOW_BITS: u8 = 15;
/// What a gzip member begins with.
const GZIP_FIRST_BYTE: u8 = 0x1f;

/// Undoes gzip or deflate.
pub(super) struct Inflate {
    state: State,
    is_gzip: bool,
    share: Share,
}

enum State {
    /// Before the first byte.
    Start,
    /// After the first byte of what may have zlib's header or none: the second tells.
    Second(u8),
    Stream(Decompress),
    /// After a member of gzip, where another may follow.
    Between,
    Over,
}

impl Inflate {
    pub(super) fn gzip(share: Share) -> Self {
        Self { state: State::Start, is_gzip: true, share }
    }

    /// zlib's format, or the bare deflate stream that some servers send.
    pub(super) fn deflate(share: Share) -> Self {
        Self { state: State::Start, is_gzip: false, share }
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let Some(byte) = input.first() else { return self.pass_on(input, output) };
        match self.state {
            State::Start if !self.is_gzip => {
                self.state = State::Second(*byte);
                return Step { taken: 1, given: 0, stand: Stand::Within };
            }
            State::Start => return self.begin(Format::Gzip, input, output),
            State::Second(first) => {
                let format = if is_zlib_header(first, *byte) { Format::Zlib } else { Format::Bare };
                let mut step = self.begin(format, &[first], output);
                step.taken = 0;
                return step;
            }
            // Zeros, or whatever else is put behind the last member, is no part of it.
            State::Between if *byte != GZIP_FIRST_BYTE => self.state = State::Over,
            State::Between => return self.begin(Format::Gzip, input, output),
            State::Stream(_) | State::Over => {}
        }
        self.pass_on(input, output)
    }

    /// Begins a stream with these bytes.
    fn begin(&mut self, format: Format, input: &[u8], output: &mut [u8]) -> Step {
        if !self.share.resize(INFLATE_BYTES) {
            return Step::DAMAGED;
        }
        self.state = State::Stream(match format {
            Format::Gzip => Decompress::new_gzip(GZIP_WINDOW_BITS),
            Format::Zlib => Decompress::new(true),
            Format::Bare => Decompress::new(false),
        });
        self.pass_on(input, output)
    }

    /// The stream is over, and holds nothing any more.
    fn rest(&mut self, state: State) {
        self.state = state;
        self.share.resize(0);
    }

    fn pass_on(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let stream = match &mut self.state {
            State::Start | State::Between => return Step { taken: 0, given: 0, stand: Stand::Whole },
            State::Second(_) => return Step { taken: 0, given: 0, stand: Stand::Within },
            State::Over => return Step { taken: 0, given: 0, stand: Stand::Over },
            State::Stream(stream) => stream,
        };
        let (taken_before, given_before) = (stream.total_in(), stream.total_out());
        let result = stream.decompress(input, output, FlushDecompress::None);
        // Neither is more than the slices are long.
        let taken = usize::try_from(stream.total_in() - taken_before).unwrap_or(0);
        let given = usize::try_from(stream.total_out() - given_before).unwrap_or(0);
        let stand = match result {
            Ok(Status::Ok | Status::BufError) => Stand::Within,
            Ok(Status::StreamEnd) if self.is_gzip => {
                self.rest(State::Between);
                Stand::Whole
            }
            Ok(Status::StreamEnd) => {
                self.rest(State::Over);
                Stand::Over
            }
            Err(_) => Stand::Damaged,
        };
        Step { taken, given, stand }
    }
}

/// What a stream is wrapped in.
enum Format {
    Gzip,
    Zlib,
    Bare,
}

/// Whether a deflate stream that begins so has zlib's header. A bare one hardly ever does: these two bytes would begin a
/// stored block whose padding is not zero.
fn is_zlib_header(first: u8, second: u8) -> bool {
    first & 0x0f == 8 && first >> 4 <= 7 && u16::from_be_bytes([first, second]).is_multiple_of(31)
}
