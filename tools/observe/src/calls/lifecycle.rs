//! How a call ends: the one table of its states, of what can happen to it, and of what is recorded then.
//!
//! Pure data. Whatever happens, a call goes from [`State::Waiting`] to [`State::Ended`] and is recorded once, on the way
//! there. The rows are what happens, the columns the state in which it meets the call; an entry is what is recorded, which
//! ends the call, or the state that it goes to, or nothing:
//!
//! | what happens | waiting | resumable | on stream | taken back | ended |
//! |---|---|---|---|---|---|
//! | answered | answer | answer | answer | failure of then | |
//! | cancelled | to taken back | timeout of then, or failure | to taken back | | |
//! | exchange over | failure | | | failure of then | |
//! | left to client | to resumable | | | failure of then | |
//! | left to stream | to on stream | | | | |
//! | client back | | to on stream | | | |
//! | stream cut | | | to resumable | | |
//! | overdue | | failure of then | timeout | failure of then | |
//! | session over | | failure of then | failure | failure of then | |
//! | stream over | failure | failure | failure | failure of then | |
//! | draining | | failure of then | | failure of then | |
//! | stopped | failure | failure | failure | failure of then | |
//! | abandoned | failure | failure | failure | failure of then | |

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its exchange goes on.
    Waiting,
    /// Its exchange is over without an answer, but its client may come back for it on another stream.
    Resumable,
    /// Its exchange is over, and its answer is due on a stream that is open: the session's own, or the resumed one.
    OnStream,
    /// Its client took it back, which is how it ended. Its answer may still come, and is noted then.
    TakenBack,
    /// It is recorded.
    Ended,
}

impl State {
    /// Whether somebody waits for its answer.
    pub(super) const fn is_open(self) -> bool {
        !matches!(self, Self::TakenBack | Self::Ended)
    }
}

/// What can happen to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Its response was read, here or on another stream.
    Answered,
    /// The client took it back.
    Cancelled,
    /// Its exchange is over, and no other can answer it.
    ExchangeOver,
    /// Its exchange is over, and its client may come back for the answer.
    LeftToClient,
    /// Its exchange is over, and the answer is due on the session's stream.
    LeftToStream,
    /// Its client is back for the answer.
    ClientBack,
    /// The stream that its answer was due on is over, and its client may come back.
    StreamCut,
    /// It was left, and nobody has answered it in time.
    Overdue,
    /// Its session was closed.
    SessionOver,
    /// The stream that its session lives on is over.
    StreamOver,
    /// No connections are taken any more.
    Draining,
    /// Observing ends.
    Stopped,
    /// Nobody holds it any more.
    Abandoned,
}

/// What is recorded of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    Nothing,
    /// The answer, as of now.
    Answer,
    /// The failure that just happened, as of now.
    Failure,
    /// The failure that its exchange ended with, or that its client took it back, as of then.
    FailureOfThen,
    /// That nobody answered within the time limit, as of then, if its exchange ended with that: whoever takes a call back
    /// after it was cut off does so because it was. Otherwise the failure that just happened, as of now.
    TimeoutOfThen,
    /// That nobody answered within the time limit, as of now.
    Timeout,
}

pub(super) const STATES: [State; 5] =
    [State::Waiting, State::Resumable, State::OnStream, State::TakenBack, State::Ended];

pub(super) const INPUTS: [Input; 13] = [
    Input::Answered,
    Input::Cancelled,
    Input::ExchangeOver,
    Input::LeftToClient,
    Input::LeftToStream,
    Input::ClientBack,
    Input::StreamCut,
    Input::Overdue,
    Input::SessionOver,
    Input::StreamOver,
    Input::Draining,
    Input::Stopped,
    Input::Abandoned,
];

/// An entry of the table.
#[derive(Clone, Copy)]
enum Entry {
    Stay,
    Go(State),
    End(Recorded),
}

/// The table: a row for each of [`INPUTS`], a column for each of [`STATES`].
#[rustfmt::skip]
const TABLE: [[Entry; STATES.len()]; INPUTS.len()] = {
    use Entry::{End, Go, Stay};
    use Recorded::{Answer, Failure, FailureOfThen, Timeout, TimeoutOfThen};
    use State::{OnStream, Resumable, TakenBack};
    [
        //                 waiting         resumable           on stream      taken back          ended
        /* answered     */ [End(Answer),   End(Answer),        End(Answer),   End(FailureOfThen), Stay],
        /* cancelled    */ [Go(TakenBack), End(TimeoutOfThen), Go(TakenBack), Stay,               Stay],
        /* exch. over   */ [End(Failure),  Stay,               Stay,          End(FailureOfThen), Stay],
        /* to client    */ [Go(Resumable), Stay,               Stay,          End(FailureOfThen), Stay],
        /* to stream    */ [Go(OnStream),  Stay,               Stay,          Stay,               Stay],
        /* client back  */ [Stay,          Go(OnStream),       Stay,          Stay,               Stay],
        /* stream cut   */ [Stay,          Stay,               Go(Resumable), Stay,               Stay],
        /* overdue      */ [Stay,          End(FailureOfThen), End(Timeout),  End(FailureOfThen), Stay],
        /* session over */ [Stay,          End(FailureOfThen), End(Failure),  End(FailureOfThen), Stay],
        /* stream over  */ [End(Failure),  End(Failure),       End(Failure),  End(FailureOfThen), Stay],
        /* draining     */ [Stay,          End(FailureOfThen), Stay,          End(FailureOfThen), Stay],
        /* stopped      */ [End(Failure),  End(Failure),       End(Failure),  End(FailureOfThen), Stay],
        /* abandoned    */ [End(Failure),  End(Failure),       End(Failure),  End(FailureOfThen), Stay],
    ]
};

/// The state that follows, and what is recorded.
pub(super) const fn step(state: State, input: Input) -> (State, Recorded) {
    match TABLE[input as usize][state as usize] {
        Entry::Stay => (state, Recorded::Nothing),
        Entry::Go(next) => (next, Recorded::Nothing),
        Entry::End(recorded) => (State::Ended, recorded),
    }
}
