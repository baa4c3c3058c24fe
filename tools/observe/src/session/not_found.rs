//! What a 404 to a POST says of the session that the request named.
//!
//! Pure data, fed by whoever reads the response. A server answers 404 to a session that it does not know, and clients
//! begin a new one then. In 2026-07-28 it also answers 404 to a method that it does not know, with an error for that
//! request; and whoever stands between may answer 404 to a path that leads nowhere.

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
    /// A response was read. `is_own` says that it has the id of a request that the exchange brought.
    pub(crate) fn read(&mut self, message: &Message, is_own: bool) {
        let code = message.raw(Slot::ErrorCode);
        let speaks_of_else = if is_own { !is_about_session(message) } else { code == Some(METHOD_NOT_FOUND) };
        self.speaks_of_else |= speaks_of_else;
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
    use crate::read::Scanner;

    /// Whether the session is gone, if that is the 404's body and the request has id 1.
    fn is_of_session(body: &str) -> bool {
        let mut not_found = NotFound::default();
        Scanner::new().push(body.as_bytes(), |message| {
            not_found.read(message, message.raw(Slot::Id) == Some(b"1"));
        });
        not_found.is_of_session()
    }

    #[test]
    fn only_an_answer_about_something_else_keeps_the_session() {
        let cases = [
            // Nothing (Java), a text (Go, rmcp), a page.
            ("", true),
            ("session not found", true),
            ("<html>404</html>", true),
            (r#"{"detail":"Not Found"}"#, true),
            // TypeScript; Python; an SDK that takes the id over.
            (r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}"#, true),
            (r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session terminated"}}"#, true),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"gone"}}"#, true),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"Unknown Session"}}"#, true),
            // Answers.
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}"#, false),
            (r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"Method not found"}}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no such resource"}}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, false),
        ];
        for (body, expected) in cases {
            assert_eq!(is_of_session(body), expected, "{body}");
        }
    }
}
