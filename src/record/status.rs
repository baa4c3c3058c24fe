//! How a request ended, as the log has it: a type of its own, so that the event's may change. Pure.

use crate::event::Status;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusCode {
    /// `ok`.
    Ok,
    /// `error`.
    Error,
    /// `timeout`.
    Timeout,
}

impl From<Status> for StatusCode {
    fn from(status: Status) -> Self {
        match status {
            Status::Ok => Self::Ok,
            Status::Error => Self::Error,
            Status::Timeout => Self::Timeout,
        }
    }
}

impl From<StatusCode> for Status {
    fn from(code: StatusCode) -> Self {
        match code {
            StatusCode::Ok => Self::Ok,
            StatusCode::Error => Self::Error,
            StatusCode::Timeout => Self::Timeout,
        }
    }
}
