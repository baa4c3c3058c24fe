//! Who is offered something: a key that stays the same for the same caller, and is never a credential.
//!
//! Pure; keys are made where [`super::watch`] runs.
//!
//! Where a request has a credential, the caller is `auth-` and sixteen hexadecimal digits of a digest of it, salted with what
//! belongs to the store: servers decide by the credential what they offer, so that it tells the callers apart that matter.
//! Elsewhere the caller is the client's name, and nobody in particular where that is not known.
//!
//! An access token changes every hour or so. Of a JSON Web Token issuer and subject count, which stay. An opaque token makes a
//! new caller each time; that costs one small record as long as few callers of a version are known, and nothing then, as
//! [`super::sightings`] says. The alternatives were rejected: the client's name in place of an opaque token makes one caller
//! of all who use that client, so that two of them who are offered different things would make changes without end; to
//! recognize a client by its address or its session takes two callers behind a gateway for one.

use crate::credential::Credential;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// How the key of a caller begins who has a credential.
const SALTED: &str = "auth-";
/// So many bytes of a digest tell callers apart.
const KEY_BYTES: usize = 8;

/// What is known of who asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    pub(crate) credential: Option<Credential>,
    /// The client's name.
    pub(crate) client: Option<Box<str>>,
}

impl Caller {
    /// The key. Whoever does not have the salt can't try credentials on it.
    pub(super) fn key(&self, salt: &str) -> Box<str> {
        let Some(credential) = &self.credential else { return self.client.clone().unwrap_or_default() };
        let digest = Sha256::new().chain_update(salt).chain_update(credential.bytes()).finalize();
        let mut key = SALTED.to_owned();
        for byte in &digest[..KEY_BYTES] {
            let _ = write!(key, "{byte:02x}");
        }
        key.into()
    }

    /// Whether a key is made of a credential, as far as it tells.
    pub(super) fn is_salted(key: &str) -> bool {
        key.starts_with(SALTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credential_decides_and_then_the_name() {
        let caller = |authorization: Option<&str>, client: Option<&str>| Caller {
            credential: authorization.map(Credential::of),
            client: client.map(Box::from),
        };
        let key = |authorization, client| caller(authorization, client).key("salt");
        assert_eq!((&*key(None, None), &*key(None, Some("cursor"))), ("", "cursor"));
        let alice = key(Some("Bearer alice"), Some("cursor"));
        assert_eq!(key(Some("Bearer alice"), None), alice);
        assert_ne!(key(Some("Bearer bob"), Some("cursor")), alice);
        assert_ne!(caller(Some("Bearer alice"), None).key("another"), alice);
        assert!(alice.len() == "auth-".len() + 16 && !alice.contains("alice"), "{alice}");
    }
}
