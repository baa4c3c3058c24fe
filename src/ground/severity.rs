//! How bad something is that was found in a store. Plain data; the words are those of `format.md`, section 3.

use serde::Serialize;

/// How bad something is. Of several, the worst counts. The words are those of `wal-inspect verify`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// Nothing is wrong.
    #[default]
    Sound,
    /// Nothing durable is lost. The next opening of the store sees to it, or somebody should.
    Attention,
    /// Something could not be read, so nothing can be said of it: it is a newer mcplog's, or somebody else's.
    Unreadable,
    /// Something is not what it was, or not what belongs there.
    Damaged,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_the_worst_counts() {
        let order = [Severity::Sound, Severity::Attention, Severity::Unreadable, Severity::Damaged];
        assert!(order.is_sorted());
    }
}
