//! Buffers that grow by doubling, but never past a limit.
//!
//! Pure. `Vec` alone would do but for its last doubling, which may go up to twice as far.

/// What a buffer begins with, in bytes: most captured values fit in together.
const FIRST_BYTES: usize = 64;

/// Appends as much of `part` as `bytes_max` leaves room for, and says whether that was all of it.
pub(crate) fn append(buffer: &mut Vec<u8>, part: &[u8], bytes_max: usize) -> bool {
    let fitting = part.len().min(bytes_max.saturating_sub(buffer.len()));
    let needed = buffer.len() + fitting;
    if needed > buffer.capacity() {
        let capacity = needed.max(buffer.capacity() * 2).max(FIRST_BYTES).min(bytes_max);
        buffer.reserve_exact(capacity - buffer.len());
    }
    buffer.extend_from_slice(&part[..fitting]);
    fitting == part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_takes_what_fits_and_never_grows_past_its_limit() {
        for bytes_max in [0, 1, 63, 64, 65, 1000, 1024] {
            let mut buffer = Vec::new();
            for taken in (0..2000).step_by(7) {
                let fits = append(&mut buffer, &[b'x'; 7], bytes_max);
                assert_eq!(fits, taken + 7 <= bytes_max, "{taken} of {bytes_max}");
                assert_eq!(buffer.len(), (taken + 7).min(bytes_max));
                assert!(buffer.capacity() <= bytes_max, "{} of {bytes_max}", buffer.capacity());
            }
        }
    }
}
