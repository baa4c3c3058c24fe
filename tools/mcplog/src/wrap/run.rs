//! `mcplog wrap`: starts the server, then everything else, and ends as the server does.
//!
//! The main thread. The server comes first, so that nothing of ours makes its start later than it must be; then this thread
//! waits for what happens to either party.

use super::course::{Course, Deed, Happening};
use super::fate::Fate;
use super::keeping::Keeping;
use super::passage::has_reader;
use super::reading::Reading;
use super::server::{NotStarted, Server};
use super::server_name::server_name;
use super::signals::Caught;
use super::threads::Threads;
use super::words::{PREFIX, Subject, Words};
use super::wrap_args::WrapArgs;
use mcplog_observe::Pipe;
use signal_hook::consts::{SIGKILL, SIGTERM};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often calls are looked over whose answer is late.
const LOOK_OVER: Duration = Duration::from_millis(500);
/// How often it is looked whether a client reads that sends no more.
const LOOK_FOR_CLIENT: Duration = Duration::from_millis(100);
/// How long what a server that has ended left running may take to end, before it is killed.
const REST: Duration = Duration::from_millis(500);
/// How often it is looked whether it did.
const REST_STEP: Duration = Duration::from_millis(5);
/// The exit code where there is a server, and the wrapper can't work.
const EXIT_NOT_WRAPPED: u8 = 126;

/// Runs a server to its end, and chooses the exit code. Where a signal ended the server, this process ends by it here.
pub(crate) fn run(args: WrapArgs) -> u8 {
    let fate = wrap(args);
    match fate {
        Ok(fate) => fate.share(),
        Err(failure) => failure.report(),
    }
}

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    NotStarted(#[from] NotStarted),
    #[error("catching signals: {0}")]
    Signals(#[source] io::Error),
    #[error("starting a thread: {0}")]
    Thread(#[source] io::Error),
}

impl Failure {
    fn report(&self) -> u8 {
        let text = self.to_string();
        let _ = writeln!(io::stderr(), "{PREFIX} {}", mcplog_terminal::text::escape(&text));
        match self {
            Self::NotStarted(reason) => reason.exit_code(),
            Self::Signals(_) | Self::Thread(_) => EXIT_NOT_WRAPPED,
        }
    }
}

fn wrap(args: WrapArgs) -> Result<Fate, Failure> {
    let signals = Caught::catch(args.foreground).map_err(Failure::Signals)?;
    let (server, streams) = Server::start(&args.command, args.foreground)?;
    let words = Arc::new(Words::new(args.quiet));
    watch_for_faults(&words);
    let name = args.name.unwrap_or_else(|| server_name(&args.command, std::env::current_dir().ok().as_deref()));
    let keeping = Keeping::start(args.dir, &name, !args.no_error_text, &words);
    let pipe = keeping.as_ref().map(|keeping| Pipe::begin(keeping.observer()));
    let threads = Arc::new(Threads::new(server, Reading::new(pipe, words.clone()), &words));
    let happenings = threads.start(streams, signals).map_err(|error| {
        server.signal(SIGKILL);
        Failure::Thread(error)
    })?;

    let mut course = Course::new(args.grace);
    let fate = until_over(&mut course, &threads, &happenings, keeping.as_ref());
    server.signal_rest(SIGTERM);
    let until = Instant::now() + REST;
    tell_observer(&course, fate, &threads, !args.no_error_text);
    if let Some(keeping) = keeping {
        keeping.end();
    }
    while server.left_any() && Instant::now() < until {
        std::thread::sleep(REST_STEP);
    }
    server.signal_rest(SIGKILL);
    words.end();
    Ok(fate)
}

/// A fault of ours is said once, by its place: what a thread was at may be private.
fn watch_for_faults(words: &Arc<Words>) {
    let words = words.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        words.say_once(Subject::Fault, &format!("a fault of mcplog at {place}; the server is not affected"));
    }));
}

/// Waits until the server has ended and all of its output was passed on, and sees to it that it does once its client is gone.
fn until_over(
    course: &mut Course,
    threads: &Threads,
    happenings: &Receiver<Happening>,
    keeping: Option<&Keeping>,
) -> Fate {
    loop {
        if let Some(fate) = course.over() {
            return fate;
        }
        let look = if course.watches_client() { LOOK_FOR_CLIENT } else { LOOK_OVER };
        let until_due = course.deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let happening = match happenings.recv_timeout(until_due.map_or(look, |until| until.min(look))) {
            Ok(happening) => Some(happening),
            Err(RecvTimeoutError::Timeout) if course.watches_client() && !has_reader(io::stdout()) => {
                threads.reading.client_gone();
                Some(Happening::ClientGone)
            }
            Err(RecvTimeoutError::Timeout) => None,
            // The thread that listens to signals never ends, and so this is not reached.
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(look);
                None
            }
        };
        let now = Instant::now();
        if let Some(happening) = happening {
            course.note(happening, now, threads.output.progress());
        }
        match course.due(now, threads.output.progress()) {
            Some(Deed::Terminate) => threads.server.signal(SIGTERM),
            Some(Deed::Kill) => threads.server.signal(SIGKILL),
            None => {}
        }
        if let Some(keeping) = keeping {
            keeping.observer().give_up_overdue();
        }
    }
}

/// Ends what is open, for the reason that it has no answer.
fn tell_observer(course: &Course, fate: Fate, threads: &Threads, keeps_error_text: bool) {
    threads.reading.finish(mcplog_observe::Side::Server);
    if course.client_gave_up() {
        threads.reading.client_gone();
    }
    let last_lines = if keeps_error_text { threads.last_words.lock().lines() } else { Vec::new() };
    threads.reading.server_gone(&fate.cause(&last_lines));
}
