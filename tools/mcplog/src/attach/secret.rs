//! Which words of a command may be secrets: they are not shown in a diff.
//!
//! Pure. It goes by the options that well-known servers take; a word too many is no harm.

/// Options whose value is one, or holds one.
const OPTIONS: [&str; 5] = ["--header", "-H", "--env", "-e", "--auth"];
/// What names of options or values have in them that stand for a secret.
const MARKS: [&str; 7] = ["token", "secret", "password", "passwd", "credential", "api-key", "apikey"];

/// For each word of a command whether it may be a secret.
pub(super) fn secret_words(words: &[String]) -> Vec<bool> {
    let mut is_value = false;
    let is_secret = |word: &String| {
        let was_value = std::mem::replace(&mut is_value, false);
        if OPTIONS.contains(&word.as_str()) || (word.starts_with('-') && is_marked(word) && !word.contains('=')) {
            is_value = true;
            return false;
        }
        // A variable's name alone, as behind `docker run -e`, is none, but nothing is lost with it.
        was_value || may_be_secret(word)
    };
    words.iter().map(is_secret).collect()
}

/// Whether a word may be a secret by itself: an address that says who asks, a header, an option with its value.
pub(super) fn may_be_secret(word: &str) -> bool {
    let (name, has_value) = word.split_once('=').map_or((word, false), |(name, _)| (name, true));
    let lower = word.to_ascii_lowercase();
    (has_value && (is_marked(name) || name.ends_with("KEY") || name.ends_with("key")))
        || OPTIONS.iter().any(|option| name == *option && has_value)
        || lower.contains("authorization:")
        || lower.starts_with("bearer ")
        || lower.split_once("://").is_some_and(|(_, rest)| rest.contains(['@', '?']))
}

fn is_marked(name: &str) -> bool {
    let lower = name.to_ascii_lowercase().replace('_', "-");
    MARKS.iter().any(|mark| lower.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_like_a_secret_is_one_and_the_rest_of_a_command_is_shown() {
        let lines = [
            ("npx -y mcp-remote https://x.test/mcp --header *", "Authorization: Bearer abc"),
            ("docker run -i --rm -e * ghcr.io/github/server", "GITHUB_TOKEN=abc"),
            ("npx server --api-key *", "abc"),
            ("npx server * --verbose", "--access-token=abc"),
            ("env * npx server", "API_KEY=abc"),
            ("npx server-postgres *", "postgresql://u:abc@localhost/db"),
            ("npx mcp-remote *", "https://x.test/mcp?key=abc"),
            ("npx server * -y", "x-custom: authorization: abc"),
        ];
        for (line, secret) in lines {
            let words: Vec<_> =
                line.split(' ').map(|word| if word == "*" { secret } else { word }.to_owned()).collect();
            let expected: Vec<_> = line.split(' ').map(|word| word == "*").collect();
            assert_eq!(secret_words(&words), expected, "{line}");
        }
        let plain = "uv --directory /srv/a=b run server.py --port 3000 ${HOME}/x https://x.test/mcp ${TOKEN_FILE}";
        let words: Vec<_> = plain.split(' ').map(str::to_owned).collect();
        assert!(secret_words(&words).iter().all(|is_secret| !is_secret));
    }
}
