//! A failure, with the words of whoever noticed it.
//!
//! Pure data, cheap to clone: the calls of an exchange share its words.

use super::failure::{End, Failure};
use mcplog::event::NAME_BYTES_MAX;
use std::sync::Arc;

/// The longest cause that is kept, in bytes: as much as the database does.
pub(super) const CAUSE_BYTES_MAX: usize = NAME_BYTES_MAX;
/// What stands in the place of the rest of a longer one.
const CUT: &str = "…";

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breakdown {
    pub(crate) failure: Failure,
    /// Why the upstream failed, if it did: at most [`CAUSE_BYTES_MAX`] bytes.
    pub(crate) cause: Option<Arc<str>>,
    /// The response, or a part of it, passed unread: the answer may have been there.
    pub(crate) is_unread: bool,
}

impl Breakdown {
    /// What broke down, of an exchange that ended in that way. The arguments are those of [`Failure::of`].
    pub(crate) fn of(end: End<'_>, status: Option<u16>, is_unread: bool, is_stopping: bool) -> Self {
        let failure = Failure::of(end, status, is_unread, is_stopping);
        Self { failure, cause: end.cause().map(bounded), is_unread }
    }

    /// The same with what the response's head says of the cause, if nobody else said anything.
    pub(crate) fn or_cause(mut self, cause: Option<&Arc<str>>) -> Self {
        self.cause = self.cause.or_else(|| cause.cloned());
        self
    }

    /// The same for whoever depends on the stream that broke down: one that ended in good order broke off for them.
    pub(crate) fn of_stream(self) -> Self {
        let failure = if self.failure == Failure::NoResponse { Failure::StreamBroken } else { self.failure };
        Self { failure, ..self }
    }
}

impl Breakdown {
    /// Whether the client ended it, or was sent away.
    pub(crate) fn is_by_client(&self) -> bool {
        matches!(self.failure, Failure::ClientGone | Failure::ClientTimeout | Failure::ProxyShutdown)
    }

    /// The same for what the server asked on the stream that broke down: it is its client that did not answer, and does so
    /// elsewhere.
    pub(crate) fn of_asking(self) -> Self {
        let failure = match self.failure {
            Failure::Timeout | Failure::UpstreamUnreachable | Failure::UpstreamLoop => Failure::StreamBroken,
            Failure::Http(_) | Failure::UnreadableResponse => Failure::NoResponse,
            failure => failure,
        };
        Self { failure, is_unread: false, ..self }
    }
}

impl From<Failure> for Breakdown {
    /// A failure that nobody said anything about.
    fn from(failure: Failure) -> Self {
        Self { failure, cause: None, is_unread: false }
    }
}

/// As much of a cause as is kept.
pub(crate) fn bounded(cause: &str) -> Arc<str> {
    if cause.len() <= CAUSE_BYTES_MAX {
        return Arc::from(cause);
    }
    let kept = &cause[..cause.floor_char_boundary(CAUSE_BYTES_MAX - CUT.len())];
    Arc::from(format!("{kept}{CUT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_kept_whole_up_to_its_limit_and_a_cut_one_shows_it() {
        for letter in ["x", "ä", "日", "🦀"] {
            for letters in 0..=CAUSE_BYTES_MAX {
                let cause = letter.repeat(letters);
                let kept = bounded(&cause);
                assert!(kept.len() <= CAUSE_BYTES_MAX);
                let is_whole = cause.len() <= CAUSE_BYTES_MAX;
                assert_eq!(*kept == *cause, is_whole, "{letters} times {letter}");
                let beginning = kept.trim_end_matches(CUT);
                assert!(cause.starts_with(beginning) && (is_whole || beginning.len() + 8 > CAUSE_BYTES_MAX), "{kept}");
            }
        }
    }

    #[test]
    fn only_an_upstream_that_failed_has_a_cause() {
        for (end, cause) in [
            (End::Complete, None),
            (End::Broken("reset"), Some("reset")),
            (End::Unreachable("refused"), Some("refused")),
            (End::Silent("waiting"), Some("waiting")),
            (End::Loop("back"), Some("back")),
            (End::ProxyFailed("panic"), Some("panic")),
            (End::ClientGone, None),
            (End::ClientSilent, None),
        ] {
            for status in [None, Some(200), Some(500)] {
                assert_eq!(Breakdown::of(end, status, false, false).cause.as_deref(), cause, "{end:?}");
            }
        }
    }
}
