//! What an error says, with what caused it.
//!
//! Pure. Used by the forwarding tasks, for diagnostics and for the `cause` of rows.

use std::error::Error;

/// An error with its causes, on one line. Some errors name their cause themselves; it is not said twice.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}
