//! A text of a line. Plain data.

use serde::Deserialize;
use std::borrow::Cow;

/// Text that is borrowed where it has no escapes. (Serde borrows a plain `Cow` in an `Option` never.)
#[derive(Debug, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    /// The text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
