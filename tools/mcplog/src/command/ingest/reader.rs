//! Reads lines in batches, in bounded memory.
//!
//! Runs on a thread of its own, because a read from a terminal or a pipe can't be interrupted. It must not interpret
//! what it reads.

use super::unpack;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// A longer line is skipped: its event would not fit into a segment anyway.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How much is read at once. A batch is what one or a few reads brought.
const READ_BYTES: usize = 256 * 1024;
/// How many batches may wait: enough that reading and parsing overlap.
const BATCHES_MAX: usize = 4;

/// Lines that follow one another.
#[derive(Debug, Default)]
pub(super) struct Batch {
    text: Vec<u8>,
    /// Where the lines stand in `text`; `None` for a line that was too long.
    lines: Vec<Option<Range<usize>>>,
    /// The number of the first line; the first one of all is 1.
    first_number: u64,
    /// How much of the input this took, in bytes.
    pub(super) bytes_read: u64,
}

impl Batch {
    /// The lines with their numbers, without their ends; `None` for a line that was too long.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u64, Option<&[u8]>)> {
        (self.first_number..).zip(self.lines.iter().map(|line| Some(&self.text[line.clone()?])))
    }
}

/// Reads `input` on a new thread, and unpacks it if it is packed. The receiver gets batches, then possibly one error, then the end; dropping it ends
/// the thread at its next hand-over.
pub(super) fn spawn(input: impl Read + Send + 'static) -> io::Result<Receiver<io::Result<Batch>>> {
    let (sender, receiver) = sync_channel(BATCHES_MAX);
    std::thread::Builder::new().name("ingest-reader".into()).spawn(move || {
        // A receiver that is gone wants no more lines; that is an end like any other.
        let _ = match unpack::text_of(input) {
            Ok(text) => read_all(text, LINE_BYTES_MAX, &sender),
            Err(error) => sender.send(Err(error)).map_err(|_| Gone),
        };
    })?;
    Ok(receiver)
}

/// The receiver is gone.
struct Gone;

fn read_all(mut input: impl Read, line_bytes_max: usize, sender: &SyncSender<io::Result<Batch>>) -> Result<(), Gone> {
    let mut splitter = Splitter::new(line_bytes_max);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let ended = match input.read(&mut buffer) {
            Ok(0) => true,
            Ok(length) => {
                splitter.push(&buffer[..length]);
                false
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return sender.send(Err(error)).map_err(|_| Gone),
        };
        if let Some(batch) = if ended { splitter.finish() } else { splitter.take() } {
            sender.send(Ok(batch)).map_err(|_| Gone)?;
        }
        if ended {
            return Ok(());
        }
    }
}

/// Splits what comes into lines.
struct Splitter {
    batch: Batch,
    /// Where the line that has not ended yet begins in the batch's text.
    line_start: usize,
    /// The line that has not ended yet is too long: the rest of it is dropped.
    skipping: bool,
    line_bytes_max: usize,
}

impl Splitter {
    fn new(line_bytes_max: usize) -> Self {
        let batch = Batch { first_number: 1, ..Batch::default() };
        Self { batch, line_start: 0, skipping: false, line_bytes_max }
    }

    fn push(&mut self, mut chunk: &[u8]) {
        self.batch.bytes_read += chunk.len() as u64;
        while let Some(end) = memchr::memchr(b'\n', chunk) {
            self.extend(&chunk[..end]);
            self.end_line();
            chunk = &chunk[end + 1..];
        }
        self.extend(chunk);
    }

    fn extend(&mut self, part: &[u8]) {
        if self.skipping {
            return;
        }
        if self.batch.text.len() - self.line_start + part.len() > self.line_bytes_max {
            self.batch.text.truncate(self.line_start);
            self.skipping = true;
        } else {
            self.batch.text.extend_from_slice(part);
        }
    }

    fn end_line(&mut self) {
        let end = self.batch.text.len();
        self.batch.lines.push((!self.skipping).then_some(self.line_start..end));
        self.line_start = end;
        self.skipping = false;
    }

    /// The lines that have ended, if there are any.
    fn take(&mut self) -> Option<Batch> {
        if self.batch.lines.is_empty() {
            return None;
        }
        let next = Batch {
            text: self.batch.text.split_off(self.line_start),
            first_number: self.batch.first_number + self.batch.lines.len() as u64,
            ..Batch::default()
        };
        self.line_start = 0;
        Some(std::mem::replace(&mut self.batch, next))
    }

    /// What is left; the last line needs no newline.
    fn finish(&mut self) -> Option<Batch> {
        if self.skipping || self.batch.text.len() > self.line_start {
            self.end_line();
        }
        self.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out its parts one by one, as a pipe does.
    struct Parts(Vec<&'static [u8]>);

    impl Read for Parts {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let part = self.0.remove(0);
            buffer[..part.len()].copy_from_slice(part);
            Ok(part.len())
        }
    }

    fn lines(parts: &[&'static [u8]], line_bytes_max: usize) -> (Vec<(u64, Option<String>)>, u64) {
        let (sender, receiver) = sync_channel(100);
        let _ = read_all(Parts(parts.to_vec()), line_bytes_max, &sender);
        drop(sender);
        let mut found = Vec::new();
        let mut bytes_read = 0;
        for batch in receiver {
            let batch = batch.unwrap();
            bytes_read += batch.bytes_read;
            let text = |line: Option<&[u8]>| line.map(|line| String::from_utf8(line.to_vec()).unwrap());
            found.extend(batch.lines().map(|(number, line)| (number, text(line))));
        }
        (found, bytes_read)
    }

    fn numbered(lines: &[Option<&str>]) -> Vec<(u64, Option<String>)> {
        (1..).zip(lines.iter().map(|line| line.map(str::to_owned))).collect()
    }

    #[test]
    fn lines_are_the_same_wherever_the_reads_cut_them() {
        let expected = numbered(&[Some("one"), Some(""), Some("three"), Some("four")]);
        assert_eq!(lines(&[b"one\n\nthree\nfour"], 100), (expected.clone(), 15));
        assert_eq!(lines(&[b"one\n\nthree\nfour\n"], 100), (expected.clone(), 16));
        assert_eq!(lines(&[b"o", b"n", b"e", b"\n", b"\nth", b"ree\nfo", b"ur"], 100), (expected, 15));
    }

    #[test]
    fn a_line_that_is_too_long_is_marked_and_the_next_ones_are_read() {
        let expected = numbered(&[Some("ok"), None, Some("12345"), None]);
        assert_eq!(lines(&[b"ok\n123456\n12345\n1234567"], 5).0, expected);
        assert_eq!(lines(&[b"ok\n1234", b"56", b"789", b"\n123", b"45\n1234567"], 5).0, expected);
    }

    #[test]
    fn a_line_that_is_too_long_is_not_held() {
        let mut splitter = Splitter::new(10);
        for _ in 0..1_000 {
            splitter.push(&[b'x'; 100]);
            assert!(splitter.batch.text.len() <= 10);
        }
    }

    #[test]
    fn nothing_is_no_line() {
        assert_eq!(lines(&[], 5), (vec![], 0));
    }

    #[test]
    fn an_error_comes_after_what_was_read_before_it() {
        struct Broken(bool);
        impl Read for Broken {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::Error::other("broken"));
                }
                buffer[..2].copy_from_slice(b"a\n");
                Ok(2)
            }
        }
        let results: Vec<_> = spawn(Broken(false)).unwrap().into_iter().map(|batch| batch.is_ok()).collect();
        assert_eq!(results, [true, false]);
    }
}
