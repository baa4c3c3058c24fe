//! A server that its client starts, and the two streams between them: each message is a line, and requests go both ways.
//!
//! Runs inside whatever passes the bytes on. It knows no process and no file: bytes come in as they pass, and who passes them
//! on says when either party is gone.

mod batch;
mod line;
mod noise;
#[expect(clippy::module_inception, reason = "one pipe")]
mod pipe;
mod reader;
mod session;
mod side;
mod text;

pub use noise::Noise;
pub use pipe::Pipe;
pub use reader::PipeReader;
pub use side::Side;
