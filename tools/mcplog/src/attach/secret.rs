//! Which words of a command may be secrets: they are not shown in a diff.
//!
//! Pure. It goes by the options that well-known servers take; a word too many is no harm.

/// Options whose value is one, or holds one.
const OPTIONS: [&str; 5] = ["--header", "-H", "--env", "-e", "--auth"];
/// What names of options or values have in them that stand for a secret.
const MARKS: [&str; 7] = ["token", "secret", "password", "passwd", "credential", "api-key", "apikey"];

/// How tokens of well-known services begin, as these say themselves.
const PREFIXES: [&str; 17] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "sk-",
    "sk_",
    "rk_",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "AKIA",
    "AIza",
    "hf_",
    "eyJ",
];
/// A part of a word that is so long, and mixes letters and digits, is no word of a language: made at random, most likely.
const RANDOM_CHARS: usize = 20;

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
fn may_be_secret(word: &str) -> bool {
    let (name, has_value) = word.split_once('=').map_or((word, false), |(name, _)| (name, true));
    let lower = word.to_ascii_lowercase();
    (has_value && (is_marked(name) || name.ends_with("KEY") || name.ends_with("key")))
        || OPTIONS.iter().any(|option| name == *option && has_value)
        || lower.contains("authorization:")
        || lower.starts_with("bearer ")
        || lower.split_once("://").is_some_and(|(_, rest)| rest.contains(['@', '?']))
        || word.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c)).any(is_token)
}

/// Whether a part of a word reads like a token.
fn is_token(part: &str) -> bool {
    // `sk-` begins ordinary words, too; what follows has to be long, with a digit in it.
    let is_long = |rest: &str| rest.len() >= 10 && rest.contains(|c: char| c.is_ascii_digit());
    let is_known = PREFIXES.iter().any(|prefix| part.strip_prefix(prefix).is_some_and(is_long));
    let run = part.split(['-', '_']).max_by_key(|run| run.len()).unwrap_or_default();
    let has = |is: fn(&char) -> bool| run.chars().any(|c| is(&c));
    let is_random = run.len() >= RANDOM_CHARS && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic);
    is_known || is_random
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
            ("npx server *", "ghp_Ab3dEf6hIj9lMn"),
            ("npx server * x", "sk-ant-api03-abcdefgh"),
            ("npx server *", "xoxb-1234567890-abc"),
            ("npx server *", "AKIAIOSFODNN7EXAMPLE"),
            ("npx server *", "https://hooks.x.test/services/T01ABCDEFGHIJKLMNOPQ2"),
        ];
        for (line, secret) in lines {
            let words: Vec<_> =
                line.split(' ').map(|word| if word == "*" { secret } else { word }.to_owned()).collect();
            let expected: Vec<_> = line.split(' ').map(|word| word == "*").collect();
            assert_eq!(secret_words(&words), expected, "{line}");
        }
        let plain = "uv --directory /srv/a=b run server.py --port 3000 ${HOME}/x https://x.test/mcp ${TOKEN_FILE} \
                     @modelcontextprotocol/server-everything sk-learn-server task-1 ghcr.io/github/github-mcp-server:v1.2";
        let words: Vec<_> = plain.split(' ').map(str::to_owned).collect();
        assert!(secret_words(&words).iter().all(|is_secret| !is_secret));
    }
}
