//! Requests with any details, for the tests of every stage. A detail that is added to the list is tested with it.

use super::code::Code;
use super::detail::{DetailSource, Limit};
use super::notes::Notes;
use super::request::Request;

/// Texts that are special somewhere: empty, a word of the format, forms of ids, several bytes to a character.
const TEXTS: [&str; 7] = [
    "",
    "a",
    "tools/call",
    "2025-11-25",
    "0199cc2c-c07b-7cc3-98c4-dc0c0c07398f",
    "0123456789abcdef0123456789abcdef",
    "größer als ein Wort",
];

/// Makes details up, the same ones of the same number.
pub(crate) struct AnyDetails {
    state: u64,
    /// The only detail that there is; `None`: each is there or not.
    only: Option<&'static str>,
}

/// Gives a request some of the details, any values of them.
pub(crate) fn with_any_details(request: &mut Request<'_>, seed: u64) {
    request.take_details(&mut AnyDetails { state: seed, only: None });
}

/// Requests that have one detail each, with its name.
pub(crate) fn with_one_detail_each() -> impl Iterator<Item = (&'static str, Request<'static>)> {
    Request::<'static, &'static str>::DETAILS.iter().map(|name| {
        let mut request = Request::new("id", 1, "proxy", "ping");
        request.take_details(&mut AnyDetails { state: 7, only: Some(name) });
        (*name, request)
    })
}

impl AnyDetails {
    /// By Steele, Lea and Flood's SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn value<T>(&mut self, name: &str, value: impl FnOnce(u64) -> T) -> Option<T> {
        let (chance, random) = (self.random(), self.random());
        self.only.map_or(!chance.is_multiple_of(3), |only| only == name).then(|| value(random))
    }
}

/// One of a list, by any number.
fn pick<T: Copy>(list: &[T], random: u64) -> T {
    list[usize::try_from(random % list.len() as u64).unwrap()]
}

impl<'a> DetailSource<'a, &'a str> for AnyDetails {
    fn id(&mut self, name: &'static str) -> Option<&'a str> {
        self.value(name, |random| pick(&TEXTS, random))
    }

    fn text(&mut self, name: &'static str, _limit: Limit) -> Option<&'a str> {
        self.value(name, |random| pick(&TEXTS, random))
    }

    fn number(&mut self, name: &'static str) -> Option<i64> {
        // All magnitudes, not just the large ones.
        self.value(name, |random| random.cast_signed() >> (random % 64))
    }

    fn short(&mut self, name: &'static str) -> Option<u16> {
        self.value(name, |random| pick(&[0, 200, 404, u16::MAX], random))
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.value(name, |random| random.is_multiple_of(2))
    }

    fn code<C: Code>(&mut self, name: &'static str) -> Option<C> {
        self.value(name, |random| pick(C::ALL, random))
    }

    fn bytes<const N: usize>(&mut self, name: &'static str) -> Option<[u8; N]> {
        self.value(name, |random| std::array::from_fn(|index| random.to_le_bytes()[index % 8]))
    }

    fn notes(&mut self, name: &'static str) -> Notes {
        self.value(name, |random| Notes::from_bits(random | 1)).unwrap_or(Notes::NONE)
    }
}
