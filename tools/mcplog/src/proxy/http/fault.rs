//! What can go wrong with an upstream, as a row and the log tell it: few words, always the same ones.
//!
//! Pure. What an error says is looked for in the whole chain of its causes. The words hold no payload: they are the proxy's own,
//! but for what the libraries for HTTP and TLS say of themselves.

use super::error_chain::chain;
use rustls::{AlertDescription, CertificateError};
use std::borrow::Cow;
use std::error::Error;
use std::io;

/// What went wrong. Told apart as far as somebody would do something else about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Refused,
    NoRoute,
    NameNotResolved,
    ConnectTimeout,
    CertificateExpired,
    CertificateNotYetValid,
    CertificateOfAnotherName,
    CertificateIssuerUnknown,
    CertificateRevoked,
    CertificateUnusable,
    NoTls,
    TlsAlert,
    TlsClosed,
    Tls,
    Reset,
    Closed,
    /// TCP gave up on it.
    Vanished,
    Unreadable,
    NoDescriptors,
    /// The task that had the connection ended.
    TaskGone,
    /// Silent for too long, before there was a connection.
    SilentConnecting,
    /// Likewise, before it took all of the request.
    SilentTaking,
    /// Likewise, before the head of its response.
    SilentAnswering,
    /// Likewise, in the middle of its response.
    SilentWithin,
    /// The upstream leads back to this proxy.
    Loop,
    /// The upstream serves no such Host.
    Misdirected,
    /// The proxy itself failed.
    Panicked,
    Other,
}

impl Fault {
    /// How many there are.
    pub(super) const COUNT: usize = Self::Other as usize + 1;

    /// What an error tells of. `is_connecting` says that there was no connection yet.
    pub(super) fn of(error: &(dyn Error + 'static), is_connecting: bool) -> Self {
        let mut gone = None;
        let mut next = Some(error);
        while let Some(error) = next {
            match of_one(error, is_connecting) {
                Some(Self::TaskGone) => gone = Some(Self::TaskGone),
                Some(fault) => return fault,
                None => {}
            }
            next = error.source();
        }
        gone.unwrap_or(Self::Other)
    }

    /// Whether the proxy itself may have ended the connection, because it stops. Not every way in which its library says so can
    /// be told from others.
    pub(super) fn may_be_a_stop(self) -> bool {
        matches!(self, Self::TaskGone | Self::Closed | Self::Other)
    }

    /// It in words.
    fn words(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::NoRoute => "no route to the upstream",
            Self::NameNotResolved => "the upstream's name was not resolved (DNS)",
            Self::ConnectTimeout => "timed out connecting",
            Self::CertificateExpired => "certificate expired",
            Self::CertificateNotYetValid => "certificate not yet valid",
            Self::CertificateOfAnotherName => "certificate of another name",
            Self::CertificateIssuerUnknown => "certificate of an unknown issuer (see --ca-file)",
            Self::CertificateRevoked => "certificate revoked",
            Self::CertificateUnusable => "certificate unusable",
            Self::NoTls => "the upstream does not speak TLS",
            Self::TlsAlert => "TLS refused by the upstream",
            Self::TlsClosed => "connection closed in the TLS handshake",
            Self::Tls => "TLS failed",
            Self::Reset => "connection reset",
            Self::Closed => "connection closed",
            Self::Vanished => "connection lost",
            Self::Unreadable => "response not readable",
            Self::NoDescriptors => "out of file descriptors",
            Self::TaskGone => "the task with the connection ended",
            Self::SilentConnecting => "timed out waiting for a connection",
            Self::SilentTaking => "timed out waiting for the upstream to take the request",
            Self::SilentAnswering => "timed out waiting for the response",
            Self::SilentWithin => "timed out within the response",
            Self::Loop => "the upstream leads back to this proxy (see --upstream)",
            Self::Misdirected => "421 to the client's Host (see --rewrite-host)",
            Self::Panicked => "a fault of the proxy itself",
            Self::Other => "other",
        }
    }

    /// Whether its words leave out what the library knows, such as which part of a certificate is bad.
    fn has_detail(self) -> bool {
        matches!(self, Self::CertificateUnusable | Self::TlsAlert | Self::Tls | Self::Unreadable | Self::Other)
    }
}

/// A fault with its words: the `cause` of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) fault: Fault,
    pub(super) words: Cow<'static, str>,
}

impl From<Fault> for Cause {
    fn from(fault: Fault) -> Self {
        Self { fault, words: Cow::Borrowed(fault.words()) }
    }
}

impl Cause {
    /// There is no response.
    pub(super) fn before_response(error: &(dyn Error + 'static), is_connecting: bool) -> Self {
        let fault = Fault::of(error, is_connecting);
        match fault {
            Fault::Reset | Fault::Closed | Fault::Vanished => Self::of(fault, "before the response"),
            _ => Self::with_detail(fault, error),
        }
    }

    /// The response broke off, so many bytes of its body after its head.
    pub(super) fn within_response(error: &(dyn Error + 'static), body_bytes: u64) -> Self {
        let fault = Fault::of(error, false);
        match fault {
            Fault::Reset | Fault::Closed | Fault::Vanished => Self::of(fault, &after(body_bytes)),
            _ => Self::with_detail(fault, error),
        }
    }

    /// The response fell silent, so many bytes of its body after its head.
    pub(super) fn silent_within(body_bytes: u64) -> Self {
        Self::of(Fault::SilentWithin, &format!("({})", after(body_bytes)))
    }

    /// The response can't be passed on, for a reason in the proxy's own words.
    pub(super) fn unreadable(reason: &str) -> Self {
        Self { fault: Fault::Unreadable, words: Cow::Owned(format!("{}: {reason}", Fault::Unreadable.words())) }
    }

    fn of(fault: Fault, more: &str) -> Self {
        Self { fault, words: Cow::Owned(format!("{} {more}", fault.words())) }
    }

    fn with_detail(fault: Fault, error: &(dyn Error + 'static)) -> Self {
        if !fault.has_detail() {
            return fault.into();
        }
        // What the client's library itself says is only which step failed, and the row says that already.
        let told = error.source().map_or_else(|| error.to_string(), chain);
        let words = if fault == Fault::Other { told } else { format!("{}: {told}", fault.words()) };
        Self { fault, words: Cow::Owned(words) }
    }
}

fn after(body_bytes: u64) -> String {
    let bytes = if body_bytes == 1 { "byte" } else { "bytes" };
    format!("after {body_bytes} {bytes} of the response")
}

/// What one error of the chain tells of, without those that caused it.
fn of_one(error: &(dyn Error + 'static), is_connecting: bool) -> Option<Fault> {
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return of_http(error);
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(of_tls(error));
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        // An error inside another one is not among its sources.
        let inner = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
        return inner.and_then(|inner| of_one(inner, is_connecting)).or_else(|| of_io(error, is_connecting));
    }
    // The type is not public; a test with a name that does not exist holds the text.
    (is_connecting && error.to_string() == "dns error").then_some(Fault::NameNotResolved)
}

fn of_http(error: &hyper::Error) -> Option<Fault> {
    if error.is_incomplete_message() {
        Some(Fault::Closed)
    } else if error.is_parse() {
        Some(Fault::Unreadable)
    } else if error.is_canceled() || error.is_closed() {
        Some(Fault::TaskGone)
    } else {
        None
    }
}

fn of_tls(error: &rustls::Error) -> Fault {
    match error {
        rustls::Error::InvalidCertificate(error) => of_certificate(error),
        rustls::Error::InvalidMessage(_) => Fault::NoTls,
        // What a server says that has no certificate for the name.
        rustls::Error::AlertReceived(AlertDescription::UnrecognisedName) => Fault::CertificateOfAnotherName,
        rustls::Error::AlertReceived(_) => Fault::TlsAlert,
        _ => Fault::Tls,
    }
}

fn of_certificate(error: &CertificateError) -> Fault {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Fault::CertificateExpired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Fault::CertificateNotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Fault::CertificateOfAnotherName
        }
        CertificateError::UnknownIssuer => Fault::CertificateIssuerUnknown,
        CertificateError::Revoked => Fault::CertificateRevoked,
        _ => Fault::CertificateUnusable,
    }
}

fn of_io(error: &io::Error, is_connecting: bool) -> Option<Fault> {
    use io::ErrorKind as Kind;
    let errno = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    if matches!(errno, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)) {
        return Some(Fault::NoDescriptors);
    }
    match error.kind() {
        Kind::ConnectionRefused => Some(Fault::Refused),
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NotConnected | Kind::AddrNotAvailable => {
            Some(Fault::NoRoute)
        }
        Kind::TimedOut if is_connecting => Some(Fault::ConnectTimeout),
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => Some(Fault::Reset),
        Kind::UnexpectedEof if is_connecting => Some(Fault::TlsClosed),
        Kind::TimedOut => Some(Fault::Vanished),
        Kind::UnexpectedEof => Some(Fault::Closed),
        Kind::InvalidData | Kind::InvalidInput => Some(Fault::Unreadable),
        _ => None,
    }
}

#[cfg(test)]
#[path = "fault_tests.rs"]
mod tests;
