//! Sets of record numbers as people read them: from, to. Pure.

use std::collections::BTreeSet;

/// Numbers, in ranges of first and last, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(pub Vec<(u64, u64)>);

impl Ranges {
    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// The numbers, one by one.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// Whether a number is among them.
    pub fn has(&self, number: u64) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&number))
    }

    /// Those above a number.
    pub fn above(&self, number: u64) -> Self {
        self.numbers().filter(|other| *other > number).collect()
    }
}

impl FromIterator<u64> for Ranges {
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for number in numbers.into_iter().collect::<BTreeSet<_>>() {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        Self(ranges)
    }
}

impl std::fmt::Display for Ranges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts = self
            .0
            .iter()
            .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
        write!(f, "[{}]", texts.collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_ranges() {
        let ranges: Ranges = [7, 1, 2, 3, 9, 8, 2].into_iter().collect();
        assert_eq!(
            (ranges.0.clone(), ranges.count(), ranges.to_string().as_str()),
            (vec![(1, 3), (7, 9)], 6, "[1-3 7-9]")
        );
        assert!(ranges.has(2) && !ranges.has(4));
        assert_eq!(ranges.above(2).0, [(3, 3), (7, 9)]);
    }
}
