//! What the system tells the process: to stop, to read its settings again, or nothing that matters.
//!
//! A thread of its own (`mcplog-signals`), so that a second Ctrl-C ends the process even where nothing else gets on.
//! docs/operating.md says what each signal does.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator;
use std::io;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Stop,
    Reload,
}

/// The signals of this process.
pub(super) struct Signals {
    wishes: UnboundedReceiver<Wish>,
}

impl Signals {
    /// From now on signals are noticed instead of ending the process. `on_second` is called on the thread when somebody
    /// wants the process to stop for the second time, and ends it.
    ///
    /// # Errors
    /// The system does not let signals be caught, or has no thread to give.
    pub(super) fn catch(on_second: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let mut signals = iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXFSZ])?;
        let (sender, wishes) = unbounded_channel();
        std::thread::Builder::new().name("mcplog-signals".into()).spawn(move || {
            let (mut on_second, mut is_stopping) = (Some(on_second), false);
            for signal in signals.forever() {
                match signal {
                    SIGINT | SIGTERM if is_stopping => {
                        if let Some(on_second) = on_second.take() {
                            on_second();
                        }
                    }
                    SIGINT | SIGTERM => {
                        is_stopping = true;
                        let _ = sender.send(Wish::Stop);
                    }
                    SIGHUP => _ = sender.send(Wish::Reload),
                    // A file is as long as it may be (the access log, standard error): whoever writes gets an error too,
                    // and that says more.
                    SIGXFSZ => {}
                    // Their default would be to end the process, which nobody who sends one means.
                    other => {
                        let signal = signal_hook::low_level::signal_name(other).unwrap_or("?");
                        tracing::warn!(signal, "nothing to do for this signal; SIGHUP reads settings again")
                    }
                }
            }
        })?;
        Ok(Self { wishes })
    }

    /// The next wish.
    pub(super) async fn next(&mut self) -> Wish {
        match self.wishes.recv().await {
            Some(wish) => wish,
            // The thread is gone, so nobody can be heard any more.
            None => std::future::pending().await,
        }
    }

    /// Waits until somebody wants the process to stop.
    pub(super) async fn stop(&mut self) {
        while self.next().await != Wish::Stop {}
    }
}
