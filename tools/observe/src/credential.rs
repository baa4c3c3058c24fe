//! By what a client proved who it is, as far as two can be told apart: a digest, never the credential.
//!
//! Pure; runs where a request's head is read.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// The longest token whose claims are read, in bytes. Longer ones don't fit into the heads that servers take.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// A digest of what tells one credential from another. It never leaves the process: what is recorded is a salted digest of
/// it, by [`crate::schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Credential([u8; 32]);

/// The claims that say on whose behalf a token was issued.
#[derive(serde::Deserialize)]
struct Claims {
    #[serde(default)]
    iss: String,
    sub: String,
}

impl Credential {
    /// Of the value of an `Authorization` field.
    ///
    /// Access tokens change every hour or so. Of a JSON Web Token the issuer and the subject count, which stay. They are
    /// read, not verified: who lies about them is only taken for somebody else in the records. Of anything else the whole
    /// value counts, and a new token is a new caller.
    pub(crate) fn of(authorization: &str) -> Self {
        let mut hash = Sha256::new();
        match claims(authorization) {
            // No issuer has a zero byte in it, nor does a field's value.
            Some(Claims { iss, sub }) => {
                hash.update(b"claims\0");
                hash.update(iss);
                hash.update(b"\0");
                hash.update(sub);
            }
            None => hash.update(authorization),
        }
        Self(hash.finalize().into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

fn claims(authorization: &str) -> Option<Claims> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str, signature: &str) -> String {
        format!("Bearer e30.{}.{signature}", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_that_is_issued_anew_is_the_same_caller_s_and_others_are_not() {
        let first = Credential::of(&token(r#"{"iss":"i","sub":"alice","exp":1}"#, "x"));
        assert_eq!(Credential::of(&token(r#"{"sub":"alice","exp":2,"iss":"i"}"#, "y")), first);
        assert_eq!(Credential::of(&token(r#"{"iss":"i","sub":"alice"}"#, "z").replace("Bearer", "bearer")), first);
        for other in [
            token(r#"{"iss":"i","sub":"bob"}"#, "x"),
            token(r#"{"iss":"j","sub":"alice"}"#, "x"),
            token(r#"{"sub":"alice"}"#, "x"),
            token(r#"{"iss":"i"}"#, "x"),
            token("no claims", "x"),
            "Bearer opaque".to_owned(),
            "Bearer a.b".to_owned(),
            "Basic YWxpY2U6cGFzcw==".to_owned(),
            String::new(),
        ] {
            assert_ne!(Credential::of(&other), first, "{other}");
            assert_eq!(Credential::of(&other), Credential::of(&other));
        }
        assert_ne!(Credential::of("Bearer opaque"), Credential::of("Bearer other"));
    }
}
