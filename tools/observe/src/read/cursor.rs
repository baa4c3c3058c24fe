//! Which page a cursor stands for, in bounded memory: its text, or a digest of a long one.
//!
//! Pure. Cursors are opaque, and servers that put their state into them make them as long as they like.

use super::unescape::Unescape;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt::Write;

/// The longest cursor that stands for itself, in bytes. In JSON it has six times as many at most, which are captured.
const WHOLE_BYTES_MAX: usize = 1024;

/// What stands for a cursor: the same for the same cursor, and no other one's.
pub(crate) fn cursor_key(cursor: &str) -> Cow<'_, str> {
    if cursor.len() <= WHOLE_BYTES_MAX {
        return Cow::Borrowed(cursor);
    }
    Cow::Owned(key_of_long(&Sha256::digest(cursor)))
}

fn key_of_long(digest: &[u8]) -> String {
    // Longer than any cursor that stands for itself could be mistaken for by chance, and in no server's interest to forge.
    let mut key = "cursor-sha256-".to_owned();
    for byte in digest {
        let _ = write!(key, "{byte:02x}");
    }
    key
}

/// Reads a cursor in a request while its bytes pass.
#[derive(Default)]
pub(super) struct CursorReader {
    unescape: Unescape,
    hash: Sha256,
    bytes: usize,
}

impl CursorReader {
    /// The next bytes of the string, without its quotes.
    pub(super) fn push(&mut self, part: &[u8]) {
        let Self { unescape, hash, bytes } = self;
        unescape.push(part, |text| {
            hash.update(text);
            *bytes += text.len();
        });
    }

    /// The string is over: what stands for it, if it is a long one.
    pub(super) fn finish(mut self) -> Option<Box<str>> {
        let Self { unescape, hash, bytes } = &mut self;
        unescape.finish(|text| {
            hash.update(text);
            *bytes += text.len();
        });
        (self.bytes > WHOLE_BYTES_MAX).then(|| key_of_long(&self.hash.finalize()).into_boxed_str())
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::TOKEN_BYTES_MAX;
    use super::super::scan::Scanner;
    use super::*;
    use proptest::prelude::*;

    /// What stands for the cursor of a request, however its text is cut and written.
    fn key_in_request(cursor: &str, piece: usize, escapes: bool) -> Option<String> {
        let written: String = match escapes {
            true => cursor.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect(),
            false => {
                let quoted = serde_json::Value::from(cursor).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
        };
        let request = format!(r#"{{"id":1,"method":"tools/list","params":{{"cursor":"{written}"}}}}"#);
        let (mut scanner, mut found) = (Scanner::new(), None);
        for part in request.as_bytes().chunks(piece) {
            scanner.push(part, |message| found = message.cursor().map(Cow::into_owned));
        }
        found
    }

    #[test]
    fn a_cursor_of_any_length_is_known_again() {
        for len in [1, WHOLE_BYTES_MAX, WHOLE_BYTES_MAX + 1, TOKEN_BYTES_MAX - 2, TOKEN_BYTES_MAX, 100_000] {
            let cursor = "x".repeat(len);
            for escapes in [false, true] {
                let found = key_in_request(&cursor, 1000, escapes);
                assert_eq!(found.as_deref(), Some(&*cursor_key(&cursor)), "{len} {escapes}");
                let other = format!("{}y", &cursor[1..]);
                assert_ne!(key_in_request(&other, 1000, escapes), found, "{len} {escapes}");
            }
            assert!(cursor_key(&cursor).len() <= WHOLE_BYTES_MAX);
        }
    }

    #[test]
    fn the_last_cursor_counts_and_one_that_is_no_text_is_none() {
        let long = "x".repeat(20_000);
        for (params, expected) in [
            (format!(r#"{{"cursor":"{long}","cursor":"a"}}"#), Some("a".to_owned())),
            (format!(r#"{{"cursor":"a","cursor":"{long}"}}"#), Some(cursor_key(&long).into_owned())),
            (format!(r#"{{"cursor":"{long}","cursor":7}}"#), None),
            (r#"{"cursor":null}"#.to_owned(), None),
            ("{}".to_owned(), None),
        ] {
            let mut found = Some("nothing was read".to_owned());
            let other = format!(r#"{{"id":1,"method":"m","params":{{"cursor":"{long}"}}}}"#);
            let batch = format!(r#"[{other},{{"id":1,"method":"m","params":{params}}}]"#);
            Scanner::new().push(batch.as_bytes(), |message| found = message.cursor().map(Cow::into_owned));
            assert_eq!(found, expected, "{}", &params[..20.min(params.len())]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn however_it_is_written_and_cut_it_stands_for_the_same(
            piece in "\\PC{1,40}", times in 1..400_usize, cut in 1..700_usize, escapes in any::<bool>(),
        ) {
            let cursor = piece.repeat(times);
            let found = key_in_request(&cursor, cut, escapes);
            prop_assert_eq!(found.as_deref(), Some(&*cursor_key(&cursor)));
        }
    }
}
