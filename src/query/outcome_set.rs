//! A set of outcomes: how the requests that a filter keeps may have ended. Pure.

use crate::event::{Code, Outcome};

/// A set of outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutcomeSet(u16);

const _: () = assert!(<Outcome as Code>::ALL.len() < u16::BITS as usize, "a bit for each number");

impl OutcomeSet {
    /// Those of which that is true.
    pub(super) fn of(is_in: impl Fn(Outcome) -> bool) -> Self {
        let wanted = Outcome::ALL.iter().filter(|outcome| is_in(**outcome));
        Self(wanted.fold(0, |bits, outcome| bits | 1 << outcome.number()))
    }

    pub(super) const fn has(self, outcome: Outcome) -> bool {
        self.0 & 1 << outcome as u16 != 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every outcome is in it.
    pub(super) fn is_full(self) -> bool {
        self == Self::of(|_| true)
    }

    /// The outcomes, by their numbers.
    pub(super) fn iter(self) -> impl Iterator<Item = Outcome> {
        Outcome::ALL.iter().copied().filter(move |outcome| self.has(*outcome))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_it_was_made_of() {
        for wanted in Outcome::ALL {
            let set = OutcomeSet::of(|outcome| outcome == *wanted);
            assert!(set.has(*wanted) && !set.is_empty() && !set.is_full(), "{wanted:?}");
            assert_eq!(set.iter().collect::<Vec<_>>(), [*wanted]);
        }
        assert!(OutcomeSet::of(|_| true).is_full() && OutcomeSet::of(|_| false).is_empty());
    }
}
