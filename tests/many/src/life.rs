//! One life of a writer: a process from its start to its end, whichever that is.

use crate::told::{Stage, Told};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Long enough for a loaded machine; nothing is measured by it.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How often to look whether something has happened.
const LOOK: Duration = Duration::from_millis(2);
/// The number of the signal that nobody survives.
const SIGKILL: i32 = 9;

/// How to start writers, all of them into one store.
#[derive(Clone, Debug)]
pub struct Start {
    program: PathBuf,
    store: PathBuf,
    /// Where they tell how far they came.
    told: PathBuf,
    wrapper: Vec<OsString>,
}

impl Start {
    /// `program` is the `writer` that cargo built: `env!("CARGO_BIN_EXE_writer")` in a test. What they tell goes into files
    /// in `told`.
    pub fn of(program: impl Into<PathBuf>, store: &Path, told: &Path) -> Self {
        Self { program: program.into(), store: store.to_owned(), told: told.to_owned(), wrapper: Vec::new() }
    }

    /// Writers of a store `data` in that directory, who tell beside it in `told`.
    ///
    /// # Panics
    /// It can't be made.
    pub fn within(program: impl Into<PathBuf>, dir: &Path) -> Self {
        let told = dir.join("told");
        std::fs::create_dir_all(&told).unwrap_or_else(|error| panic!("{}: {error}", told.display()));
        Self::of(program, &dir.join("data"), &told)
    }

    /// Run by another program, which becomes the writer, such as `prlimit`, or stays its tracer, as `strace -D` does. It
    /// gets the writer's command line behind its own.
    #[must_use]
    pub fn under<S: Into<OsString>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper.extend(wrapper.into_iter().map(Into::into));
        self
    }

    /// The store's directory.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// Begins the life with that number, of which there is one. `writer --help` tells which arguments there are.
    ///
    /// # Panics
    /// The program, or what wraps it, can't be started.
    pub fn life<S: Into<OsString>>(&self, number: u64, arguments: impl IntoIterator<Item = S>) -> Life {
        let told = self.told.join(number.to_string());
        let mut line = self.wrapper.clone();
        line.push(self.program.clone().into());
        line.extend([self.store.clone().into(), told.clone().into(), number.to_string().into()]);
        line.extend(arguments.into_iter().map(Into::into));
        let started = Command::new(&line[0]).args(&line[1..]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("start {line:?}: {error}"));
        let stdin = child.stdin.take();
        Life { number, child, stdin, told, status: None }
    }
}

/// A process that lives, or has lived. It is killed when this is dropped.
#[derive(Debug)]
pub struct Life {
    number: u64,
    child: Child,
    stdin: Option<ChildStdin>,
    told: PathBuf,
    status: Option<ExitStatus>,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It shut the store down.
    Closed,
    /// It was killed.
    Killed,
    /// It could not open the store, and said so.
    Refused,
}

/// A life that is over.
#[derive(Clone, Copy, Debug)]
pub struct Lived {
    /// Which life it was.
    pub number: u64,
    /// Its process id.
    pub pid: u32,
    /// How it ended.
    pub fate: Fate,
    /// What it told last.
    pub told: Told,
}

impl Life {
    /// Which life it is.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it told last.
    pub fn told(&self) -> Told {
        Told::read(&self.told)
    }

    /// Waits until it has told enough.
    ///
    /// # Panics
    /// It ends before, or never does.
    pub fn wait_until(&mut self, enough: impl Fn(&Told) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(&self.told()) {
            let ended = self.child.try_wait().unwrap_or_else(|error| panic!("wait for a writer: {error}"));
            let told = self.told();
            assert!(ended.is_none() || enough(&told), "life {} ended, {ended:?}, after {told:?}", self.number);
            assert!(Instant::now() < deadline, "life {} came no further than {told:?}", self.number);
            std::thread::sleep(LOOK);
        }
    }

    /// Whether it has ended by itself.
    ///
    /// # Panics
    /// The system does not say.
    pub fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap_or_else(|error| panic!("wait for a writer: {error}"));
        }
        self.status.is_some()
    }

    /// Stops it where it is, until it is told to go on.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Tells one that was started with `--hold` to begin.
    ///
    /// # Panics
    /// It does not listen.
    pub fn release(&mut self) {
        let told = self.stdin.as_mut().map(|stdin| std::io::Write::write_all(stdin, b"g"));
        assert!(matches!(told, Some(Ok(()))), "release a writer: {told:?}");
    }

    /// Tells it to shut the store down, and to end.
    pub fn tell_to_end(&mut self) {
        self.stdin = None;
    }

    /// Kills it with SIGKILL.
    ///
    /// # Panics
    /// It had ended by itself in a way that it must not.
    pub fn kill(mut self) -> Lived {
        self.signal(Signal::KILL);
        self.over()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It never ends, or as none must.
    pub fn end(mut self) -> Lived {
        self.tell_to_end();
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended() {
            assert!(Instant::now() < deadline, "life {} does not end: {:?}", self.number, self.told());
            std::thread::sleep(LOOK);
        }
        self.over()
    }

    fn over(&mut self) -> Lived {
        let status = match self.status {
            Some(status) => status,
            None => self.child.wait().unwrap_or_else(|error| panic!("wait for a writer: {error}")),
        };
        self.status = Some(status);
        let (number, pid, told) = (self.number, self.pid(), self.told());
        let fate = match (status.code(), status.signal()) {
            (Some(0), _) => Fate::Closed,
            (Some(1), _) if told.stage == Stage::Starting => Fate::Refused,
            (_, Some(SIGKILL)) => Fate::Killed,
            _ => panic!("life {number} ended by itself, {status}, after {told:?}"),
        };
        Lived { number, pid, fate, told }
    }

    fn signal(&self, signal: Signal) {
        // Its id is nobody else's as long as it was not waited for.
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).filter(|_| self.status.is_none());
        // It fails where it has ended by itself.
        let _ = pid.map(|pid| kill_process(pid, signal));
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}
