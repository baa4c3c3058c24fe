//! The streams that clients may resume, and those that sessions listen on.
//!
//! Pure data and rules of `docs/matching.md`.

use crate::call::CallNumber;

/// Which way a stream came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The session that the transport names.
    pub session: Option<String>,
    /// The path.
    pub path: String,
    /// The client's address.
    pub address: u128,
}

impl Way {
    /// Whether a client that comes this way may resume what came that way.
    fn is(&self, other: &Self) -> bool {
        match (&self.session, &other.session) {
            (Some(session), Some(other)) => session == other,
            _ => self.path == other.path && self.address == other.address,
        }
    }
}

/// A stream with ids of events.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Which way it came.
    pub way: Way,
    /// The requests it stands for.
    pub calls: Vec<CallNumber>,
    /// Its events.
    pub events: Vec<String>,
    /// When it was last cut, and which cut of all that was.
    pub cut: Option<(u64, usize)>,
    /// The exchange that carries it on.
    pub carrier: Option<usize>,
}

/// The stream that a client resumes who comes that way and had that event last: the last one that was cut and owes an answer,
/// else the last that was cut, else one that goes on.
pub fn resumed(streams: &[Stream], way: &Way, event: &str, owes: impl Fn(&Stream) -> bool) -> Option<usize> {
    let fits = streams
        .iter()
        .enumerate()
        .filter(|(_, stream)| stream.way.is(way) && stream.events.iter().rev().take(128).any(|had| had == event));
    fits.max_by_key(|(at, stream)| {
        (stream.cut.is_some(), stream.cut.is_some() && owes(stream), stream.cut.map(|cut| cut.1), *at)
    })
    .map(|(at, _)| at)
}
