//! The ids of stores and writers: random UUIDs.
//!
//! Runs on any thread; never waits for randomness once the system has started.

use super::error::{AtPath, PathError};
use std::path::Path;

/// A random (version 4) UUID, for what is or will be at that path.
///
/// # Errors
/// The system gives no randomness.
pub(crate) fn random_uuid(path: &Path) -> Result<[u8; 16], PathError> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).at("get randomness for", path)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_random_uuids_of_version_4() {
        let ids: Vec<_> = (0..64).map(|_| random_uuid(Path::new("store")).unwrap()).collect();
        assert!(ids.iter().all(|id| id[6] >> 4 == 4 && id[8] >> 6 == 2), "{ids:02x?}");
        // Each of the 122 other bits is set in some and not in others.
        let (any, all) = ids.iter().fold((0, u128::MAX), |(any, all), id| {
            let bits = u128::from_be_bytes(*id);
            (any | bits, all & bits)
        });
        assert_eq!((any & !all).count_ones(), 122);
    }
}
