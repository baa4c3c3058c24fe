//! Programs that start another one: which of their options take a value, and what comes behind these.
//!
//! Pure data, and its reading. An option that is not listed takes no value.

use super::package_name::file_name;

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

const NODE_MANAGER: [&str; 11] = [
    "--prefix",
    "--registry",
    "--cache",
    "--userconfig",
    "-w",
    "--workspace",
    "-c",
    "--call",
    "--loglevel",
    "--node-options",
    "--filter",
];
const UV: [&str; 32] = [
    "--with",
    "--with-editable",
    "--with-requirements",
    "-w",
    "-p",
    "--python",
    "--index",
    "--index-url",
    "-i",
    "--default-index",
    "--extra-index-url",
    "--find-links",
    "-f",
    "--cache-dir",
    "--env-file",
    "--config-file",
    "--constraints",
    "-c",
    "--overrides",
    "--build-constraints",
    "-b",
    "--extra",
    "--group",
    "--only-group",
    "--no-group",
    "--package",
    "--link-mode",
    "--color",
    "--refresh-package",
    "-P",
    "--upgrade-package",
    "--allow-insecure-host",
];
const UV_PLACES: [&str; 2] = ["--directory", "--project"];
const CONTAINER_FLAGS: [&str; 18] = [
    "--debug",
    "--detach",
    "--disable-content-trust",
    "--help",
    "--init",
    "--interactive",
    "--no-healthcheck",
    "--oom-kill-disable",
    "--privileged",
    "--publish-all",
    "--quiet",
    "--read-only",
    "--replace",
    "--rm",
    "--sig-proxy",
    "--tls",
    "--tty",
    "--use-aliases",
];

/// All that are known. Of those with one name, the first that fits counts.
const LAUNCHERS: [Launcher; 52] = [
    Launcher::of(&["env"], Starts::Command)
        .named_by(&["-S", "--split-string"])
        .values(&["-u", "--unset", "-C", "--chdir"]),
    Launcher::of(&["sudo", "doas"], Starts::Command).values(&[
        "-u", "--user", "-g", "--group", "-h", "--host", "-p", "--prompt", "-C", "-r", "-t", "-T", "-D", "-R", "-U",
    ]),
    Launcher::of(&["nice", "ionice"], Starts::Command).values(&["-n", "--adjustment", "-c", "--class", "-p"]),
    Launcher::of(&["timeout", "gtimeout"], Starts::Command)
        .values(&["-s", "--signal", "-k", "--kill-after"])
        .skipping(1),
    Launcher::of(&["stdbuf"], Starts::Command).values(&["-i", "--input", "-o", "--output", "-e", "--error"]),
    Launcher::of(
        &["nohup", "setsid", "time", "exec", "command", "caffeinate", "unbuffer", "arch", "winpty"],
        Starts::Command,
    ),
    Launcher::of(&["xvfb-run"], Starts::Command).values(&["-n", "-s", "-e", "-f", "-w", "-p"]),
    Launcher::of(&["cmd"], Starts::Command).verbs(&[
        &["/c"],
        &["/C"],
        &["/k"],
        &["/s", "/c"],
        &["/d", "/c"],
        &["/d", "/s", "/c"],
        &["/q", "/c"],
        &["/S", "/C"],
    ]),
    Launcher::of(&["wsl"], Starts::Command).values(&["-d", "--distribution", "-u", "--user", "--cd", "--shell-type"]),
    Launcher::of(&["ssh"], Starts::Command)
        .values(&[
            "-b", "-c", "-D", "-E", "-e", "-F", "-I", "-i", "-J", "-L", "-l", "-m", "-O", "-o", "-p", "-R", "-S", "-W",
            "-w",
        ])
        .skipping(1),
    Launcher::of(&["mcplog"], Starts::Command)
        .verbs(&[&["wrap"]])
        .values(&["--name", "-d", "--dir", "--grace", "--color"]),
    Launcher::of(&["direnv"], Starts::Command).verbs(&[&["exec"]]).skipping(1),
    Launcher::of(&["bundle", "gem"], Starts::Command).verbs(&[&["exec"]]),
    Launcher::of(
        &[
            "op",
            "doppler",
            "infisical",
            "mise",
            "asdf",
            "aws-vault",
            "chamber",
            "dotenvx",
            "dotenv",
            "fnm",
            "volta",
            "bws",
            "varlock",
        ],
        Starts::BehindDashes,
    ),
    Launcher::of(&["sh", "bash", "zsh", "dash", "ash", "ksh", "fish", "busybox"], Starts::Shell)
        .named_by(&["-c", "--command"])
        .values(&["-o", "-O", "--rcfile", "--init-file"]),
    Launcher::of(&["powershell", "pwsh"], Starts::Shell).named_by(&["-Command", "-command", "-c", "-C"]).values(&[
        "-ExecutionPolicy",
        "-ep",
        "-WorkingDirectory",
        "-WindowStyle",
    ]),
    Launcher::of(&["npx", "pnpx", "bunx"], Starts::Package).named_by(&["-p", "--package"]).values(&NODE_MANAGER),
    Launcher::of(&["npm"], Starts::Package)
        .verbs(&[&["exec"], &["x"]])
        .named_by(&["-p", "--package"])
        .values(&NODE_MANAGER),
    Launcher::of(&["pnpm"], Starts::Package).verbs(&[&["dlx"], &["x"]]).named_by(&["--package"]).values(&[
        "-C",
        "--dir",
        "--filter",
        "--registry",
        "-c",
    ]),
    Launcher::of(&["yarn"], Starts::Package).verbs(&[&["dlx"]]).named_by(&["-p", "--package"]).values(&["--cwd"]),
    Launcher::of(&["bun"], Starts::Package).verbs(&[&["x"]]).named_by(&["-p", "--package"]),
    Launcher::of(&["uvx"], Starts::Package).named_by(&["--from"]).values(&UV),
    Launcher::of(&["uv"], Starts::Package).verbs(&[&["tool", "run"], &["x"]]).named_by(&["--from"]).values(&UV),
    Launcher::of(&["pipx"], Starts::Package).verbs(&[&["run"]]).named_by(&["--spec"]).values(&[
        "--python",
        "--pip-args",
        "-i",
        "--index-url",
        "--fetch-missing-python",
    ]),
    Launcher::of(&["dnx"], Starts::Package).values(&["--version", "--source", "--add-source", "--configfile"]),
    Launcher::of(&["dotnet"], Starts::Package).verbs(&[&["tool", "run"], &["tool", "exec"], &["tool", "execute"]]),
    Launcher::of(&["go"], Starts::Package).verbs(&[&["run"]]).values(&["-C", "-exec", "-tags", "-ldflags", "-mod"]),
    Launcher::of(&["nix"], Starts::Package)
        .verbs(&[&["run"]])
        .values(&["--extra-experimental-features", "--inputs-from"]),
    Launcher::of(&["uv"], Starts::Project).verbs(&[&["run"]]).named_by(&UV_PLACES).values(&UV),
    Launcher::of(&["npm"], Starts::Project)
        .verbs(&[&["run"], &["run-script"]])
        .named_by(&["--prefix", "-C"])
        .values(&NODE_MANAGER),
    Launcher::of(&["pnpm"], Starts::Project)
        .verbs(&[&["run"], &["exec"]])
        .named_by(&["-C", "--dir"])
        .values(&["--filter"]),
    Launcher::of(&["yarn"], Starts::Project).verbs(&[&["run"], &["exec"], &["workspace"]]).named_by(&["--cwd"]),
    Launcher::of(&["bun"], Starts::Project).verbs(&[&["run"]]).named_by(&["--cwd"]).values(&[
        "-r",
        "--preload",
        "--env-file",
    ]),
    Launcher::of(&["npm", "pnpm", "yarn"], Starts::Project)
        .verbs(&[&["start"]])
        .named_by(&["--prefix", "-C", "--dir", "--cwd"])
        .last(),
    Launcher::of(&["poetry"], Starts::Project).verbs(&[&["run"]]).named_by(&["-C", "--directory", "-P", "--project"]),
    Launcher::of(&["pdm", "rye"], Starts::Project).verbs(&[&["run"]]).named_by(&["-p", "--project", "--pyproject"]),
    Launcher::of(&["hatch", "pipenv"], Starts::Project).verbs(&[&["run"]]).values(&["-e", "--env"]),
    Launcher::of(&["conda", "mamba", "micromamba"], Starts::Project)
        .verbs(&[&["run"]])
        .named_by(&["--cwd"])
        .values(&["-n", "--name", "-p", "--prefix"]),
    Launcher::of(&["cargo"], Starts::Project)
        .verbs(&[&["run"]])
        .named_by(&["-p", "--package", "--bin", "--example", "--manifest-path"])
        .values(&["-F", "--features", "--profile", "--target", "--target-dir", "-j"])
        .last(),
    Launcher::of(&["dotnet"], Starts::Project)
        .verbs(&[&["run"]])
        .named_by(&["--project", "-p"])
        .values(&["-c", "--configuration", "-f", "--framework", "--launch-profile", "-v"])
        .last(),
    Launcher::of(&["mcp", "fastmcp"], Starts::Script).verbs(&[&["run"], &["dev"]]).values(&[
        "-t",
        "--transport",
        "--host",
        "--port",
        "-p",
        "-l",
        "--log-level",
        "--with",
        "--with-editable",
        "-e",
        "-f",
    ]),
    Launcher::of(&["node", "nodejs", "electron"], Starts::Script)
        .values(&["-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions"])
        .inline(&["-e", "--eval", "-p", "--print"]),
    Launcher::of(&["tsx", "ts-node", "ts-node-esm", "nodemon"], Starts::Script).verbs(&[&["watch"]]).values(&[
        "--tsconfig",
        "-P",
        "--project",
        "-r",
        "--require",
        "--import",
    ]),
    Launcher::of(&["tsx", "ts-node", "ts-node-esm", "nodemon"], Starts::Script)
        .values(&["--tsconfig", "-P", "--project", "-r", "--require", "--import", "--exec", "-w"])
        .inline(&["-e", "--eval"]),
    Launcher::of(&["deno"], Starts::Script).verbs(&[&["run"], &["serve"], &["task"]]).values(&[
        "-c",
        "--config",
        "--import-map",
        "--cwd",
        "--cert",
        "--preload",
    ]),
    Launcher::of(&["bun"], Starts::Script)
        .values(&["-r", "--preload", "--cwd", "--env-file"])
        .inline(&["-e", "--eval", "-p"]),
    Launcher::of(&["python", "py", "pypy", "pythonw"], Starts::Script)
        .named_by(&["-m"])
        .values(&["-W", "-X", "-Q"])
        .inline(&["-c"]),
    Launcher::of(&["ruby", "perl", "php", "lua", "Rscript", "groovy"], Starts::Script)
        .values(&["-I", "-r", "-d", "-l"])
        .inline(&["-e"]),
    Launcher::of(&["dotnet"], Starts::Script).verbs(&[&["exec"], &[]]).values(&[
        "--depsfile",
        "--runtimeconfig",
        "--roll-forward",
    ]),
    Launcher::of(&["java", "javaw", "jbang"], Starts::Script).named_by(&["-m", "--module"]).values(&[
        "-cp",
        "-classpath",
        "--class-path",
        "-p",
        "--module-path",
        "--add-modules",
        "--add-opens",
    ]),
    Launcher::of(&["docker", "podman", "nerdctl"], Starts::Image)
        .verbs(&[&["run"], &["container", "run"], &["compose", "run"]])
        .flags(&CONTAINER_FLAGS),
    Launcher::of(&["docker", "podman", "nerdctl"], Starts::Command)
        .verbs(&[&["exec"], &["container", "exec"], &["compose", "exec"]])
        .flags(&CONTAINER_FLAGS)
        .skipping(1),
];

/// Reads the call of a launcher: that, and what it was called with. `None`: it is none, or nobody knows what it starts.
pub(super) fn read<'a>(program: &str, arguments: &'a [String]) -> Option<(&'static Launcher, Call<'a>)> {
    let launchers = LAUNCHERS.iter().filter(|launcher| launcher.is_called(program));
    launchers.filter_map(|launcher| Some((launcher, launcher.read(arguments)?))).next()
}

/// Whether a program of that name starts others.
pub(super) fn is_launcher(program: &str) -> bool {
    LAUNCHERS.iter().any(|launcher| launcher.is_called(&file_name(program)))
}

/// Whether that sets a variable for the command behind it.
pub(super) fn is_setting(word: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
    };
    word.split_once('=').is_some_and(|(name, _)| is_name(name))
}

impl Launcher {
    const fn of(called: &'static [&'static str], starts: Starts) -> Self {
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

    const fn verbs(mut self, verbs: &'static [&'static [&'static str]]) -> Self {
        self.verbs = verbs;
        self
    }

    const fn named_by(mut self, options: &'static [&'static str]) -> Self {
        self.named_by = options;
        self
    }

    const fn values(mut self, options: &'static [&'static str]) -> Self {
        self.values = options;
        self
    }

    const fn flags(mut self, options: &'static [&'static str]) -> Self {
        self.flags = Some(options);
        self
    }

    const fn inline(mut self, options: &'static [&'static str]) -> Self {
        self.inline = options;
        self
    }

    const fn last(mut self) -> Self {
        self.is_last = true;
        self
    }

    const fn skipping(mut self, words: usize) -> Self {
        self.skipped = words;
        self
    }

    /// By its name, also with a version behind it: `python3.12`.
    fn is_called(&self, program: &str) -> bool {
        let bare = program.trim_end_matches(|character: char| character.is_ascii_digit() || character == '.');
        self.called.iter().any(|called| called.eq_ignore_ascii_case(program) || called.eq_ignore_ascii_case(bare))
    }

    fn read<'a>(&self, arguments: &'a [String]) -> Option<Call<'a>> {
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
