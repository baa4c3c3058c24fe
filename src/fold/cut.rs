//! Cutting values that are longer than the database keeps. Pure.
//!
//! A value that was cut is always longer than the limit, and no other value is. So the two can be told apart without a
//! mark in another column.

use crate::event::{ERROR_MSG_CHARS_MAX, ID_BYTES_MAX, Limit};
use crate::record::id::Id;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fmt::Write as _;

/// The mark of the place where a text was cut.
const MARK: char = '…';
/// How many bytes of the whole name's SHA-256 follow a cut name: nobody finds two names that share so many.
const DIGEST_BYTES: usize = 16;

/// A text of a request, cut if it exceeds its limit.
pub(crate) fn text(text: &str, limit: Limit) -> Cow<'_, str> {
    match limit {
        Limit::Bytes(bytes_max) => name(text, bytes_max),
        Limit::Message => message(text),
    }
}

/// Whether [`text`] would leave the text as it is.
pub(crate) fn fits(text: &str, limit: Limit) -> bool {
    match limit {
        Limit::Bytes(bytes_max) => text.len() <= bytes_max,
        Limit::Message => matches!(message(text), Cow::Borrowed(_)),
    }
}

/// An id, cut if it is too long.
pub(crate) fn id(id: Cow<'_, str>) -> Cow<'_, str> {
    match id {
        Cow::Borrowed(id) => name(id, ID_BYTES_MAX),
        Cow::Owned(id) => Cow::Owned(name(&id, ID_BYTES_MAX).into_owned()),
    }
}

/// Whether [`id`] would leave the id as it is.
pub(crate) fn id_fits(id: &Id<'_>) -> bool {
    match id {
        Id::Text(text) => text.len() <= ID_BYTES_MAX,
        Id::Uuid(_) | Id::Hex(_) => true,
    }
}

/// A name, an id or an address, cut if it is too long. Different values stay different, because values are compared.
pub(crate) fn name(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let prefix = &text[..text.floor_char_boundary(bytes_max)];
    Cow::Owned(format!("{prefix}{MARK}{}", hexadecimal(&Sha256::digest(text)[..DIGEST_BYTES])))
}

/// A message, cut if it is too long. Recording has cut it already, to one character more.
pub(crate) fn message(text: &str) -> Cow<'_, str> {
    if text.len() <= ERROR_MSG_CHARS_MAX {
        return Cow::Borrowed(text);
    }
    match text.char_indices().nth(ERROR_MSG_CHARS_MAX) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}{MARK}", &text[..end])),
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_fits_is_kept_and_what_does_not_is_longer_than_the_limit(
            text in "(a|é|…|😀){0,30}", bytes_max in 1..40_usize,
        ) {
            let cut = name(&text, bytes_max);
            prop_assert_eq!(cut.len() > bytes_max, text.len() > bytes_max);
            if text.len() <= bytes_max {
                prop_assert_eq!(&*cut, &*text);
            } else {
                let kept = cut.strip_suffix(|c: char| c.is_ascii_hexdigit()).unwrap();
                prop_assert!(kept.contains(MARK) && cut.len() <= bytes_max + MARK.len_utf8() + 2 * DIGEST_BYTES);
            }
        }
    }

    #[test]
    fn a_cut_name_ends_in_half_of_its_digest() {
        // printf abcdef | sha256sum
        assert_eq!(name("abcdef", 4), "abcd…bef57ec7f53a6d40beb640a780a639c8");
        assert_eq!(name("abcdef", 6), "abcdef");
        assert_ne!(name("abcdef", 4), name("abcdeg", 4));
    }

    #[test]
    fn a_message_is_cut_behind_512_characters() {
        for letter in ["x", "é", "😀"] {
            let fits = letter.repeat(ERROR_MSG_CHARS_MAX);
            assert_eq!(message(&fits), fits);
            assert_eq!(message(&format!("{fits}{letter}")), format!("{fits}…"));
        }
    }
}
