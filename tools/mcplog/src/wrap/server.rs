//! The server as a process: started, told signals, waited for.
//!
//! It leads a process group of its own, so that all that it started can be told and ended with it, and nobody else is: where
//! `npx` starts `node`, the wrapper knows the one, and the other has to end too. In a group that is not the terminal's
//! foreground nobody can read from that terminal, though; so a server may be left in the wrapper's group, if its user says so.

use super::fate::Fate;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, test_kill_process_group, waitid,
};
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

/// The exit codes of shells for a program that is not found, and for one that can't be run.
const EXIT_NOT_FOUND: u8 = 127;
const EXIT_NOT_RUN: u8 = 126;
/// What runs a script that does not say what runs it, as execvp(3) has it.
const SHELL: &str = "/bin/sh";

/// A server that was started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    pid: Pid,
    has_own_group: bool,
}

/// The wrapper's ends of its streams.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) input: ChildStdin,
    pub(super) output: ChildStdout,
    pub(super) errors: ChildStderr,
}

/// Why there is no server. Of the command it names the program only: arguments may hold secrets.
#[derive(Debug, thiserror::Error)]
#[error("can't start {}: {}", program.display(), told(source))]
pub(crate) struct NotStarted {
    program: PathBuf,
    #[source]
    source: io::Error,
}

impl NotStarted {
    /// The exit code that says so.
    pub(super) fn exit_code(&self) -> u8 {
        if self.source.kind() == ErrorKind::NotFound { EXIT_NOT_FOUND } else { EXIT_NOT_RUN }
    }
}

fn told(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => {
            "there is no such program (nor in PATH), or what should run it is missing; give its absolute path"
                .to_owned()
        }
        ErrorKind::PermissionDenied => "it is not executable, or may not be run here".to_owned(),
        _ => error.to_string(),
    }
}

impl Server {
    /// Starts a command, in a process group of its own unless it `shares_group` with the wrapper. It has the wrapper's
    /// environment, directory and further descriptors.
    pub(super) fn start(command: &[OsString], shares_group: bool) -> Result<(Self, Streams), NotStarted> {
        let (program, arguments) =
            command.split_first().map_or((OsStr::new(""), &[][..]), |(first, rest)| (first, rest));
        let spawn = |mut command: Command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            if !shares_group {
                command.process_group(0);
            }
            command.spawn()
        };
        let mut direct = Command::new(program);
        direct.args(arguments);
        let spawned = spawn(direct).or_else(|error| {
            let path = found(program).filter(|_| is_no_format(&error)).ok_or(error)?;
            let mut by_shell = Command::new(SHELL);
            by_shell.arg(path).args(arguments);
            spawn(by_shell)
        });
        let not_started = |source| NotStarted { program: program.into(), source };
        let child = spawned.map_err(not_started)?;
        let lost = || not_started(io::Error::other("its streams are lost"));
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(lost)?;
        let Child { stdin: Some(input), stdout: Some(output), stderr: Some(errors), .. } = child else {
            return Err(lost());
        };
        Ok((Self { pid, has_own_group: !shares_group }, Streams { input, output, errors }))
    }

    /// Sends a signal to the server and all that is in its group.
    pub(super) fn signal(&self, number: i32) {
        let Some(signal) = Signal::from_named_raw(number) else { return };
        // Who is gone needs no signal.
        let _ = match self.has_own_group {
            true => kill_process_group(self.pid, signal),
            false => kill_process(self.pid, signal),
        };
    }

    /// Sends a signal to what a server that has ended left in its group. Its own number may be another process by now.
    pub(super) fn signal_rest(&self, number: i32) {
        if self.has_own_group {
            self.signal(number);
        }
    }

    /// Whether any process of its group is left, once the server has ended. One that nobody waited for counts.
    pub(super) fn left_any(&self) -> bool {
        self.has_own_group && test_kill_process_group(self.pid).is_ok()
    }

    /// Waits until it ended. `on_stop` hears of the signals that it was stopped by.
    pub(super) fn wait(&self, mut on_stop: impl FnMut(i32)) -> Fate {
        let wait = |options| waitid(WaitId::Pid(self.pid), options);
        loop {
            match wait(WaitIdOptions::EXITED | WaitIdOptions::STOPPED) {
                Ok(Some(status)) => {
                    if let Some(signal) = status.stopping_signal() {
                        on_stop(signal);
                    } else if let Some(signal) = status.terminating_signal() {
                        return Fate::Killed(signal);
                    } else if let Some(code) = status.exit_status() {
                        // The system keeps eight bits of it.
                        return Fate::Exited(u8::try_from(code & 0xff).unwrap_or(u8::MAX));
                    }
                }
                Ok(None) | Err(Errno::INTR) => {}
                // Somebody else waited for it, and knows how it ended.
                Err(_) => return Fate::Exited(0),
            }
        }
    }
}

/// Whether the system knows no way to run that file.
fn is_no_format(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error())
}

/// Where a program is.
fn found(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(program.into());
    }
    let is_executable = |path: &Path| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| is_executable(path))
}
