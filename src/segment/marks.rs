//! The two places of a segment's mark, and which of them counts. Pure, over the bytes of the first page.

use super::format::{MARK_BYTES, MARK_OFFSETS, Mark};

/// What stands in a place of the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkPlace {
    /// Zeros: nothing was written here yet.
    Unwritten,
    /// A mark, in the place of its generation.
    Valid(Mark),
    /// Anything else. One such place is what a torn write leaves; two of them no crash leaves.
    Damaged,
}

/// Both places, A and B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// At [`MARK_OFFSETS`], in that order.
    pub places: [MarkPlace; 2],
}

impl Marks {
    /// Reads them from a segment's first page, whose checksums are seeded with `salt`. What the page does not reach was
    /// not written.
    pub fn read(page: &[u8], salt: u32) -> Self {
        let place = |offset: u32| {
            let bytes = page.get(offset as usize..).and_then(|bytes| bytes.first_chunk::<MARK_BYTES>());
            match bytes {
                Some(bytes) if bytes.iter().any(|byte| *byte != 0) => Mark::decode(bytes, salt)
                    .filter(|mark| Mark::offset(mark.generation) == offset)
                    .map_or(MarkPlace::Damaged, MarkPlace::Valid),
                _ => MarkPlace::Unwritten,
            }
        };
        Self { places: MARK_OFFSETS.map(place) }
    }

    /// The mark that counts: the valid one with the higher generation. No two have the same, for each stands in the place
    /// of its own.
    pub fn newest(&self) -> Mark {
        let valid = self.places.iter().filter_map(|place| match place {
            MarkPlace::Valid(mark) => Some(*mark),
            MarkPlace::Unwritten | MarkPlace::Damaged => None,
        });
        valid.max_by_key(|mark| mark.generation).unwrap_or(Mark::UNWRITTEN)
    }

    /// Where the damaged places start.
    pub fn damaged(&self) -> impl Iterator<Item = u32> {
        let places = MARK_OFFSETS.into_iter().zip(self.places);
        places.filter(|(_, place)| *place == MarkPlace::Damaged).map(|(offset, _)| offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::position::Offset;
    use crate::segment::format::{Extent, FRAMES_OFFSET};

    const SALT: u32 = 7;

    fn mark(generation: u64) -> Mark {
        let durable = Extent { end: Offset(FRAMES_OFFSET + 16), frames: 1 };
        Mark { generation, durable, sealed: None }
    }

    fn page(written: &[(u32, [u8; MARK_BYTES])]) -> Vec<u8> {
        let mut page = vec![0; FRAMES_OFFSET as usize];
        for (offset, bytes) in written {
            page[*offset as usize..][..MARK_BYTES].copy_from_slice(bytes);
        }
        page
    }

    #[test]
    fn the_valid_mark_of_the_higher_generation_counts_and_the_damaged_places_are_told() {
        let [a, b] = MARK_OFFSETS;
        let good = |generation| mark(generation).encode(SALT);
        let torn = |generation| {
            let mut bytes = good(generation);
            bytes[9] ^= 1;
            bytes
        };
        for (written, newest, damaged) in [
            (&[][..], 0, &[][..]),
            (&[(b, good(1))], 1, &[]),
            (&[(b, good(1)), (a, good(2))], 2, &[]),
            (&[(b, good(3)), (a, good(2))], 3, &[]),
            (&[(b, good(3)), (a, torn(4))], 3, &[a]),
            (&[(b, torn(5)), (a, good(4))], 4, &[b]),
            (&[(b, torn(5)), (a, torn(4))], 0, &[a, b]),
            // In the place of the other parity, a mark is none.
            (&[(a, good(1))], 0, &[a]),
            (&[(b, good(2)), (a, good(2))], 2, &[b]),
            (&[(b, good(9)), (a, good(9))], 9, &[a]),
        ] {
            let marks = Marks::read(&page(written), SALT);
            let found = (marks.newest().generation, marks.damaged().collect::<Vec<_>>());
            assert_eq!(found, (newest, damaged.to_vec()), "{written:?}");
        }
        assert_eq!(
            Marks::read(&[0xff; 700], SALT).damaged().collect::<Vec<_>>(),
            [a],
            "the page ends before the other"
        );
    }
}
