//! What became of a request, and what that counts as: the one definition, which rows, roll-ups, sums, filters and metrics
//! go by. `docs/counting.md` says it in words. Pure.

use super::code::{Code, Status, codes};

/// The method whose answer is a stream that either side ends when it likes.
pub const SUBSCRIPTION_METHOD: &str = "subscriptions/listen";
/// The method by which a client finds out which era of the protocol its server speaks.
const PROBE_METHOD: &str = "server/discover";
/// How servers of the session era refuse that method, by `error_code`: it is not known (the specification's word, and -32602
/// of the Python SDK 1.30, which reads no request that it does not know); the request is none, because it has no session or
/// names a revision that is not known (-32600 of the Python SDK 1.30, -32000 of the TypeScript SDK 1.32, both with HTTP 400);
/// the same without JSON-RPC, or by who does not take a POST there. Any other error says nothing of an era, and is one.
const PROBE_REFUSALS: [&str; 7] = ["-32601", "-32600", "-32602", "-32000", "http_400", "http_404", "http_405"];

codes! {
    /// What became of a request, more closely than its [`Status`] says. Each request has exactly one outcome, and what is
    /// counted is counted by it.
    Outcome {
        /// A result.
        Ok = 1 "ok",
        /// A result that says `isError`.
        ToolError = 2 "tool_error",
        /// A JSON-RPC error, an HTTP error without an answer, a stream that broke, an upstream that could not be
        /// reached, a client that went away before the answer.
        Error = 3 "error",
        /// No answer within the time limit.
        Timeout = 4 "timeout",
        /// The client took the request back.
        Cancelled = 5 "cancelled",
        /// A client found out that the server is of the session era: `server/discover` was refused. `initialize` is what
        /// follows.
        Probe = 6 "probe",
        /// The upstream answered with a redirect.
        Redirected = 7 "redirected",
        /// A subscription was ended by either side.
        Ended = 8 "ended",
        /// The result asks the client for more, with which the client repeats the call.
        InputRequired = 9 "input_required",
        /// The request was begun, and cut off when the proxy was stopped.
        Lost = 10 "lost",
    }
}

impl Outcome {
    /// What a request counts as, from what was recorded of it; `told` is the outcome that was, if any.
    ///
    /// The status decides first, because every reader knows it: an outcome of another status was told wrongly, and does not
    /// count. `isError` comes next. An outcome that says no more than the status is made closer where method and
    /// `error_code` say more, whoever recorded the request.
    ///
    /// Whether `initialize` really follows a probe is not asked. It would come in another record, later or never, and the
    /// tables must not depend on the order of records; nor can a row wait for it.
    pub fn of(
        status: Status,
        told: Option<Self>,
        tool_error: Option<bool>,
        method: &str,
        error_code: Option<&str>,
    ) -> Self {
        let is_closer =
            |told: &Self| told.status() == status && !matches!(told, Self::Ok | Self::Error | Self::Timeout);
        match (status, told.filter(is_closer)) {
            (Status::Ok, _) if tool_error == Some(true) => Self::ToolError,
            (_, Some(told)) => told,
            (Status::Ok, None) if method == SUBSCRIPTION_METHOD => Self::Ended,
            (Status::Ok, None) => Self::Ok,
            (Status::Error, None) if method == PROBE_METHOD && error_code.is_some_and(is_refusal) => Self::Probe,
            (Status::Error, None) => Self::Error,
            (Status::Timeout, None) => Self::Timeout,
        }
    }

    /// The status of every request with this outcome.
    pub const fn status(self) -> Status {
        match self {
            Self::Ok | Self::ToolError | Self::Ended | Self::InputRequired => Status::Ok,
            Self::Error | Self::Cancelled | Self::Probe | Self::Redirected | Self::Lost => Status::Error,
            Self::Timeout => Status::Timeout,
        }
    }

    /// Whether the request failed. Nothing else is called a failure.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Error | Self::Timeout)
    }

    /// Whether it is among what people look for when they ask for errors: it failed, or its tool said that it did.
    pub const fn is_trouble(self) -> bool {
        self.is_failure() || matches!(self, Self::ToolError)
    }

    /// Whether its latency says how fast somebody answered. A subscription lasts as long as its client likes, so it is never
    /// slow, and no percentile counts it.
    pub const fn has_latency(self) -> bool {
        !matches!(self, Self::Ended)
    }

    /// The outcome with that number. No other number is ever written: the column has a CHECK.
    pub(crate) fn from_number(number: i64) -> Self {
        u64::try_from(number).ok().and_then(Self::with_number).unwrap_or(Self::Error)
    }
}

fn is_refusal(error_code: &str) -> bool {
    PROBE_REFUSALS.contains(&error_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_stable_and_lead_back_to_the_value() {
        let names = "ok tool_error error timeout cancelled probe redirected ended input_required lost";
        assert_eq!(Outcome::ALL.len(), 10);
        for ((outcome, name), number) in Outcome::ALL.iter().zip(names.split(' ')).zip(1..) {
            assert_eq!((outcome.as_str(), outcome.number()), (name, number));
            assert_eq!(Outcome::from_name(name), Some(*outcome));
            assert_eq!(Outcome::from_number(number.into()), *outcome);
        }
        assert_eq!((Outcome::from_name(""), Outcome::with_number(0), Outcome::with_number(99)), (None, None, None));
    }

    /// The page that people read and this file say the same.
    #[test]
    fn the_table_of_the_page_is_the_definition() {
        let page = include_str!("../../docs/counting.md");
        let yes_or_no = |yes: bool| if yes { "yes" } else { "no" };
        for outcome in Outcome::ALL {
            let beginning = format!("| `{}` | `{}` |", outcome.as_str(), outcome.status().as_str());
            let ends = [outcome.is_failure(), outcome.is_trouble(), outcome.has_latency()].map(yes_or_no);
            let row = page.lines().find(|line| line.starts_with(&beginning));
            let row = row.unwrap_or_else(|| panic!("no row begins with {beginning}"));
            assert!(row.ends_with(&format!("| {} |", ends.join(" | "))), "{row}: {ends:?}");
        }
        for code in PROBE_REFUSALS {
            assert!(page.contains(&format!("`{code}`")), "{code}");
        }
    }

    #[test]
    fn what_is_told_counts_where_it_says_more_than_the_status_and_does_not_contradict_it() {
        for status in Status::ALL {
            for told in Outcome::ALL {
                let of = |tool_error| Outcome::of(*status, Some(*told), tool_error, "tools/call", None);
                let general = match status {
                    Status::Ok => Outcome::Ok,
                    Status::Error => Outcome::Error,
                    Status::Timeout => Outcome::Timeout,
                };
                let expected = if told.status() == *status { *told } else { general };
                assert_eq!((of(None), of(Some(false))), (expected, expected), "{status:?} {told:?}");
                let with_flag = if *status == Status::Ok { Outcome::ToolError } else { expected };
                assert_eq!(of(Some(true)), with_flag, "{status:?} {told:?}");
            }
        }
    }

    #[test]
    fn whatever_is_recorded_the_outcome_has_the_status_of_the_row() {
        let codes = [None, Some("-32601"), Some("-32603"), Some("http_400"), Some("client_gone")];
        for method in ["tools/call", "server/discover", "subscriptions/listen", ""] {
            for (status, code) in Status::ALL.iter().flat_map(|status| codes.map(|code| (*status, code))) {
                for told in Outcome::ALL.iter().copied().map(Some).chain([None]) {
                    for tool_error in [None, Some(false), Some(true)] {
                        let outcome = Outcome::of(status, told, tool_error, method, code);
                        assert_eq!(outcome.status(), status, "{told:?} {tool_error:?} {method} {code:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_discovery_that_is_refused_is_a_probe_and_one_that_fails_is_a_failure() {
        let of = |method, code| Outcome::of(Status::Error, Some(Outcome::Error), None, method, Some(code));
        for code in PROBE_REFUSALS {
            assert_eq!(of("server/discover", code), Outcome::Probe, "{code}");
            assert_eq!(of("tools/list", code), Outcome::Error, "{code}");
        }
        for code in ["-32603", "-32022", "-32020", "http_401", "http_500", "stream_broken", "client_gone", ""] {
            assert_eq!(of("server/discover", code), Outcome::Error, "{code}");
        }
        let timed_out = Outcome::of(Status::Timeout, None, None, "server/discover", Some("-32601"));
        assert_eq!(timed_out, Outcome::Timeout);
        assert_eq!(Outcome::of(Status::Ok, None, None, "server/discover", None), Outcome::Ok);
        assert_eq!(Outcome::of(Status::Error, None, None, "server/discover", None), Outcome::Error);
    }

    #[test]
    fn a_subscription_that_ended_well_is_ended_whoever_recorded_it() {
        let of = |status, told| Outcome::of(status, told, None, SUBSCRIPTION_METHOD, None);
        assert_eq!(of(Status::Ok, None), Outcome::Ended);
        assert_eq!(of(Status::Ok, Some(Outcome::Ok)), Outcome::Ended);
        assert_eq!(of(Status::Error, None), Outcome::Error);
        assert_eq!(of(Status::Timeout, None), Outcome::Timeout);
    }
}
