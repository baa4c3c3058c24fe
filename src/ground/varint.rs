//! Numbers in as few bytes as they need: seven bits a byte, the least first, the high bit says that more follow.
//!
//! Pure. It is postcard's encoding too: for requests in the log, and for blobs in the database.

/// The most bytes that a number takes.
const BYTES_MAX: usize = 10;

/// Appends a number.
#[inline]
pub(crate) fn put(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// Takes a number from the front; `None` where there is none that fits 64 bits.
#[inline]
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    // Most are small, and histograms are made of millions.
    if let [byte @ 0..0x80, rest @ ..] = *bytes {
        *bytes = rest;
        return Some(u64::from(*byte));
    }
    let mut number = 0;
    for at in 0..BYTES_MAX.min(bytes.len()) {
        let (byte, shift) = (bytes[at], 7 * at);
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            *bytes = &bytes[at + 1..];
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_back() {
        for shift in 0..64 {
            for number in [1 << shift, (1_u64 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                put(number, &mut bytes);
                bytes.push(7);
                let mut rest = bytes.as_slice();
                assert_eq!((take(&mut rest), rest), (Some(number), [7].as_slice()));
                let mut cut = &bytes[..bytes.len() - 2];
                assert_eq!(take(&mut cut), None, "{number}");
            }
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_none() {
        assert_eq!(take(&mut [0xff; 11].as_slice()), None);
        assert_eq!(take(&mut [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02].as_slice()), None);
    }
}
