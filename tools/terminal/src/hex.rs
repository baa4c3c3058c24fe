//! Bytes as people read them: offset, hexadecimal, ASCII; 80 columns wide. Pure.

use std::fmt::Write;

const BYTES_PER_LINE: usize = 16;

/// The lines for `bytes`, which begin at `offset` in the file.
#[must_use]
pub fn lines(offset: u32, bytes: &[u8]) -> Vec<String> {
    let mut at = u64::from(offset);
    let mut lines = Vec::with_capacity(bytes.len().div_ceil(BYTES_PER_LINE));
    for chunk in bytes.chunks(BYTES_PER_LINE) {
        let mut line = format!("  {at:08x} ");
        for index in 0..BYTES_PER_LINE {
            if index == BYTES_PER_LINE / 2 {
                line.push(' ');
            }
            // Writing into a String has no way to fail.
            let _ = match chunk.get(index) {
                Some(byte) => write!(line, " {byte:02x}"),
                None => write!(line, "   "),
            };
        }
        line.push_str("  ");
        line.extend(chunk.iter().map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' }));
        lines.push(line);
        at += BYTES_PER_LINE as u64;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_shown_twice_and_none_reaches_the_terminal_raw() {
        let bytes: Vec<u8> = (0..=20).chain(*b"text\x7f\xff").collect();
        assert_eq!(
            lines(0x1000, &bytes),
            [
                "  00001000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  ................",
                "  00001010  10 11 12 13 14 74 65 78  74 7f ff                 .....text..",
            ]
        );
    }
}
