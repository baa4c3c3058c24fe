//! Which codings there are, and which of them a body has.
//!
//! Pure.

/// How many codings a body may have one on top of the other. Servers apply one; with two, something between has compressed
/// what was compressed before.
const LAYERS_MAX: usize = 3;

/// A way in which a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// gzip, in one member or several.
    Gzip,
    /// `deflate`: zlib's format, as RFC 9110 has it, or the bare deflate stream that some servers send.
    Deflate,
    /// Brotli.
    Brotli,
    /// Zstandard, in one frame or several.
    Zstd,
}

impl Coding {
    /// The coding of that name, in whatever case.
    fn named(name: &str) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("gzip") || is("x-gzip") {
            Some(Self::Gzip)
        } else if is("deflate") {
            Some(Self::Deflate)
        } else if is("br") {
            Some(Self::Brotli)
        } else if is("zstd") {
            Some(Self::Zstd)
        } else {
            None
        }
    }
}

/// The codings of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codings {
    /// In the order in which they were applied. `None` if one is not known, or there are too many.
    layers: Option<[Option<Coding>; LAYERS_MAX]>,
}

impl Codings {
    /// The body is as it is.
    pub const IDENTITY: Self = Self { layers: Some([None; LAYERS_MAX]) };
    /// The body is packed in a way that cannot be undone here.
    pub const UNKNOWN: Self = Self { layers: None };

    /// What the values of a body's `Content-Encoding` fields name.
    pub fn of<'a>(fields: impl IntoIterator<Item = &'a str>) -> Self {
        let names = fields.into_iter().flat_map(|field| field.split(',')).map(str::trim);
        let named = names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"));
        let mut layers = [None; LAYERS_MAX];
        for (at, name) in named.enumerate() {
            match (layers.get_mut(at), Coding::named(name)) {
                (Some(layer), Some(coding)) => *layer = Some(coding),
                _ => return Self::UNKNOWN,
            }
        }
        Self { layers: Some(layers) }
    }

    /// Whether that coding of an `Accept-Encoding` field, without its weight, can be undone. `*` can: servers that take it at
    /// its word choose one of the usual ones.
    pub fn can_undo(name: &str) -> bool {
        name == "*" || Self::of([name]) != Self::UNKNOWN
    }

    /// The codings in the order in which they are undone: the last one first. `None` if they can't be.
    pub(super) fn outermost_first(self) -> Option<impl Iterator<Item = Coding>> {
        self.layers.map(|layers| layers.into_iter().rev().flatten())
    }
}

impl From<Coding> for Codings {
    fn from(coding: Coding) -> Self {
        let mut layers = [None; LAYERS_MAX];
        layers[0] = Some(coding);
        Self { layers: Some(layers) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bodys_fields_name_its_codings() {
        use Coding::{Brotli, Deflate, Gzip, Zstd};
        let cases: [(&[&str], Option<&[Coding]>); 17] = [
            (&[], Some(&[])),
            (&[""], Some(&[])),
            (&["identity"], Some(&[])),
            (&[" , identity,"], Some(&[])),
            (&["gzip"], Some(&[Gzip])),
            (&[" X-GZip "], Some(&[Gzip])),
            (&["deflate"], Some(&[Deflate])),
            (&["BR"], Some(&[Brotli])),
            (&["zstd"], Some(&[Zstd])),
            (&["gzip, br"], Some(&[Brotli, Gzip])),
            (&["gzip", "identity", "br"], Some(&[Brotli, Gzip])),
            (&["gzip,deflate,zstd"], Some(&[Zstd, Deflate, Gzip])),
            (&["gzip", "gzip", "gzip", "gzip"], None),
            (&["compress"], None),
            (&["gzip, dcb"], None),
            (&["?", "gzip"], None),
            (&["*"], None),
        ];
        for (fields, expected) in cases {
            let codings = Codings::of(fields.iter().copied());
            let found = codings.outermost_first().map(Iterator::collect::<Vec<_>>);
            assert_eq!(found.as_deref(), expected, "{fields:?}");
        }
        assert_eq!(Codings::of(["zstd"]), Codings::from(Zstd));
        assert_eq!(Codings::of([]), Codings::IDENTITY);
    }
}
