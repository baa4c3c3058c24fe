//! Who a client says it is.
//!
//! Pure data, bounded.

/// How much of a client's name or version tells it from others, in characters.
const IDENTITY_CHARS_MAX: usize = 128;

/// Who a client says it is, at its handshake or in every request of the sessionless era.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientIdentity {
    pub(crate) name: Option<Box<str>>,
    pub(crate) version: Option<Box<str>>,
}

impl ClientIdentity {
    pub(crate) fn new(name: Option<&str>, version: Option<&str>) -> Self {
        let short = |text: &str| text.chars().take(IDENTITY_CHARS_MAX).collect::<String>().into_boxed_str();
        Self { name: name.map(short), version: version.map(short) }
    }

    /// What it takes up beside itself, in bytes.
    pub(crate) fn text_bytes(&self) -> usize {
        self.name.as_deref().map_or(0, str::len) + self.version.as_deref().map_or(0, str::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut() {
        let identity = ClientIdentity::new(Some(&"ä".repeat(100_000)), None);
        assert_eq!(identity.name.as_deref().map(|name| name.chars().count()), Some(IDENTITY_CHARS_MAX));
        assert_eq!(identity.text_bytes(), IDENTITY_CHARS_MAX * "ä".len());
    }
}
