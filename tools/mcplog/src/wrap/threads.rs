//! The threads of a wrapped server: one for each stream, for its signals, and for its end.
//!
//! Each waits for one thing, and tells the main thread when that is over.

use super::course::Happening;
use super::last_words::LastWords;
use super::passage::{Descriptor, Over, Passage, let_go};
use super::reading::Reading;
use super::server::{Server, Streams};
use super::signals::Caught;
use super::words::{Subject, Words};
use mcplog_observe::Side;
use parking_lot::Mutex;
use signal_hook::consts::{SIGTTIN, SIGTTOU};
use std::io;
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What the threads share with the main one.
pub(super) struct Threads {
    pub(super) server: Server,
    pub(super) reading: Reading,
    /// How far the server's output is.
    pub(super) output: Passage,
    pub(super) last_words: Mutex<LastWords>,
    pub(super) words: Arc<Words>,
}

impl Threads {
    pub(super) fn new(server: Server, reading: Reading, words: &Arc<Words>) -> Self {
        Self { server, reading, output: Passage::default(), last_words: Mutex::default(), words: words.clone() }
    }

    /// Starts them all. What happens comes out of the channel.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(super) fn start(self: &Arc<Self>, streams: Streams, signals: Caught) -> io::Result<Receiver<Happening>> {
        let (happens, happenings) = channel();
        let Streams { input, output, errors } = streams;
        self.spawn("wrap-output", &happens, |threads, happens| threads.pass_output(output, happens))?;
        self.spawn("wrap-errors", &happens, |threads, happens| threads.pass_errors(errors, happens))?;
        self.spawn("wrap-input", &happens, |threads, happens| threads.pass_input(input, happens))?;
        self.spawn("wrap-signals", &happens, |threads, happens| {
            signals.pass_on(&threads.server, || tell(happens, Happening::StopAsked));
        })?;
        self.spawn("wrap-wait", &happens, Self::wait)?;
        Ok(happenings)
    }

    fn spawn(
        self: &Arc<Self>,
        name: &str,
        happens: &Sender<Happening>,
        run: impl FnOnce(&Self, &Sender<Happening>) + Send + 'static,
    ) -> io::Result<()> {
        let (threads, happens) = (self.clone(), happens.clone());
        std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&threads, &happens)).map(drop)
    }

    fn pass_input(&self, input: ChildStdin, happens: &Sender<Happening>) {
        let over = Passage::default().run(io::stdin(), &input, |bytes| self.reading.show(Side::Client, bytes));
        self.reading.finish(Side::Client);
        match over {
            // The client learns that nobody reads, as it would by the server's own descriptor.
            Over::Target => let_go(Descriptor::Input),
            Over::Source => {
                drop(input);
                tell(happens, Happening::InputEnded);
            }
        }
    }

    fn pass_output(&self, output: ChildStdout, happens: &Sender<Happening>) {
        let over = self.output.run(&output, io::stdout(), |bytes| self.reading.show(Side::Server, bytes));
        self.reading.finish(Side::Server);
        match over {
            // The server learns that nobody reads.
            Over::Target => drop(output),
            // The client need not wait for what the wrapper has to do yet.
            Over::Source => let_go(Descriptor::Output),
        }
        tell(happens, Happening::StreamEnded);
    }

    fn pass_errors(&self, errors: ChildStderr, happens: &Sender<Happening>) {
        Passage::default().run(&errors, io::stderr(), |bytes| {
            self.last_words.lock().push(bytes);
            self.words.note_errors(bytes);
        });
        drop(errors);
        tell(happens, Happening::StreamEnded);
    }

    fn wait(&self, happens: &Sender<Happening>) {
        let fate = self.server.wait(|signal| {
            if [SIGTTIN, SIGTTOU].contains(&signal) {
                let text = "the server was stopped: it wants the terminal, which its client has. With --foreground \
                            before -- both have it";
                self.words.say_once(Subject::Terminal, text);
            }
        });
        tell(happens, Happening::ServerEnded(fate));
    }
}

/// Tells the main thread, which may be about to end.
fn tell(happens: &Sender<Happening>, happening: Happening) {
    let _ = happens.send(happening);
}
