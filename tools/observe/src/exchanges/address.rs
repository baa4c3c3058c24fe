//! Addresses in the form in which two that mean the same are the same text.
//!
//! Pure. Of what RFC 3986 calls equivalent (section 6.2.2), this is about percent-encoding: clients and servers differ in it.
//! Segments `.` and `..` are left alone: no client sends them, and servers differ in what they make of them.

use std::borrow::Cow;

/// The address with percent-encoded octets in upper case, and without those of characters that need none.
pub(super) fn normal(address: &str) -> Cow<'_, str> {
    if !address.contains('%') {
        return Cow::Borrowed(address);
    }
    let mut out = String::with_capacity(address.len());
    let mut rest = address;
    while let Some((before, encoded)) = rest.split_once('%') {
        out.push_str(before);
        let octet = encoded.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let octet = octet.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match octet {
            Some(octet) if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) => out.push(octet.into()),
            Some(_) => {
                out.extend(['%'].into_iter().chain(encoded[..2].chars().map(|digit| digit.to_ascii_uppercase())))
            }
            // What stands there is no octet, and stays.
            None => out.push('%'),
        }
        rest = if octet.is_some() { &encoded[2..] } else { encoded };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_means_the_same_is_the_same_text() {
        let cases = [
            ("/mcp", "/mcp"),
            ("/a%2Bb", "/a%2Bb"),
            ("/a%2bb", "/a%2Bb"),
            ("/a+b", "/a+b"),
            ("/%6Dcp", "/mcp"),
            ("/%7euser/%2D", "/~user/-"),
            ("/%2Fmcp", "/%2Fmcp"),
            ("/%e4%C3%a4", "/%E4%C3%A4"),
            ("/100%", "/100%"),
            ("/%zz%4", "/%zz%4"),
            ("/%%41", "/%A"),
            ("/%é", "/%é"),
            ("?session_id=a%2fb&x=%20", "?session_id=a%2Fb&x=%20"),
        ];
        for (address, expected) in cases {
            assert_eq!(normal(address), expected, "{address}");
        }
    }

    proptest! {
        #[test]
        fn encoding_more_than_is_needed_changes_nothing(text in "[a-z0-9~._/-]{0,20}", lower in any::<bool>()) {
            let encode = |octet: u8| if lower { format!("%{octet:02x}") } else { format!("%{octet:02X}") };
            let is_needless = |octet: u8| octet != b'/';
            let encoded: String = text
                .bytes()
                .map(|octet| if is_needless(octet) { encode(octet) } else { char::from(octet).to_string() })
                .collect();
            prop_assert_eq!(normal(&encoded), text);
        }

        #[test]
        fn reserved_characters_keep_their_encoding_in_either_case(octets in prop::collection::vec(any::<u8>(), 0..20)) {
            let encoded = |upper: bool| -> String {
                octets.iter().map(|octet| if upper { format!("%{octet:02X}") } else { format!("%{octet:02x}") }).collect()
            };
            let (upper, lower) = (encoded(true), encoded(false));
            prop_assert_eq!(normal(&upper), normal(&lower));
        }
    }
}
