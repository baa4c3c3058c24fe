//! Streams whose failing decides nothing: what stands beside the work, and what is printed when the work is done.
//!
//! Runs wherever something is printed. A command whose output is its whole work writes to the plain stream instead, so that
//! it stops when its reader is gone, and says so when a device is full.

use std::fmt;
use std::io::{self, ErrorKind, Write};

/// A stream that nobody has to read: where it fails, the text is lost and nothing else. For what stands beside the output,
/// on standard error.
pub struct Unheeded<W>(pub W);

impl<W: Write> Write for Unheeded<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        // All of it, since nobody comes back for the rest.
        let _ = self.0.write_all(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// A stream whose reader may go away (`| head`) without that being an error: what comes then is thrown away. For what a
/// command says after its work, so that its exit code still says how the work went. Anything else that fails is an error.
pub struct Leavable<W> {
    stream: W,
    is_left: bool,
}

impl<W: Write> Leavable<W> {
    /// A stream whose reader is there yet.
    pub const fn new(stream: W) -> Self {
        Self { stream, is_left: false }
    }

    fn attempt<T>(&mut self, otherwise: T, write: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        if self.is_left {
            return Ok(otherwise);
        }
        match write(&mut self.stream) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_left = true;
                Ok(otherwise)
            }
            result => result,
        }
    }
}

impl<W: Write> Write for Leavable<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.attempt(text.len(), |stream| stream.write(text))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.attempt((), Write::flush)
    }
}

/// Says on standard error why a command gave up. Nothing is done about it where that fails too.
pub fn complain(error: impl fmt::Display) {
    let style = crate::style::ERROR;
    let _ = writeln!(anstream::stderr(), "{style}error:{style:#} {}", crate::text::escape(&error.to_string()));
}

/// Says something on standard error, beside the output.
pub fn remark(text: impl fmt::Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails with one error.
    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn what_nobody_has_to_read_never_fails() {
        let mut unheeded = Unheeded(Failing(ErrorKind::StorageFull));
        writeln!(unheeded, "text").unwrap();
        unheeded.flush().unwrap();
    }

    #[test]
    fn a_reader_may_leave_but_a_full_device_is_an_error() {
        let mut leavable = Leavable::new(Failing(ErrorKind::BrokenPipe));
        writeln!(leavable, "text").unwrap();
        leavable.flush().unwrap();
        let mut full = Leavable::new(Failing(ErrorKind::StorageFull));
        assert_eq!(writeln!(full, "text").unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(full.flush().unwrap_err().kind(), ErrorKind::StorageFull);
    }
}
