//! A server's command with `mcplog wrap` before it, and how one is recognised and taken off again.
//!
//! Pure. Recognition must not depend on the path or the version of the mcplog that wrapped, nor on a state file: entries
//! travel in dotfiles and repositories.

use std::path::Path;

/// The subcommand that stands before the server's own command.
const SUBCOMMAND: &str = "wrap";
/// What stands between the options of `wrap` and the server's own command.
const SEPARATOR: &str = "--";

/// What is put before commands: the program, and what it is told besides the server's name.
#[derive(Clone, Debug)]
pub(super) struct Wrapper {
    /// The absolute path of this program: clients start commands with a PATH of their own.
    pub(super) program: String,
    /// The directory of the store, where the server's process would not find it by itself.
    pub(super) dir: Option<String>,
}

impl Wrapper {
    /// The arguments before the command of the server with that name, the command itself among them.
    pub(super) fn arguments(&self, server: &str, command: &str) -> Vec<String> {
        let mut arguments = vec![SUBCOMMAND.to_owned()];
        if let Some(dir) = &self.dir {
            arguments.extend(["--dir".to_owned(), dir.clone()]);
        }
        if server.starts_with('-') {
            // As a word of its own it would be taken for an option.
            arguments.push(format!("--name={server}"));
        } else {
            arguments.extend(["--name".to_owned(), server.to_owned()]);
        }
        arguments.extend([SEPARATOR.to_owned(), command.to_owned()]);
        arguments
    }
}

/// A wrapped command, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrapped<'a> {
    /// How many arguments stand before the server's own: the options, `--`, and the command.
    pub(super) before: usize,
    /// The server's own command.
    pub(super) command: &'a str,
    /// The name that it is recorded under, if it says one.
    pub(super) name: Option<&'a str>,
    /// The directory of the store, if it says one.
    pub(super) dir: Option<&'a str>,
}

/// Whether `command` and `arguments` are `mcplog wrap`, of whichever mcplog: its file name, the first argument, and a `--`.
pub(super) fn is_wrapped(command: &str, arguments: &[String]) -> bool {
    is_mcplog(command)
        && arguments.first().is_some_and(|first| first == SUBCOMMAND)
        && arguments.iter().any(|argument| argument == SEPARATOR)
}

/// What is wrapped, if [`is_wrapped`] and there is anything behind the `--`.
pub(super) fn unwrapped<'a>(command: &str, arguments: &'a [String]) -> Option<Wrapped<'a>> {
    if !is_wrapped(command, arguments) {
        return None;
    }
    let separator = separator_of(arguments)?;
    let options = &arguments[1..separator];
    Some(Wrapped {
        before: separator + 2,
        command: arguments.get(separator + 1)?,
        name: option(options, "--name"),
        dir: option(options, "--dir").or_else(|| option(options, "-d")),
    })
}

/// Where the options of `wrap` end. A `--` that is the value of an option does not end them.
fn separator_of(arguments: &[String]) -> Option<usize> {
    let is_value = |index: usize| matches!(arguments[index - 1].as_str(), "--name" | "--dir" | "-d");
    (1..arguments.len()).find(|index| arguments[*index] == SEPARATOR && !is_value(*index))
}

/// The value of an option, as the word behind it or behind its equals sign.
fn option<'a>(options: &'a [String], name: &str) -> Option<&'a str> {
    let beside = |option: &'a String| option.strip_prefix(name)?.strip_prefix('=');
    options.iter().enumerate().find_map(|(index, option)| {
        if option == name { options.get(index + 1).map(String::as_str) } else { beside(option) }
    })
}

fn is_mcplog(command: &str) -> bool {
    // Windows' separator too: the file may come from there.
    let name = command.rsplit(['/', '\\']).next().unwrap_or(command);
    Path::new(name).file_name().is_some_and(|name| name == "mcplog" || name == "mcplog.exe")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_wrapped_command_is_recognised_wherever_its_mcplog_lies_and_whatever_it_is_told() {
        let wrapped = [
            ("mcplog", "wrap -- npx"),
            ("/usr/local/bin/mcplog", "wrap --name files -- npx -y files"),
            ("/opt/mcplog-0.1/bin/mcplog", "wrap --quiet --later-option x -- npx"),
            (r"C:\Program Files\mcplog\mcplog.exe", "wrap --name=x -- node"),
        ];
        for (command, arguments) in wrapped {
            assert!(is_wrapped(command, &words(arguments)), "{command} {arguments}");
        }
        let others = [
            ("npx", "wrap -- npx"),
            ("mcplog", "proxy -- npx"),
            ("mcplog", "wrap npx"),
            ("mcplog", ""),
            ("/opt/mcplog/server", "wrap -- npx"),
            ("not-mcplog", "wrap -- npx"),
            ("mcplog-wrapper", "wrap -- npx"),
        ];
        for (command, arguments) in others {
            assert!(!is_wrapped(command, &words(arguments)), "{command} {arguments}");
        }
    }

    #[test]
    fn a_command_behind_nothing_is_none() {
        assert_eq!(unwrapped("mcplog", &words("wrap --name x --")), None);
    }

    #[test]
    fn the_first_separator_ends_the_options_and_the_servers_own_stays() {
        let arguments = words("wrap --dir /d --name=n -- sh -c -- x");
        let wrapped = unwrapped("/bin/mcplog", &arguments).unwrap();
        assert_eq!((wrapped.before, wrapped.command, wrapped.name, wrapped.dir), (6, "sh", Some("n"), Some("/d")));
    }

    proptest! {
        #[test]
        fn what_was_wrapped_is_recognised_and_unwrapped(
            name in "[-a-z ]{1,6}|--", command in "[-a-z/ $\\{}]{0,8}", rest in prop::collection::vec("[-a-z]{0,5}", 0..5),
            dir in prop::option::of("/[-a-z ]{0,5}"),
        ) {
            let wrapper = Wrapper { program: "/usr/bin/mcplog".to_owned(), dir: dir.clone() };
            let mut arguments = wrapper.arguments(&name, &command);
            arguments.extend(rest.iter().cloned());
            let wrapped = unwrapped(&wrapper.program, &arguments).unwrap();
            prop_assert_eq!(wrapped.command, &command);
            prop_assert_eq!(wrapped.name, Some(name.as_str()));
            prop_assert_eq!(wrapped.dir, dir.as_deref());
            prop_assert_eq!(&arguments[wrapped.before..], &rest[..]);
        }
    }
}
