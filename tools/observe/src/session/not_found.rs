//! What a 404 to a POST says of the session that the request named.
//!
//! Pure data, fed by whoever reads the response. A server answers 404 to a session that it does not know, and clients
//! begin a new one then. In 2026-07-28 it also answers 404 to a method that it does not know, with an error for that
//! request; and whoever stands between may answer 404 to a path that leads nowhere. So an answer keeps the session, unless it
//! says that the session is unknown. Whose id an error bears does not matter: SDKs give one for a request of theirs, for none,
//! or for `"server-error"`, and a request's only error is its answer.

use crate::read::{Message, Slot};

/// The error code of a method that the server does not have.
const METHOD_NOT_FOUND: &[u8] = b"-32601";
/// The error code that SDKs give to an unknown session.
const SESSION_NOT_FOUND: &[u8] = b"-32001";

/// What was read so far of the body of a 404.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NotFound {
    speaks_of_else: bool,
}

impl NotFound {
    /// A response was read. `has_request` says that the POST brought a request, so that it may be an answer. What answers a
    /// notification is about the session, unless it names a method.
    pub(crate) fn read(&mut self, message: &Message, has_request: bool) {
        let names_method = message.raw(Slot::ErrorCode) == Some(METHOD_NOT_FOUND);
        self.speaks_of_else |= names_method || (has_request && !is_about_session(message));
    }

    /// Whether the session is gone, once the response is over. Without an answer to the request, it is the session that was
    /// not found: SDKs answer with no body, with a text, or with an error for no request in particular.
    pub(crate) fn is_of_session(self) -> bool {
        !self.speaks_of_else
    }
}

fn is_about_session(message: &Message) -> bool {
    let names_it = |text: &str| text.to_ascii_lowercase().contains("session");
    message.raw(Slot::ErrorCode) == Some(SESSION_NOT_FOUND)
        || message.text(Slot::ErrorMessage).is_some_and(|text| names_it(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::{Kind, Scanner, kind};

    /// Whether the session is gone, if that is the 404's body: after a request, and after a notification.
    fn is_of_session(body: &str) -> [bool; 2] {
        [true, false].map(|has_request| {
            let mut not_found = NotFound::default();
            Scanner::new().push(body.as_bytes(), |message| {
                if matches!(kind(message), Kind::Response(_)) {
                    not_found.read(message, has_request);
                }
            });
            not_found.is_of_session()
        })
    }

    #[test]
    fn only_an_answer_about_something_else_keeps_the_session() {
        let (gone, kept, kept_by_answer) = ([true, true], [false, false], [false, true]);
        let cases = [
            // Nothing (Java), a text (Go, rmcp), a page.
            ("", gone),
            ("session not found", gone),
            ("<html>404</html>", gone),
            (r#"{"detail":"Not Found"}"#, gone),
            // TypeScript; Python; C#; an SDK that takes the id over.
            (r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}"#, gone),
            (r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session terminated"}}"#, gone),
            (r#"{"jsonrpc":"2.0","id":"","error":{"code":-32001,"message":"gone"}}"#, gone),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"gone"}}"#, gone),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"Unknown Session"}}"#, gone),
            // Answers.
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}"#, kept),
            (r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"Method not found"}}"#, kept),
            (r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32601,"message":"no"}}"#, kept),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no such resource"}}"#, kept_by_answer),
            (r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"no such tool"}}"#, kept_by_answer),
            (r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32002,"message":"nothing"}}"#, kept_by_answer),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, kept_by_answer),
        ];
        for (body, expected) in cases {
            assert_eq!(is_of_session(body), expected, "{body}");
        }
    }
}
