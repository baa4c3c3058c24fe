//! What happens to a call, with what has to be known of it to record it.
//!
//! Pure data; [`super::lifecycle`] says what follows.

use super::breakdown::Breakdown;
use super::failure::Failure;
use super::lifecycle::Input;
use super::response::Response;
use crate::activity::Activity;
use crate::read::Message;
use std::sync::Arc;
use std::time::Duration;

/// A response, and what came with it.
#[derive(Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) message: &'a Message,
    /// The text of the message, if it was kept.
    pub(crate) payload: Option<&'a [u8]>,
    pub(crate) response: &'a Response,
}

/// What happens to a call. Each has its row in the table of [`super::lifecycle`].
#[derive(Clone, Copy)]
pub(crate) enum Happening<'a> {
    Answered(Answer<'a>),
    Cancelled,
    ExchangeOver(&'a Breakdown),
    /// The breakdown stands if the client does not come back within that time.
    LeftToClient(&'a Breakdown, Duration),
    /// How long what passes there may be silent.
    LeftToStream(&'a Arc<Activity>, Duration),
    /// Likewise: on the stream that its client came back for.
    ClientBack(&'a Arc<Activity>, Duration),
    /// Likewise, if its answer is due on whichever stream its session listens on: on this one.
    Listening(&'a Arc<Activity>, Duration),
    /// That stream is over. The breakdown stands if the client does not come back within that time.
    StreamCut(&'a Arc<Activity>, &'a Breakdown, Duration),
    Overdue,
    SessionOver,
    StreamOver(&'a Breakdown),
    Draining,
    Stopped,
    Abandoned(Failure),
}

impl Happening<'_> {
    pub(super) fn input(&self) -> Input {
        match self {
            Self::Answered(_) => Input::Answered,
            Self::Cancelled => Input::Cancelled,
            Self::ExchangeOver(_) => Input::ExchangeOver,
            Self::LeftToClient(..) => Input::LeftToClient,
            Self::LeftToStream(..) => Input::LeftToStream,
            Self::ClientBack(..) | Self::Listening(..) => Input::ClientBack,
            Self::StreamCut(..) => Input::StreamCut,
            Self::Overdue => Input::Overdue,
            Self::SessionOver => Input::SessionOver,
            Self::StreamOver(_) => Input::StreamOver,
            Self::Draining => Input::Draining,
            Self::Stopped => Input::Stopped,
            Self::Abandoned(_) => Input::Abandoned,
        }
    }

    /// What it is to a call that has no answer.
    pub(super) fn breakdown(&self) -> Breakdown {
        let failure = match self {
            Self::ExchangeOver(breakdown)
            | Self::LeftToClient(breakdown, _)
            | Self::StreamCut(_, breakdown, _)
            | Self::StreamOver(breakdown) => return (*breakdown).clone(),
            Self::Abandoned(failure) => *failure,
            Self::Cancelled => Failure::Cancelled,
            Self::LeftToStream(..) | Self::ClientBack(..) | Self::Listening(..) | Self::Overdue => Failure::Timeout,
            Self::Stopped | Self::Draining => Failure::ProxyShutdown,
            Self::Answered(_) | Self::SessionOver => Failure::NoResponse,
        };
        failure.into()
    }
}
