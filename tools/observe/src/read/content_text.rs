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
    /// That of the items so far, and behind it that of the current one, whose type may not be known yet.
    text: String,
    /// How much of it there is with the current item.
    reached: Reached,
    /// How much of it there is without.
    kept: Reached,
    /// What is missing of the current item's type to [`TEXT`]. `None` if it is another.
    type_rest: Option<&'static str>,
    unescape: Unescape,
}

/// How far a text goes.
#[derive(Clone, Copy, Default)]
struct Reached {
    bytes: usize,
    chars: usize,
    /// There was more.
    is_cut: bool,
}

impl ContentText {
    /// A content begins: an earlier one does not count.
    pub(super) fn clear(&mut self) {
        self.kept = Reached::default();
        self.begin_item();
    }

    /// Whether nothing that comes can change the text.
    pub(super) fn is_full(&self) -> bool {
        self.kept.is_cut
    }

    /// An item begins.
    pub(super) fn begin_item(&mut self) {
        self.begin(ItemMember::Type);
        self.type_rest = None;
        self.begin(ItemMember::Text);
    }

    /// That member begins: an earlier value does not count, whatever this one is.
    pub(super) fn begin(&mut self, member: ItemMember) {
        match member {
            ItemMember::Type => self.type_rest = Some(TEXT),
            ItemMember::Text => {
                self.reached = self.kept;
                self.text.truncate(self.kept.bytes);
            }
        }
    }

    /// The next bytes of that member's string, without its quotes.
    pub(super) fn push(&mut self, member: ItemMember, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE_BYTES) {
            if self.is_decided(member) {
                return;
            }
            self.decode(member, |unescape, on_text| unescape.push(piece, on_text));
        }
    }

    /// The string is over.
    pub(super) fn end(&mut self, member: ItemMember) {
        self.decode(member, |unescape, on_text| unescape.finish(on_text));
    }

    /// The item is over. Its text counts if its type says so.
    pub(super) fn end_item(&mut self) {
        if self.type_rest == Some("") {
            self.kept = self.reached;
        }
    }

    /// The text, if there is any.
    pub(super) fn text(&self) -> Option<Box<str>> {
        let kept = &self.text[..self.kept.bytes];
        let mark = if self.kept.is_cut { CUT } else { "" };
        (!kept.is_empty()).then(|| [kept, mark].concat().into_boxed_str())
    }

    /// Whether more of that string changes nothing.
    fn is_decided(&self, member: ItemMember) -> bool {
        match member {
            ItemMember::Type => self.type_rest.is_none(),
            ItemMember::Text => self.reached.is_cut,
        }
    }

    fn decode(&mut self, member: ItemMember, decode: impl FnOnce(&mut Unescape, &mut dyn FnMut(&str))) {
        let mut unescape = std::mem::take(&mut self.unescape);
        decode(&mut unescape, &mut |part| match member {
            ItemMember::Type => self.type_rest = self.type_rest.and_then(|rest| rest.strip_prefix(part)),
            ItemMember::Text => self.append(part),
        });
        self.unescape = unescape;
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
        let (fitting, count) = match part.char_indices().nth(room) {
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
