//! The beginning of the text in a result's `content`, for the row of a tool that failed.
//!
//! Pure, and no larger than what a row keeps of it. Whether the tool failed may only be known behind its text, so the text
//! of every result is held until the result is over, and let go then.
//!
//! The text is that of the items of type `text`, in their order; a line feed is between two of them, as the SDKs' own
//! clients print them, and an empty one brings nothing. Other items (images, links, resources) and `structuredContent` are
//! no text: what of them would be worth reading, only who made them knows.

use super::unescape::Unescape;
use mcplog::event::ERROR_MSG_CHARS_MAX;

/// What stands behind a text of which there was more.
const CUT: &str = "…";
/// The longest text, in bytes: every character has four, and behind them it says that there was more.
pub(crate) const CONTENT_TEXT_BYTES_MAX: usize = 4 * ERROR_MSG_CHARS_MAX + CUT.len();
/// The `type` of an item that is text.
const TEXT: &str = "text";
/// How much is decoded at once, in bytes: of a long text, no more than that is decoded in vain.
const PIECE_BYTES: usize = 512;

/// A member of an item that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ItemMember {
    Type,
    Text,
}

/// The beginning of a content's text.
#[derive(Default)]
pub(super) struct ContentText {
    excerpt: Excerpt,
    /// What is missing of the current item's type to [`TEXT`]. `None` if it is another.
    type_rest: Option<&'static str>,
    unescape: Unescape,
}

impl ContentText {
    /// A content begins: an earlier one does not count.
    pub(super) fn clear(&mut self) {
        self.excerpt.kept = Reached::default();
        self.begin_item();
    }

    /// Whether nothing that comes can change the text.
    pub(super) fn is_full(&self) -> bool {
        self.excerpt.kept.is_cut
    }

    /// An item begins.
    pub(super) fn begin_item(&mut self) {
        self.type_rest = None;
        self.excerpt.go_back();
    }

    /// That member begins: an earlier value does not count, whatever this one is.
    pub(super) fn begin(&mut self, member: ItemMember) {
        match member {
            ItemMember::Type => self.type_rest = Some(TEXT),
            ItemMember::Text => self.excerpt.go_back(),
        }
    }

    /// The next bytes of that member's string, without its quotes.
    pub(super) fn push(&mut self, member: ItemMember, bytes: &[u8]) {
        let Self { excerpt, type_rest, unescape } = self;
        for piece in bytes.chunks(PIECE_BYTES) {
            match member {
                ItemMember::Type if type_rest.is_none() => return,
                ItemMember::Text if excerpt.reached.is_cut => return,
                ItemMember::Type => unescape.push(piece, |part| shorten(type_rest, part)),
                ItemMember::Text => unescape.push(piece, |part| excerpt.append(part)),
            }
        }
    }

    /// The string is over.
    pub(super) fn end(&mut self, member: ItemMember) {
        let Self { excerpt, type_rest, unescape } = self;
        match member {
            ItemMember::Type => unescape.finish(|part| shorten(type_rest, part)),
            ItemMember::Text => unescape.finish(|part| excerpt.append(part)),
        }
    }

    /// The item is over. Its text counts if its type says so.
    pub(super) fn end_item(&mut self) {
        if self.type_rest == Some("") {
            self.excerpt.kept = self.excerpt.reached;
        }
    }

    /// The text, if there is any.
    pub(super) fn text(&self) -> Option<Box<str>> {
        let Reached { bytes, is_cut, .. } = self.excerpt.kept;
        let mark = if is_cut { CUT } else { "" };
        (bytes > 0).then(|| [&self.excerpt.text[..bytes], mark].concat().into_boxed_str())
    }
}

/// Takes that part away from the beginning of what is missing.
fn shorten(rest: &mut Option<&'static str>, part: &str) {
    *rest = rest.and_then(|rest| rest.strip_prefix(part));
}

/// As much of a text as is kept.
#[derive(Default)]
struct Excerpt {
    /// That of the items so far, and behind it that of the current one, whose type may not be known yet.
    text: String,
    /// How far it goes with the current item.
    reached: Reached,
    /// How far without.
    kept: Reached,
}

/// How far a text goes.
#[derive(Clone, Copy, Default)]
struct Reached {
    bytes: usize,
    chars: usize,
    /// There was more.
    is_cut: bool,
}

impl Excerpt {
    /// Forgets the current item's.
    fn go_back(&mut self) {
        self.reached = self.kept;
        self.text.truncate(self.kept.bytes);
    }

    fn append(&mut self, part: &str) {
        if self.reached.bytes == self.kept.bytes && self.kept.bytes > 0 {
            self.append_bounded("\n");
        }
        self.append_bounded(part);
    }

    fn append_bounded(&mut self, part: &str) {
        let Reached { bytes, chars, is_cut } = &mut self.reached;
        let room = ERROR_MSG_CHARS_MAX - *chars;
        // What has no more bytes than there may be characters need not be looked at.
        let end = if part.len() <= room { None } else { part.char_indices().nth(room) };
        let (fitting, count) = match end {
            Some((end, _)) => (&part[..end], room),
            None => (part, part.chars().count()),
        };
        self.text.reserve_exact(CONTENT_TEXT_BYTES_MAX - self.text.len());
        self.text.push_str(fitting);
        *bytes += fitting.len();
        *chars += count;
        *is_cut |= fitting.len() < part.len();
    }
}
