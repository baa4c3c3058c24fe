//! How bad something is. Plain data.

use serde::Serialize;

/// How bad something is. Of several, the worst counts. The words are those of the format's page.
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

impl Severity {
    /// The word, for people and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Attention => "attention",
            Self::Unreadable => "unreadable",
            Self::Damaged => "damaged",
        }
    }

    /// The exit code of a command that looks: 0, 2, 1 and 3.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Sound => 0,
            Self::Unreadable => 1,
            Self::Attention => 2,
            Self::Damaged => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_the_worst_counts_and_each_has_an_exit_code_of_its_own() {
        let order = [Severity::Sound, Severity::Attention, Severity::Unreadable, Severity::Damaged];
        assert!(order.is_sorted());
        assert_eq!(order.map(Severity::exit_code), [0, 2, 1, 3]);
        let names = order.map(|severity| serde_json::to_value(severity).unwrap());
        assert_eq!(names, order.map(|severity| serde_json::Value::from(severity.name())));
    }
}
