//! Reads what one side of a pipe sends, as it passes.
//!
//! Runs inside whatever passes the bytes on; it must not do I/O or fail.

use super::line::LineReader;
use super::pipe::Pipe;
use super::side::Side;
use std::sync::Arc;

/// Reads what one side of a pipe sends.
pub struct PipeReader {
    pipe: Arc<Pipe>,
    side: Side,
    lines: LineReader,
}

impl Pipe {
    /// The reader of what that side sends. There is to be one for each.
    pub fn reader(self: &Arc<Self>, side: Side) -> PipeReader {
        PipeReader { pipe: self.clone(), side, lines: self.new_lines(side) }
    }
}

impl PipeReader {
    /// Reads the next bytes, in pieces of any size. To be called before they are passed on, so that no answer overtakes
    /// its request.
    pub fn push(&mut self, bytes: &[u8]) {
        let Self { pipe, side, lines } = self;
        lines.push(bytes, || pipe.wants_text(*side), |line| pipe.on_line(*side, &line));
    }

    /// The stream is over: that side sends nothing more. Its last line counts without a line feed, too. Calls stay
    /// open: who sends no more may still read. A reader that is dropped is finished as well.
    pub fn finish(self) {
        drop(self);
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let Self { pipe, side, lines } = self;
        lines.finish(|line| pipe.on_line(*side, &line));
    }
}
