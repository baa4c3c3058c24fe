//! Words as they can be pasted into a shell.
//!
//! Pure.

use crate::text::escape;

/// The word, in quotes where a shell would take it apart. What a terminal would act on is escaped; a word with such a
/// character can be read, but not pasted.
#[must_use]
pub fn quoted(word: &str) -> String {
    // Not `~`: a shell makes a directory of it.
    let is_plain = |character: char| character.is_alphanumeric() || "/._-+:@%=,".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", escape(word).replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_a_shell_would_take_them_apart() {
        let cases = [
            ("target/release/mcplog", "target/release/mcplog"),
            ("./größe", "./größe"),
            ("/tmp/my demo", "'/tmp/my demo'"),
            ("it's", r"'it'\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("~", "'~'"),
            ("", "''"),
            ("a\u{1b}[2J\n", r"'a\u{1b}[2J\n'"),
        ];
        for (word, expected) in cases {
            assert_eq!(quoted(word), expected);
        }
    }
}
