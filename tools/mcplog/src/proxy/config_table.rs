//! A table of a TOML file, read key by key: every error names the file, the line and the key, and says what is expected.
//!
//! Pure. Values are shown in errors only where they are durations, sizes and the like, since others may be secrets.

use super::config_limits::UNLIMITED;
use mcplog_terminal::{duration, size};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How alike a key must be to one that exists for that one to be suggested, from 0 to 1.
const ALIKE: f64 = 0.7;
/// The keys of each kind of table, by the table's name as files write it; `""` is the file itself.
pub(super) const KEYS: [(&str, &[&str]); 4] = [
    (
        "",
        &[
            "listen",
            "drain",
            "head_timeout",
            "body_timeout",
            "idle_timeout",
            "max_connections",
            "log_level",
            "log_format",
            "access_log",
            "admin",
            "store",
            "upstream",
        ],
    ),
    (
        "[[upstream]]",
        &["name", "url", "route", "timeout", "connect_timeout", "rewrite_host", "ca_file", "no_error_text"],
    ),
    ("[admin]", &["listen"]),
    (
        "[store]",
        &[
            "dir",
            "require_recording",
            "keep",
            "max_size",
            "min_free",
            "session_idle",
            "sync",
            "sync_interval",
            "segment_size",
            "segment_age",
            "keep_segments_size",
            "keep_segments_age",
            "max_log_size",
            "channel_events",
            "shutdown_timeout",
        ],
    ),
];

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {problem}", path.display())]
pub(crate) struct ConfigFileError {
    path: PathBuf,
    /// The first line is 1.
    line: usize,
    problem: String,
}

/// The file that a table stands in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'f> {
    pub(super) path: &'f Path,
    pub(super) text: &'f str,
}

impl Origin<'_> {
    /// Something is wrong at that byte.
    pub(super) fn error(&self, at: usize, problem: impl Into<String>) -> ConfigFileError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        ConfigFileError { path: self.path.to_owned(), line, problem: problem.into() }
    }
}

/// A table whose keys are taken out one by one.
#[derive(Debug)]
pub(super) struct Table<'f> {
    origin: Origin<'f>,
    /// As in [`KEYS`].
    name: &'static str,
    /// Where the table begins.
    at: usize,
    left: DeTable<'f>,
}

/// A value, and where it stands.
#[derive(Debug)]
struct Found<'f> {
    key: &'static str,
    at: usize,
    value: DeValue<'f>,
}

impl<'f> Table<'f> {
    /// The whole file.
    pub(super) fn of_file(origin: Origin<'f>) -> Result<Self, ConfigFileError> {
        let syntax = |error: toml::de::Error| {
            origin.error(error.span().map_or(0, |span| span.start), error.message().replace('\n', ", "))
        };
        let root = DeTable::parse(origin.text).map_err(syntax)?;
        Ok(Self { origin, name: "", at: 0, left: root.into_inner() })
    }

    fn of_value(&self, name: &'static str, found: Found<'f>) -> Result<Self, ConfigFileError> {
        match found.value {
            DeValue::Table(left) => Ok(Self { origin: self.origin, name, at: found.at, left }),
            other => Err(self.expected(found.key, found.at, &format!("a table: {name}"), other.type_str())),
        }
    }

    /// The table of that name; an empty one where the file has none.
    pub(super) fn table(&mut self, key: &'static str, name: &'static str) -> Result<Self, ConfigFileError> {
        match self.take(key) {
            Some(found) => self.of_value(name, found),
            None => Ok(Self { origin: self.origin, name, at: self.at, left: DeTable::new() }),
        }
    }

    /// The tables of that name.
    pub(super) fn tables(&mut self, key: &'static str, name: &'static str) -> Result<Vec<Self>, ConfigFileError> {
        let Some(found) = self.take(key) else { return Ok(Vec::new()) };
        match found.value {
            DeValue::Array(tables) => tables
                .into_iter()
                .map(|table| {
                    let at = table.span().start;
                    self.of_value(name, Found { key, at, value: table.into_inner() })
                })
                .collect(),
            other => {
                Err(self.expected(key, found.at, &format!("tables: {name}, in double brackets"), other.type_str()))
            }
        }
    }

    /// Text of any kind; it is not shown in errors.
    pub(super) fn text(&mut self, key: &'static str, expected: &str) -> Result<Option<String>, ConfigFileError> {
        let Some(found) = self.take(key) else { return Ok(None) };
        match found.value {
            DeValue::String(text) if !text.trim().is_empty() => Ok(Some(text.into_owned())),
            DeValue::String(_) => Err(self.expected(key, found.at, expected, "an empty text")),
            other => Err(self.expected(key, found.at, expected, other.type_str())),
        }
    }

    /// Text that `parse` accepts or says what it expects.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigFileError> {
        let Some(found) = self.take(key) else { return Ok(None) };
        let text = found.value.as_str().unwrap_or_default();
        let expected =
            |expected: String| self.problem(key, found.at, &format!("{expected}, found {}", described(&found.value)));
        parse(text).map(Some).map_err(expected)
    }

    /// A path. What is relative is so to the file's own directory, wherever the process was started.
    pub(super) fn path(&mut self, key: &'static str) -> Result<Option<PathBuf>, ConfigFileError> {
        let text = self.text(key, "a path")?;
        let here = self.origin.path.parent().unwrap_or(Path::new(""));
        // Collected from its parts, so that `./` goes.
        Ok(text.map(|text| here.join(text).components().collect()))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str) -> Result<Option<bool>, ConfigFileError> {
        let Some(found) = self.take(key) else { return Ok(None) };
        match found.value {
            DeValue::Boolean(value) => Ok(Some(value)),
            other => Err(self.expected(key, found.at, "true or false", other.type_str())),
        }
    }

    /// One of several words.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, ConfigFileError> {
        let Some(found) = self.take(key) else { return Ok(None) };
        let names: Vec<String> = words.iter().map(|(name, _)| format!("{name:?}")).collect();
        let expected = format!("one of {}", names.join(", "));
        let DeValue::String(text) = &found.value else {
            return Err(self.expected(key, found.at, &expected, found.value.type_str()));
        };
        match words.iter().find(|(name, _)| name == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => Err(self.expected(key, found.at, &expected, &shown(text))),
        }
    }

    /// A whole number.
    pub(super) fn count(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ConfigFileError> {
        let Some(found) = self.take(key) else { return Ok(None) };
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        match integer(&found.value) {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(self.expected(key, found.at, &expected, &described(&found.value))),
        }
    }

    /// A duration, as text with its unit.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Result<Option<Duration>, ConfigFileError> {
        let Some(found) = self.take(key) else { return Ok(None) };
        self.read_duration(&found, &range).map(Some)
    }

    /// A duration, or the word that stands for none.
    pub(super) fn duration_or(
        &mut self,
        key: &'static str,
        word: &str,
        range: RangeInclusive<Duration>,
    ) -> Result<Option<Option<Duration>>, ConfigFileError> {
        let Some(found) = self.take(key) else { return Ok(None) };
        if found.value.as_str() == Some(word) {
            return Ok(Some(None));
        }
        self.read_duration(&found, &range).map(|duration| Some(Some(duration)))
    }

    /// A size, as text with its unit or as a number of bytes; a multiple of `of`.
    pub(super) fn size(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        of: u64,
    ) -> Result<Option<u64>, ConfigFileError> {
        let Some(found) = self.take(key) else { return Ok(None) };
        let bytes = self.read_size(&found, &range)?;
        if !bytes.is_multiple_of(of) {
            let expected = format!("a multiple of {}", size::format(of));
            return Err(self.expected(key, found.at, &expected, &described(&found.value)));
        }
        Ok(Some(bytes))
    }

    /// A size, or `"unlimited"`.
    pub(super) fn size_limit(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<Option<u64>>, ConfigFileError> {
        let Some(found) = self.take(key) else { return Ok(None) };
        if found.value.as_str() == Some(UNLIMITED) {
            return Ok(Some(None));
        }
        self.read_size(&found, &range).map(|bytes| Some(Some(bytes)))
    }

    /// A duration, or `"unlimited"`.
    pub(super) fn duration_limit(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Result<Option<Option<Duration>>, ConfigFileError> {
        self.duration_or(key, UNLIMITED, range)
    }

    /// Something that the table says does not go.
    pub(super) fn refuse(&self, problem: impl Into<String>) -> ConfigFileError {
        self.origin.error(self.at, problem)
    }

    /// Refuses a key that is known, but not served yet.
    pub(super) fn refuse_key(&mut self, key: &'static str, problem: &str) -> Result<(), ConfigFileError> {
        match self.take(key) {
            Some(found) => Err(self.origin.error(found.at, format!("{}: {problem}", self.full(key)))),
            None => Ok(()),
        }
    }

    /// All that is known was taken: what is left is refused, since a setting that is silently ignored is worse than an
    /// error.
    pub(super) fn finish(self) -> Result<(), ConfigFileError> {
        let Some((key, _)) = self.left.iter().min_by_key(|(key, _)| key.span().start) else { return Ok(()) };
        let problem = format!("no such key: {}{}", shown(key.get_ref()), self.hint(key.get_ref()));
        Err(self.origin.error(key.span().start, problem))
    }

    /// What may have been meant: a key of another table, or one that is spelled nearly so.
    fn hint(&self, unknown: &str) -> String {
        let here = KEYS.iter().find(|(name, _)| *name == self.name).map_or(&[][..], |(_, keys)| keys);
        let likeness = |key: &&&str| strsim::jaro_winkler(unknown, key);
        let nearest =
            here.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|key| likeness(key) > ALIKE);
        let elsewhere = KEYS.iter().filter(|(name, keys)| *name != self.name && keys.contains(&unknown));
        let elsewhere: Vec<&str> =
            elsewhere.map(|(name, _)| if name.is_empty() { "the beginning of the file" } else { name }).collect();
        match (elsewhere.is_empty(), nearest) {
            (false, _) => format!("; it belongs to {}", elsewhere.join(" or ")),
            (true, Some(nearest)) => format!("; did you mean {nearest}?"),
            (true, None) => format!("; expected one of {}", here.join(", ")),
        }
    }

    fn read_duration(&self, found: &Found<'_>, range: &RangeInclusive<Duration>) -> Result<Duration, ConfigFileError> {
        let DeValue::String(text) = &found.value else {
            let expected = duration::SPELLING;
            return Err(self.expected(found.key, found.at, expected, &described(&found.value)));
        };
        duration::parse_within(text, *range.start(), *range.end())
            .map_err(|expected| self.problem(found.key, found.at, &format!("{expected}, found {}", shown(text))))
    }

    fn read_size(&self, found: &Found<'_>, range: &RangeInclusive<u64>) -> Result<u64, ConfigFileError> {
        let read = match &found.value {
            DeValue::String(text) => size::parse_within(text, *range.start(), *range.end()),
            DeValue::Integer(_) => match integer(&found.value).filter(|bytes| range.contains(bytes)) {
                Some(bytes) => Ok(bytes),
                None => Err(size::expected_within(*range.start(), *range.end())),
            },
            _ => Err(format!("expected {}", size::SPELLING)),
        };
        let found_value = || described(&found.value);
        read.map_err(|expected| self.problem(found.key, found.at, &format!("{expected}, found {}", found_value())))
    }

    fn take(&mut self, key: &'static str) -> Option<Found<'f>> {
        debug_assert!(KEYS.iter().any(|(name, keys)| *name == self.name && keys.contains(&key)), "{key} is not listed");
        let (key_found, value) = self.left.remove_entry(key)?;
        let at = key_found.span().start;
        Some(Found { key, at, value: Spanned::into_inner(value) })
    }

    fn expected(&self, key: &str, at: usize, expected: &str, found: &str) -> ConfigFileError {
        self.problem(key, at, &format!("expected {expected}, found {found}"))
    }

    fn problem(&self, key: &str, at: usize, problem: &str) -> ConfigFileError {
        self.origin.error(at, format!("{}: {problem}", self.full(key)))
    }

    /// The key with its table.
    fn full(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{} {key}", self.name) }
    }
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A value as errors show it.
fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => shown(text),
        DeValue::Integer(integer) => integer.to_string(),
        other => other.type_str().to_owned(),
    }
}

/// Text in quotes, and no more of it than tells what was meant.
fn shown(text: &str) -> String {
    format!("{:?}", mcplog_terminal::text::beginning(text, 40))
}
