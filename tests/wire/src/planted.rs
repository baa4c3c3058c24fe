//! The rules that the judge breaks on purpose.
//!
//! Pure data.

/// A rule that the judge breaks on purpose, to show that breaking it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// An answer is given to another open call with its id, although its own request brought that id.
    AnswerOfAnother,
    /// An error without an id is given to calls that are answered later in the same response, too.
    ErrorForAll,
    /// A 404 whose JSON-RPC error is an answer closes the session.
    AnswerClosesSession,
    /// A handshake that failed makes a session.
    RefusalMakesSession,
    /// Closing the response of a call of 2026-07-28 is no cancellation.
    ClosedIsGone,
    /// A resumed stream stands for nothing: whoever has the id is answered.
    ReplayForAnybody,
    /// An answer of a call that was taken back is not noted.
    LateUnnoted,
    /// A POST of 2024-11-05 belongs to a session only if the address names one.
    AddressByName,
}
