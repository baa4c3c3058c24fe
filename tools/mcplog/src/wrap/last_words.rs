//! The last lines that a server printed on its standard error.
//!
//! Pure. Kept in memory while the server runs, and recorded only where it dies with calls open.

use std::collections::VecDeque;

/// How many lines are kept.
const LINES_MAX: usize = 20;
/// How much of them all, in bytes. The newest count.
const BYTES_MAX: usize = 4 * 1024;

/// The last lines of a stream.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    /// The newest bytes, with their line feeds.
    kept: VecDeque<u8>,
    /// Line feeds among them.
    feeds: usize,
}

impl LastWords {
    /// The stream went on.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let newest = &bytes[bytes.len().saturating_sub(BYTES_MAX)..];
        self.feeds += newest.iter().filter(|byte| **byte == b'\n').count();
        self.kept.extend(newest);
        while self.kept.len() > BYTES_MAX || self.feeds > LINES_MAX {
            let is_feed = self.kept.pop_front() == Some(b'\n');
            self.feeds -= usize::from(is_feed);
        }
    }

    /// The lines, the oldest first: those that say something, without spaces at their ends. What is no UTF-8 has `U+FFFD` in
    /// its place.
    pub(super) fn lines(&self) -> Vec<String> {
        let kept: Vec<u8> = self.kept.iter().copied().collect();
        let text = String::from_utf8_lossy(&kept);
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pieces: &[&[u8]]) -> LastWords {
        let mut words = LastWords::default();
        pieces.iter().for_each(|piece| words.push(piece));
        words
    }

    #[test]
    fn the_last_lines_are_kept_however_they_come() {
        assert_eq!(after(&[]).lines(), Vec::<String>::new());
        let text: String = (0..100).map(|number| format!("line {number}\r\n\n")).collect();
        let whole = after(&[text.as_bytes()]);
        for size in [1, 2, 7, 64] {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(after(&pieces).lines(), whole.lines(), "{size}");
        }
        assert_eq!(whole.lines().last().unwrap(), "line 99");
        assert_eq!(whole.lines().len(), LINES_MAX / 2, "blank lines take room, and say nothing");
        assert_eq!(after(&[b"a\nb"]).lines(), ["a", "b"], "a last line needs no line feed");
        assert_eq!(after(&[b"\xff\x1b[31mred"]).lines(), ["\u{fffd}\u{1b}[31mred"]);
    }

    #[test]
    fn what_is_kept_is_bounded_whatever_comes() {
        let long = vec![b'x'; 3 * BYTES_MAX];
        let feeds = vec![b'\n'; 3 * BYTES_MAX];
        for pieces in [vec![&long[..]; 3], vec![&feeds[..]; 3], vec![&long[..], &feeds[..], b"end"]] {
            let words = after(&pieces);
            assert!(words.kept.len() <= BYTES_MAX && words.feeds <= LINES_MAX);
            assert_eq!(words.feeds, words.kept.iter().filter(|byte| **byte == b'\n').count());
        }
    }
}
