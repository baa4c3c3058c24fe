//! Every error that has a word of its own, deep in a chain and on top of it.

use super::*;
use io::ErrorKind as Kind;
use mcplog::event::NAME_BYTES_MAX;
use rustls::{InvalidMessage, PeerIncompatible};

/// An error that says nothing but what caused it.
#[derive(Debug, thiserror::Error)]
#[error("wrapped")]
struct Wrapped(#[source] Box<dyn Error + Send + Sync>);

fn certificate(error: CertificateError) -> io::Error {
    tls(rustls::Error::InvalidCertificate(error))
}

/// As it comes through tokio-rustls and the connector: an error in an error in an error.
fn tls(error: rustls::Error) -> io::Error {
    io::Error::other(io::Error::new(Kind::InvalidData, error))
}

#[test]
fn every_error_has_its_fault_wherever_it_is_in_the_chain() {
    let table: Vec<(io::Error, Fault, Fault)> = vec![
        (Kind::ConnectionRefused.into(), Fault::Refused, Fault::Refused),
        (Kind::HostUnreachable.into(), Fault::NoRoute, Fault::NoRoute),
        (Kind::NetworkUnreachable.into(), Fault::NoRoute, Fault::NoRoute),
        (Kind::TimedOut.into(), Fault::ConnectTimeout, Fault::Vanished),
        (Kind::ConnectionReset.into(), Fault::Reset, Fault::Reset),
        (Kind::BrokenPipe.into(), Fault::Reset, Fault::Reset),
        (Kind::UnexpectedEof.into(), Fault::TlsClosed, Fault::Closed),
        (Kind::InvalidInput.into(), Fault::Unreadable, Fault::Unreadable),
        (Kind::Other.into(), Fault::Other, Fault::Other),
        (rustix::io::Errno::MFILE.into(), Fault::NoDescriptors, Fault::NoDescriptors),
        (rustix::io::Errno::CONNREFUSED.into(), Fault::Refused, Fault::Refused),
        (certificate(CertificateError::Expired), Fault::CertificateExpired, Fault::CertificateExpired),
        (certificate(CertificateError::NotValidYet), Fault::CertificateNotYetValid, Fault::CertificateNotYetValid),
        (
            certificate(CertificateError::NotValidForName),
            Fault::CertificateOfAnotherName,
            Fault::CertificateOfAnotherName,
        ),
        (
            certificate(CertificateError::UnknownIssuer),
            Fault::CertificateIssuerUnknown,
            Fault::CertificateIssuerUnknown,
        ),
        (certificate(CertificateError::Revoked), Fault::CertificateRevoked, Fault::CertificateRevoked),
        (certificate(CertificateError::BadSignature), Fault::CertificateUnusable, Fault::CertificateUnusable),
        (tls(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)), Fault::NoTls, Fault::NoTls),
        (tls(rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)), Fault::TlsAlert, Fault::TlsAlert),
        (tls(rustls::Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered)), Fault::Tls, Fault::Tls),
    ];
    for (error, connecting, connected) in table {
        let text = format!("{error:?}");
        assert_eq!(Fault::of(&error, true), connecting, "{text}");
        assert_eq!(Fault::of(&error, false), connected, "{text}");
        let deep = Wrapped(Box::new(Wrapped(Box::new(error))));
        assert_eq!(Fault::of(&deep, true), connecting, "{text}");
    }
}

#[test]
fn words_are_short_and_each_faults_own() {
    let mut seen = std::collections::HashSet::new();
    for fault in [
        Fault::Refused,
        Fault::NoRoute,
        Fault::NameNotResolved,
        Fault::ConnectTimeout,
        Fault::CertificateExpired,
        Fault::CertificateNotYetValid,
        Fault::CertificateOfAnotherName,
        Fault::CertificateIssuerUnknown,
        Fault::CertificateRevoked,
        Fault::CertificateUnusable,
        Fault::NoTls,
        Fault::TlsAlert,
        Fault::TlsClosed,
        Fault::Tls,
        Fault::Reset,
        Fault::Closed,
        Fault::Vanished,
        Fault::Unreadable,
        Fault::NoDescriptors,
        Fault::TaskGone,
        Fault::SilentConnecting,
        Fault::SilentTaking,
        Fault::SilentAnswering,
        Fault::SilentWithin,
        Fault::Loop,
        Fault::Misdirected,
        Fault::Panicked,
        Fault::Other,
    ] {
        let cause = Cause::from(fault);
        assert!(cause.words.len() < NAME_BYTES_MAX / 2 && seen.insert(cause.words), "{fault:?}");
    }
    assert_eq!(seen.len(), Fault::COUNT);
}

#[test]
fn a_cause_says_where_it_broke() {
    let reset = io::Error::from(Kind::ConnectionReset);
    assert_eq!(Cause::before_response(&reset, false).words, "connection reset before the response");
    assert_eq!(Cause::within_response(&reset, 1).words, "connection reset after 1 byte of the response");
    assert_eq!(Cause::within_response(&reset, 1700).words, "connection reset after 1700 bytes of the response");
    let refused = Wrapped(Box::new(io::Error::from(Kind::ConnectionRefused)));
    assert_eq!(Cause::before_response(&refused, true).words, "connection refused");
    let unusable = Wrapped(Box::new(certificate(CertificateError::BadSignature)));
    let words = Cause::before_response(&unusable, true).words;
    assert!(words.starts_with("certificate unusable: ") && words.contains("BadSignature"), "{words}");
    assert_eq!(Cause::silent_within(5).words, "timed out within the response (after 5 bytes of the response)");
}
