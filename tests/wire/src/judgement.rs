//! What the judge says must be on record, and where the pages leave that open.
//!
//! Pure data.

use crate::row::{Key, Recorded};
use std::collections::BTreeSet;

/// What the judge says.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// What must be on record.
    pub recorded: Recorded,
    /// The rows of these that may be missing, and why.
    pub may_be_missing: BTreeSet<Key>,
    /// When requests came that were cut: such a row may also know less of its request.
    pub cut: BTreeSet<i64>,
}

impl Judgement {
    /// The same for what is recorded over sockets, where nobody knows when anything came.
    #[must_use]
    pub fn timeless(&self) -> Self {
        let may_be_missing =
            self.may_be_missing.iter().map(|(_, id, method, about)| (0, id.clone(), method.clone(), about.clone()));
        Self {
            recorded: self.recorded.timeless(),
            may_be_missing: may_be_missing.collect(),
            cut: self.cut.iter().map(|_| 0).collect(),
        }
    }
}
