//! Starting a victim, listening to it, and ending it.

use serde_json::Value;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// A victim to be started: a store's directory, and how to record into it.
#[derive(Clone, Debug)]
pub struct Victim {
    program: PathBuf,
    wrapper: Vec<OsString>,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

/// What a victim said.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// It opened the store.
    pub opened: bool,
    /// How many events of this run were in the map.
    pub appended: u64,
    /// How many events of this run were durable.
    pub acknowledged: u64,
    /// How many events of this run the store refused.
    pub refused: u64,
    /// Why waits ended without what was waited for.
    pub failures: Vec<String>,
    /// Every state of health that it noticed.
    pub healths: Vec<String>,
    /// What shutting down reported.
    pub report: Option<Value>,
}

/// A victim that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Said,
}

impl Victim {
    /// `program` is the `victim` that cargo built: `env!("CARGO_BIN_EXE_victim")` in a test.
    pub fn new(program: impl Into<PathBuf>, dir: &Path) -> Self {
        Self { program: program.into(), wrapper: Vec::new(), arguments: vec![dir.into()], environment: Vec::new() }
    }

    /// With more arguments; `victim --help` tells which there are.
    #[must_use]
    pub fn with<S: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Run by another program, such as `strace -f ...`, which gets the victim's command line behind its own.
    #[must_use]
    pub fn under<S: Into<OsString>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper.extend(wrapper.into_iter().map(Into::into));
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// The program, or what wraps it, can't be started.
    pub fn start(&self) -> Running {
        let mut line = self.wrapper.iter().chain([self.program.as_os_str().into()].iter()).cloned().collect::<Vec<_>>();
        line.extend(self.arguments.iter().cloned());
        let mut child = Command::new(&line[0])
            .args(&line[1..])
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("start {line:?}: {error}"));
        let Some(stdout) = child.stdout.take() else { panic!("standard output was piped") };
        Running { child, lines: BufReader::new(stdout).lines(), said: Said::default() }
    }

    /// Starts it and waits for its end.
    pub fn run(&self) -> (Said, ExitStatus) {
        self.start().finish()
    }
}

impl Running {
    /// What it said so far.
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// Its process id; the wrapper's, if it has one.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Listens until it has said enough; `false`: it ended before.
    pub fn listen_until(&mut self, enough: impl Fn(&Said) -> bool) -> bool {
        while !enough(&self.said) {
            if !self.hear() {
                return false;
            }
        }
        true
    }

    /// Kills it with SIGKILL, and listens to what it said before it died: that was true as well.
    ///
    /// # Panics
    /// The system refuses.
    pub fn kill(mut self) -> Said {
        if let Err(error) = self.child.kill() {
            panic!("kill the victim: {error}");
        }
        self.finish().0
    }

    /// Listens until it ends.
    ///
    /// # Panics
    /// The system refuses to tell how it ended.
    pub fn finish(mut self) -> (Said, ExitStatus) {
        while self.hear() {}
        match self.child.wait() {
            Ok(status) => (self.said, status),
            Err(error) => panic!("wait for the victim: {error}"),
        }
    }

    fn hear(&mut self) -> bool {
        let Some(Ok(line)) = self.lines.next() else { return false };
        let (what, more) = line.split_once(' ').unwrap_or((&line, ""));
        let number = || more.parse().unwrap_or_else(|_| panic!("the victim said {line:?}"));
        match what {
            "opened" => self.said.opened = true,
            "appended" => self.said.appended = number(),
            "acknowledged" => self.said.acknowledged = number(),
            "refused" => self.said.refused = number(),
            "failed" => self.said.failures.push(more.to_owned()),
            "health" => self.said.healths.push(more.to_owned()),
            "report" => match serde_json::from_str(more) {
                Ok(report) => self.said.report = Some(report),
                Err(error) => panic!("the victim said {line:?}: {error}"),
            },
            _ => panic!("the victim said {line:?}"),
        }
        true
    }
}
