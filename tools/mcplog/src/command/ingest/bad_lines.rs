//! Lines that were no events, reported by number.
//!
//! Pure but for the writer it is given. Neighbours with the same reason share a line of the report, so that a file of
//! another format is one line and not a million.

use super::reason::Reason;
use std::io::{self, Write};

/// Collects bad lines and reports them in order.
#[derive(Debug, Default)]
pub(super) struct BadLines {
    pub(super) count: u64,
    /// Not reported yet: the next bad line may belong to it.
    pending: Option<(u64, u64, Reason)>,
}

impl BadLines {
    /// Notes a bad line; the ones before it are reported once it is clear that it does not belong to them.
    pub(super) fn push(&mut self, number: u64, reason: Reason, out: &mut dyn Write) -> io::Result<()> {
        self.count += 1;
        match &mut self.pending {
            Some((_, last, same)) if *last + 1 == number && *same == reason => {
                *last = number;
                Ok(())
            }
            _ => {
                self.flush(out)?;
                self.pending = Some((number, number, reason));
                Ok(())
            }
        }
    }

    /// Reports what was not reported yet.
    pub(super) fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match self.pending.take() {
            None => Ok(()),
            Some((first, last, reason)) if first == last => writeln!(out, "line {first}: {reason}"),
            Some((first, last, reason)) => writeln!(out, "lines {first} to {last}: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_with_the_same_reason_are_reported_together() {
        let mut out = Vec::new();
        let mut bad = BadLines::default();
        for (number, reason) in [
            (2, Reason::NotAnObject),
            (4, Reason::NotAnObject),
            (5, Reason::NotAnObject),
            (6, Reason::NotAnObject),
            (7, Reason::CutOff),
        ] {
            bad.push(number, reason, &mut out).unwrap();
        }
        bad.flush(&mut out).unwrap();
        bad.flush(&mut out).unwrap();
        let expected = "line 2: not a JSON object\n\
                        lines 4 to 6: not a JSON object\n\
                        line 7: not a whole JSON object: the line ends too early\n";
        assert_eq!((bad.count, String::from_utf8(out).unwrap().as_str()), (5, expected));
    }
}
