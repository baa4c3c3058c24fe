//! The way to a place in a document.

/// What a document is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::attach) enum Format {
    /// With comments, and commas behind the last member.
    Json,
    Toml,
    Yaml,
}

/// A step of the way from a value to one within it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::attach) enum Step {
    /// To the member of that name.
    Key(String),
    /// To the list's item of that number, from 0 on.
    Index(usize),
}
