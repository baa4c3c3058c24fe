//! Which characters a terminal would act on, or hide, instead of showing them: the only list of these.
//!
//! Pure. The classes are Unicode's own, from its tables (icu_properties): a list by hand misses some, as the two that
//! stood here before did.

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointMapDataBorrowed, CodePointSetData, CodePointSetDataBorrowed};

static CATEGORIES: CodePointMapDataBorrowed<'static, GeneralCategory> = CodePointMapData::<GeneralCategory>::new();
static IGNORABLE: CodePointSetDataBorrowed<'static> = CodePointSetData::new::<DefaultIgnorableCodePoint>();

/// Whether a character does something other than show itself.
///
/// - Controls (C0, DEL, C1): escape sequences begin with these.
/// - Formats: what changes the direction of text (marks, embeddings, overrides, isolates), zero-width characters, the
///   soft hyphen, the byte order mark, tags (whole sentences that nobody sees), interlinear marks.
/// - Line and paragraph separators.
/// - Whatever else Unicode lets a font ignore: variation selectors (256 of them carry any byte), fillers, joiners.
/// - Unassigned characters: what the terminal makes of them, and how wide, nobody knows.
///
/// Joiners and variation selectors are hidden also where they make one picture out of several emoji: terminals disagree
/// about the width of such pictures, and a name with a joiner in it looks like one without. Characters for private use
/// are shown: they have a width and are not invisible.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    let is_of_hidden_category = matches!(
        CATEGORIES.get(character),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::Unassigned
    );
    is_of_hidden_category || IGNORABLE.contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_character_that_acts_or_hides_is_on_the_list() {
        let kinds: [(&str, &[std::ops::RangeInclusive<u32>]); 16] = [
            ("C0 and DEL", &[0x00..=0x1f, 0x7f..=0x7f]),
            ("C1", &[0x80..=0x9f]),
            ("marks of direction", &[0x61c..=0x61c, 0x200e..=0x200f]),
            ("embeddings and overrides", &[0x202a..=0x202e]),
            ("isolates", &[0x2066..=0x2069]),
            ("line and paragraph separators", &[0x2028..=0x2029]),
            ("zero-width space, joiners, word joiner, invisible operators", &[0x200b..=0x200d, 0x2060..=0x2064]),
            ("deprecated formats", &[0x206a..=0x206f]),
            ("soft hyphen", &[0xad..=0xad]),
            ("grapheme joiner", &[0x34f..=0x34f]),
            ("byte order mark, interlinear marks", &[0xfeff..=0xfeff, 0xfff9..=0xfffb]),
            ("fillers", &[0x115f..=0x1160, 0x3164..=0x3164, 0xffa0..=0xffa0, 0x17b4..=0x17b5]),
            ("variation selectors", &[0xfe00..=0xfe0f, 0xe0100..=0xe01ef, 0x180b..=0x180f]),
            ("tags", &[0xe0000..=0xe007f]),
            ("shorthand and musical formats", &[0x1bca0..=0x1bca3, 0x1d173..=0x1d17a]),
            (
                "unassigned, never to be assigned",
                &[0x378..=0x379, 0xfdd0..=0xfdef, 0xfffe..=0xffff, 0x1_0ffff..=0x1_0ffff],
            ),
        ];
        for (kind, ranges) in kinds {
            for character in ranges.iter().cloned().flatten().filter_map(char::from_u32) {
                assert!(is_hidden(character), "{kind}: {:x}", u32::from(character));
            }
        }
    }

    #[test]
    fn what_shows_itself_is_not_on_the_list() {
        let shown = "azAZ09 ~\u{a0}é\u{301}ß北京日本語한글العربيةעבריתไทยहिन्दी😀👩💻🇩🇪€→└·µ…━\u{3000}\u{e000}";
        for character in shown.chars() {
            assert!(!is_hidden(character), "{character}");
        }
    }
}
