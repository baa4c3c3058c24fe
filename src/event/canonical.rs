//! The canonical form of JSON text: equal for texts that mean the same. A version's content hash is one of such a text.
//!
//! Object keys are sorted by their bytes, arrays stay in the order given, there is no whitespace, and numbers and strings
//! are written in one way. Of a member that comes twice the last one counts. Pure; runs on the caller's thread.
//!
//! The text is written from the text, and no tree of values is ever made of it: such a tree takes up to eighty times the
//! memory of what it was made from, and what a server sends decides how large it gets.

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// How deep values may lie in each other: as deep as `serde_json` reads them, so that no stack overflows.
const DEPTH_MAX: usize = 127;
/// The most members of one object, and the most items of one list that is looked into item by item: a bound on what is held
/// beside the text. The longest lists that are known have some thousand items.
pub const MEMBERS_MAX: usize = 64 * 1024;

/// The JSON text as it stands.
///
/// # Errors
/// It is no JSON.
pub fn raw(text: &str) -> Result<&RawValue, Unreadable> {
    serde_json::from_str(text).map_err(|_| Unreadable)
}

/// The text is no JSON that can be read: it is broken, too deep, or has too many members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no JSON that can be read: broken, nested too deep, or with too many members")]
pub struct Unreadable;

/// The members of an object, sorted by their names.
pub struct Members<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'t> Members<'t> {
    /// Those of the object with that text.
    ///
    /// # Errors
    /// It is no object, or has too many members.
    pub fn of(object: &'t RawValue) -> Result<Self, Unreadable> {
        let Pairs(mut members) = serde_json::from_str(object.get()).map_err(|_| Unreadable)?;
        members.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
        // Of equal names, the last one stands behind the others.
        members.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                earlier.1 = later.1;
            }
            is_same
        });
        Ok(Self(members))
    }

    /// The value of the member with that name.
    pub fn get(&self, name: &str) -> Option<&'t RawValue> {
        let place = self.0.binary_search_by(|(found, _)| found.as_bytes().cmp(name.as_bytes())).ok()?;
        Some(self.0[place].1)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'t RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }
}

/// The elements of an array.
///
/// # Errors
/// It is no array, or has too many elements.
pub fn elements(array: &RawValue) -> Result<Vec<&RawValue>, Unreadable> {
    let Elements(elements) = serde_json::from_str(array.get()).map_err(|_| Unreadable)?;
    Ok(elements)
}

/// The text of a string; `None` for any other value.
pub fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// The canonical text of a value.
///
/// # Errors
/// It is broken, too deep, or an object in it has too many members.
pub fn text(value: &RawValue) -> Result<String, Unreadable> {
    let mut out = String::with_capacity(value.get().len());
    write(value, 0, &mut out)?;
    Ok(out)
}

/// Writes the canonical text of a name.
pub fn write_name(name: &str, out: &mut String) {
    out.push_str(&Value::from(name).to_string());
    out.push(':');
}

fn write(value: &RawValue, depth: usize, out: &mut String) -> Result<(), Unreadable> {
    match value.get().as_bytes().first() {
        Some(b'{' | b'[') if depth >= DEPTH_MAX => Err(Unreadable),
        Some(b'{') => {
            out.push('{');
            for (place, (name, member)) in Members::of(value)?.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_name(name, out);
                write(member, depth + 1, out)?;
            }
            out.push('}');
            Ok(())
        }
        Some(b'[') => {
            out.push('[');
            let array = Array { depth, out: &mut *out };
            serde_json::Deserializer::from_str(value.get()).deserialize_seq(array).map_err(|_| Unreadable)?;
            out.push(']');
            Ok(())
        }
        Some(b'"') => {
            let text: String = serde_json::from_str(value.get()).map_err(|_| Unreadable)?;
            out.push_str(&Value::from(text).to_string());
            Ok(())
        }
        Some(b'-' | b'0'..=b'9') => {
            out.push_str(&number(value.get()));
            Ok(())
        }
        _ => {
            out.push_str(value.get());
            Ok(())
        }
    }
}

/// One way to write a number: the shortest one of the nearest double, unless it is a whole number of 64 bits. A number that
/// no double comes near stays as it is.
fn number(text: &str) -> String {
    if let Ok(whole) = text.parse::<i64>().map(i128::from).or_else(|_| text.parse::<u64>().map(i128::from))
        && text != "-0"
    {
        return whole.to_string();
    }
    // `serde_json` does not read the nearest double, so that what it wrote would change each time it is read.
    let double = text.parse().ok().and_then(serde_json::Number::from_f64);
    double.map_or_else(|| text.to_owned(), |double| double.to_string())
}

/// Writes the elements of an array as they are read.
struct Array<'o> {
    depth: usize,
    out: &'o mut String,
}

impl<'t> Visitor<'t> for Array<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut array: A) -> Result<(), A::Error> {
        let mut is_first = true;
        while let Some(element) = array.next_element::<&RawValue>()? {
            if !std::mem::take(&mut is_first) {
                self.out.push(',');
            }
            write(element, self.depth + 1, self.out).map_err(|_| A::Error::custom("unreadable"))?;
        }
        Ok(())
    }
}

/// A name, without a copy where it has no escapes.
#[derive(Deserialize)]
struct Name<'t>(#[serde(borrow)] Cow<'t, str>);

/// An object's members as they stand there, those included that come again.
struct Pairs<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'t> Deserialize<'t> for Pairs<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'t> Visitor<'t> for Reader {
            type Value = Pairs<'t>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Pairs<'t>, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'t>, &'t RawValue>()? {
                    if members.len() == MEMBERS_MAX {
                        return Err(A::Error::custom("too many members"));
                    }
                    members.push((name, value));
                }
                Ok(Pairs(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

struct Elements<'t>(Vec<&'t RawValue>);

impl<'t> Deserialize<'t> for Elements<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'t> Visitor<'t> for Reader {
            type Value = Elements<'t>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'t>>(self, mut array: A) -> Result<Elements<'t>, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = array.next_element::<&'t RawValue>()? {
                    if elements.len() == MEMBERS_MAX {
                        return Err(A::Error::custom("too many elements"));
                    }
                    elements.push(element);
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_seq(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, json};

    fn canonical(json: &str) -> Result<String, Unreadable> {
        text(serde_json::from_str(json).map_err(|_| Unreadable)?)
    }

    #[test]
    fn what_means_the_same_is_written_in_one_way() {
        let cases = [
            (r#" { "b" : [ 1 , {"y":1,"x":2} ] , "a" : "\u00e9\/" } "#, r#"{"a":"é/","b":[1,{"x":2,"y":1}]}"#),
            (r#"{"a":1,"\u0061":2}"#, r#"{"a":2}"#),
            (r#"{"a":{"z":1},"b":1,"a":{"y":2}}"#, r#"{"a":{"y":2},"b":1}"#),
            ("[1.0,1.50,1e2,-0,true,null,\"\\n\"]", "[1.0,1.5,100.0,-0.0,true,null,\"\\n\"]"),
            ("[210055426.66156918,18446744073709551615]", "[210055426.66156918,18446744073709551615]"),
            ("[18446744073709551616,1e999]", "[1.8446744073709552e+19,1e999]"),
            ("[]", "[]"),
            ("{}", "{}"),
            ("7", "7"),
        ];
        for (given, expected) in cases {
            assert_eq!(canonical(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_and_no_stack_overflows() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(canonical(&nested(DEPTH_MAX)), Ok(nested(DEPTH_MAX)));
        assert_eq!(canonical(&nested(DEPTH_MAX + 1)), Err(Unreadable));
        assert_eq!(canonical(&nested(100_000)), Err(Unreadable));
        assert_eq!(canonical(r#"{"a":"\ud800"}"#), Err(Unreadable));
        let object = |members: usize| {
            let members: Vec<_> = (0..members).map(|name| format!(r#""{name}":0"#)).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(canonical(&object(MEMBERS_MAX)).is_ok());
        assert_eq!(canonical(&object(MEMBERS_MAX + 1)), Err(Unreadable));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            let object = prop::collection::vec((".{0,3}", inner.clone()), 0..6)
                .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>()));
            prop_oneof![prop::collection::vec(inner, 0..6).prop_map(Value::from), object]
        })
    }

    proptest! {
        #[test]
        fn the_canonical_text_is_the_one_of_the_value_however_it_is_spaced(value in any_value()) {
            // In this package's build, `serde_json` sorts members.
            let plain = value.to_string();
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let canonical_text = canonical(&plain).unwrap();
            prop_assert_eq!(&canonical_text, &canonical(&pretty).unwrap());
            prop_assert_eq!(&canonical_text, &canonical(&canonical_text).unwrap());
            prop_assert_eq!(canonical_text, plain);
        }
    }
}
