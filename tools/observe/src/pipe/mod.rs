//! A server that its client starts, and the two streams between them: each message is a line, and requests go both
//! ways.
//!
//! Runs inside whatever passes the bytes on. It knows no process and no file: bytes come in as they pass, and who
//! passes them on says when either party is gone.

mod batch;
mod limits;
mod line;
mod noise;
#[expect(clippy::module_inception, reason = "one pipe")]
mod pipe;
mod reader;
mod session;
mod side;
mod text;

#[cfg(test)]
mod ending_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod judge;
#[cfg(test)]
mod judged_tests;
#[cfg(test)]
mod line_tests;
#[cfg(test)]
mod matching_tests;
#[cfg(test)]
mod session_tests;

pub use limits::PIPE_FREE_BYTES;
pub use noise::Noise;
pub use pipe::Pipe;
pub use reader::PipeReader;
pub use side::Side;
