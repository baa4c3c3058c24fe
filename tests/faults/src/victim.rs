//! Starting a victim, listening to it, and ending it.

use crate::watchdog::{SIGKILL, Watchdog, kill_group, wait_for_end};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Read, Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Long enough for a loaded machine; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A victim to be started: a store's directory, and how to record into it.
#[derive(Clone, Debug)]
pub struct Victim {
    program: PathBuf,
    wrapper: Vec<OsString>,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    quiet: bool,
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
    /// How many events of this run a segment's mark calls durable, each time that changed.
    pub marks: Vec<Marked>,
    /// How many events it had to record, when it had.
    pub recorded: u64,
    /// How many events of this run the store refused.
    pub refused: u64,
    /// Everything was in the database, before it was shut down.
    pub folded: bool,
    /// Why waits ended without what was waited for.
    pub failures: Vec<String>,
    /// Every state of health that it noticed.
    pub healths: Vec<String>,
    /// What shutting down reported.
    pub report: Option<Value>,
}

impl Said {
    /// How many events of this run it knew to be durable, by a wait or by a mark.
    pub fn durable(&self) -> u64 {
        self.marks.last().map_or(0, |mark| mark.durable).max(self.acknowledged)
    }
}

/// What a victim found in the mark of its newest segment.
#[derive(Clone, Copy, Debug)]
pub struct Marked {
    /// How many events of this run the mark calls durable.
    pub durable: u64,
    /// How many were in the map before the victim looked.
    pub appended: u64,
    /// How many segments there were behind the one with that mark.
    pub waiting: u64,
}

/// A victim that runs. It is killed when this is dropped, so that a test that fails leaves nothing behind, and when it
/// takes minutes, so that a test that would hang fails and says which victim it was.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Nothing of it is left: it was waited for, and its id may be somebody else's.
    reaped: bool,
    watchdog: Watchdog,
    /// What a quiet one writes to standard error.
    complaints: Option<File>,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    said: Said,
}

impl Victim {
    /// `program` is the `victim` that cargo built: `env!("CARGO_BIN_EXE_victim")` in a test.
    pub fn new(program: impl Into<PathBuf>, dir: &Path) -> Self {
        let (wrapper, environment) = (Vec::new(), Vec::new());
        Self { program: program.into(), wrapper, arguments: vec![dir.into()], environment, quiet: false }
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

    /// Keeping what it writes to standard error to itself, where errors are what it is started for.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// The program, or what wraps it, can't be started.
    pub fn start(&self) -> Running {
        let mut line = self.wrapper.iter().chain([self.program.as_os_str().into()].iter()).cloned().collect::<Vec<_>>();
        line.extend(self.arguments.iter().cloned());
        let complaints =
            self.quiet.then(|| tempfile::tempfile().unwrap_or_else(|error| panic!("temporary file: {error}")));
        let stderr = complaints.as_ref().map(|file| file.try_clone().map(Stdio::from));
        let mut child = stderr
            .unwrap_or_else(|| Ok(Stdio::inherit()))
            .and_then(|stderr| {
                Command::new(&line[0])
                    .args(&line[1..])
                    .envs(self.environment.iter().cloned())
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(stderr)
                    // A group of its own, so that killing a wrapper kills what it wraps.
                    .process_group(0)
                    .spawn()
            })
            .unwrap_or_else(|error| panic!("start {line:?}: {error}"));
        let Some(stdout) = child.stdout.take() else { panic!("standard output was piped") };
        let stdin = child.stdin.take();
        let watchdog = Watchdog::over(child.id(), format!("{line:?}"));
        let (lines, said) = (BufReader::new(stdout).lines(), Said::default());
        Running { child, reaped: false, watchdog, complaints, stdin, lines, said }
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

    /// Lets a victim go on that waits for that: one that was started with `--hold` begins to record, one that was started
    /// with `--until-told` ends.
    pub fn release(&mut self) {
        // Dropping it closes it. Who does not read any more is dead, which the test will notice.
        let _ = self.stdin.take().map(|mut stdin| stdin.write_all(b"go\n"));
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

    /// Listens until it has said enough, which it must before it ends.
    ///
    /// # Panics
    /// It ended before.
    pub fn wait_until(&mut self, enough: impl Fn(&Said) -> bool) {
        if !self.listen_until(enough) {
            let (status, complaints) = (self.reap(), self.complaints());
            panic!("the victim ended by itself, {status:?}, after {:?}: {complaints}", self.said);
        }
    }

    /// What a quiet one wrote to standard error.
    fn complaints(&mut self) -> String {
        let mut text = Vec::new();
        if let Some(file) = &mut self.complaints {
            // For a message only.
            let _ = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut text));
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Listens for a while, however much it says; `false`: it ended before.
    pub fn listen_for(&mut self, time: Duration) -> bool {
        let end = Instant::now() + time;
        self.listen_until(|_| Instant::now() >= end)
    }

    /// Stops it where it is, for good: it can only be killed then.
    ///
    /// # Panics
    /// It does not stop.
    pub fn stop(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let stopped = pid.map(|pid| kill_process(pid, Signal::STOP));
        assert!(matches!(stopped, Some(Ok(()))), "stop the victim: {stopped:?}");
        // The signal is sent; each thread stops when it is about to run on.
        let tasks = PathBuf::from(format!("/proc/{}/task", self.child.id()));
        let is_stopped = |task: PathBuf| {
            let stat = std::fs::read_to_string(task.join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('T'))
        };
        let deadline = Instant::now() + PATIENCE;
        let all = || std::fs::read_dir(&tasks).into_iter().flatten().flatten().all(|task| is_stopped(task.path()));
        while !all() {
            assert!(Instant::now() < deadline, "the victim does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills it, and its wrapper, with SIGKILL, and listens to what it said before it died: that was true as well.
    ///
    /// # Panics
    /// It had ended by itself, by whatever signal or exit code; or the system refuses.
    pub fn kill(self) -> Said {
        let (said, status) = self.put_down();
        assert_eq!(status.signal(), Some(SIGKILL), "the victim ended by itself, {status}, after {said:?}");
        said
    }

    /// The same for who does not mind that it may have ended before, and how.
    ///
    /// # Panics
    /// The system refuses.
    pub fn put_down(self) -> (Said, ExitStatus) {
        kill_group(self.child.id());
        self.finish()
    }

    /// Listens until it ends.
    ///
    /// # Panics
    /// It takes minutes, or the system refuses to tell how it ended.
    pub fn finish(mut self) -> (Said, ExitStatus) {
        while self.hear() {}
        let status = self.reap().unwrap_or_else(|error| panic!("wait for the victim: {error}"));
        self.watchdog.assert_silent(&self.said);
        (std::mem::take(&mut self.said), status)
    }

    /// Waits for its end, and ends what it leaves behind.
    fn reap(&mut self) -> std::io::Result<ExitStatus> {
        // Until it is waited for, its id is nobody else's: so long the watchdog may kill it.
        wait_for_end(self.child.id())?;
        self.watchdog.stand_down();
        kill_group(self.child.id());
        self.reaped = true;
        self.child.wait()
    }

    fn hear(&mut self) -> bool {
        let Some(Ok(line)) = self.lines.next() else {
            self.watchdog.assert_silent(&self.said);
            return false;
        };
        let (what, more) = line.split_once(' ').unwrap_or((&line, ""));
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("the victim said {line:?}"));
        match what {
            "opened" => self.said.opened = true,
            "appended" => self.said.appended = number(more),
            "acknowledged" => self.said.acknowledged = number(more),
            "durable" => {
                let Some((durable, waiting)) = more.split_once(' ') else { panic!("the victim said {line:?}") };
                let appended = self.said.appended;
                self.said.marks.push(Marked { durable: number(durable), appended, waiting: number(waiting) });
            }
            "recorded" => self.said.recorded = number(more),
            "folded" => self.said.folded = true,
            "refused" => self.said.refused = number(more),
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

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            kill_group(self.child.id());
            let _ = self.reap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "the victim ended by itself, exit status: 1")]
    fn a_victim_that_ended_by_itself_was_not_killed() {
        let victim = Victim::new("false", Path::new("nowhere")).start();
        wait_for_end(victim.pid()).expect("a child");
        victim.kill();
    }

    #[test]
    fn a_victim_that_runs_is_killed_with_what_it_started() {
        let mut victim = Victim::new("sh", Path::new("-c")).with(["sleep 600 & echo opened; wait"]).start();
        victim.wait_until(|said| said.opened);
        // The other one has its output open as well: this returns when both are dead.
        assert!(victim.kill().opened);
    }
}
