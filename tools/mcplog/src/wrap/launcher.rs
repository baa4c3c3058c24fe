//! A program that starts another one: how its command line is read.
//!
//! Pure. An option that is not listed takes no value.

/// What a launcher starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Starts {
    /// The command behind its options, or the one that an option is.
    Command,
    /// The command behind `--`.
    BehindDashes,
    /// The command that an option is, or a script.
    Shell,
    /// A package of a registry.
    Package,
    /// A script, or the module that an option names.
    Script,
    /// A command or a script of a project, in the directory that an option names.
    Project,
    /// A container's image, and perhaps a command in it.
    Image,
}

/// A program that starts another one.
#[derive(Debug)]
pub(super) struct Launcher {
    called: &'static [&'static str],
    /// Words that must come first, any of these rows of them; none where there is no such row.
    verbs: &'static [&'static [&'static str]],
    pub(super) starts: Starts,
    /// Options that name what is started, or where it is.
    named_by: &'static [&'static str],
    /// Other options that take a value.
    values: &'static [&'static str],
    /// Options that take none, where all others do.
    flags: Option<&'static [&'static str]>,
    /// Options whose value is the program itself, so that it has no name.
    inline: &'static [&'static str],
    /// How many words come before what is started.
    skipped: usize,
    /// What comes behind its options is the server's.
    is_last: bool,
}

/// What a launcher was called with.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The value of the option that names what is started.
    pub(super) named: Option<String>,
    /// What comes behind the launcher's own options.
    pub(super) rest: &'a [String],
}

/// Whether that sets a variable for the command behind it.
pub(super) fn is_setting(word: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
    };
    word.split_once('=').is_some_and(|(name, _)| is_name(name))
}

impl Launcher {
    pub(super) const fn of(called: &'static [&'static str], starts: Starts) -> Self {
        Self {
            called,
            verbs: &[&[]],
            starts,
            named_by: &[],
            values: &[],
            flags: None,
            inline: &[],
            skipped: 0,
            is_last: false,
        }
    }

    pub(super) const fn verbs(mut self, verbs: &'static [&'static [&'static str]]) -> Self {
        self.verbs = verbs;
        self
    }

    pub(super) const fn named_by(mut self, options: &'static [&'static str]) -> Self {
        self.named_by = options;
        self
    }

    pub(super) const fn values(mut self, options: &'static [&'static str]) -> Self {
        self.values = options;
        self
    }

    pub(super) const fn flags(mut self, options: &'static [&'static str]) -> Self {
        self.flags = Some(options);
        self
    }

    pub(super) const fn inline(mut self, options: &'static [&'static str]) -> Self {
        self.inline = options;
        self
    }

    pub(super) const fn last(mut self) -> Self {
        self.is_last = true;
        self
    }

    pub(super) const fn skipping(mut self, words: usize) -> Self {
        self.skipped = words;
        self
    }

    /// By its name, also with a version behind it: `python3.12`.
    pub(super) fn is_called(&self, program: &str) -> bool {
        let bare = program.trim_end_matches(|character: char| character.is_ascii_digit() || character == '.');
        self.called.iter().any(|called| called.eq_ignore_ascii_case(program) || called.eq_ignore_ascii_case(bare))
    }

    pub(super) fn read<'a>(&self, arguments: &'a [String]) -> Option<Call<'a>> {
        if self.starts == Starts::BehindDashes {
            let at = arguments.iter().position(|argument| argument == "--")?;
            return Some(Call { named: None, rest: &arguments[at + 1..] });
        }
        self.verbs.iter().find_map(|verbs| self.read_behind(verbs, arguments))
    }

    fn read_behind<'a>(&self, verbs: &[&str], arguments: &'a [String]) -> Option<Call<'a>> {
        let (mut verbs, mut skipped, mut named) = (verbs.iter(), self.skipped, None);
        let mut at = 0;
        while let Some(argument) = arguments.get(at) {
            at += 1;
            if argument == "--" {
                let rest = if self.is_last { &[] } else { &arguments[at..] };
                return verbs.next().is_none().then_some(Call { named, rest });
            }
            if argument.len() > 1 && argument.starts_with('-') {
                let (option, value) = match argument.split_once('=') {
                    Some((option, value)) => (option, Some(value.to_owned())),
                    None => (argument.as_str(), None),
                };
                if self.inline.contains(&option) {
                    return None;
                }
                let value = value.or_else(|| {
                    let takes_next = self.takes_value(option);
                    at += usize::from(takes_next);
                    arguments.get(at - 1).filter(|_| takes_next).cloned()
                });
                if self.names(option) && named.is_none() {
                    named = value;
                }
            } else if let Some(verb) = verbs.next() {
                if argument != verb {
                    return None;
                }
            } else if skipped > 0 {
                skipped -= 1;
            } else if self.is_last {
                break;
            } else if !(self.starts == Starts::Command && is_setting(argument)) {
                return Some(Call { named, rest: &arguments[at - 1..] });
            }
        }
        verbs.next().is_none().then_some(Call { named, rest: &[] })
    }

    /// Whether the option names what is started. Shells take several short options in one word: `-lc`.
    fn names(&self, option: &str) -> bool {
        let is_cluster = self.starts == Starts::Shell && !option.starts_with("--") && option.len() <= 4;
        self.named_by.contains(&option) || is_cluster && option.ends_with('c')
    }

    fn takes_value(&self, option: &str) -> bool {
        match self.flags {
            // Short options without a value come in one word, and those are of the terminal.
            Some(flags) => !flags.contains(&option) && !option[1..].chars().all(|short| "dipqtPD".contains(short)),
            None => self.names(option) || self.values.contains(&option),
        }
    }
}
