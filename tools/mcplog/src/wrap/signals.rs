//! Signals that the wrapper gets are the server's.
//!
//! Caught before the server starts, so that none is lost; passed on by a thread of its own (`wrap-signals`). What was ignored
//! when the wrapper started stays ignored, by the server too (`nohup`).

use super::server::Server;
use signal_hook::consts::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH, SIGXFSZ,
};
use signal_hook::iterator;
use signal_hook::low_level::emulate_default_handler;
use std::io;

/// What is passed on.
const PASSED: [i32; 9] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT];
/// Those of them that want the server to stop.
const STOPPING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
/// Those that a terminal sends to all of its foreground group: to the server too, where that is in the wrapper's.
const OF_TERMINAL: [i32; 5] = [SIGINT, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT];

/// Signals that wait to be passed on.
pub(super) struct Caught {
    signals: iterator::Signals,
    /// The server is in the wrapper's process group.
    shares_group: bool,
}

impl Caught {
    /// From now on signals do nothing by themselves.
    ///
    /// # Errors
    /// The system does not let signals be caught.
    pub(super) fn catch(shares_group: bool) -> io::Result<Self> {
        let ignored = ignored();
        let passed = PASSED.iter().filter(|signal| ignored & (1 << (*signal - 1)) == 0);
        // A wrapper whose parent ignores SIGCHLD would not learn how the server ended; one whose files may not grow any more
        // (of the store, say) would be ended where it gets an error too.
        let signals = iterator::Signals::new(passed.chain(&[SIGCHLD, SIGXFSZ]))?;
        Ok(Self { signals, shares_group })
    }

    /// Passes them on, for ever. `on_stop` hears when somebody wants the server to stop, after the server did.
    pub(super) fn pass_on(mut self, server: &Server, on_stop: impl Fn()) {
        for signal in self.signals.forever() {
            if PASSED.contains(&signal) && !(self.shares_group && OF_TERMINAL.contains(&signal)) {
                server.signal(signal);
            }
            if signal == SIGTSTP {
                // Its handler is back once it goes on.
                let _ = emulate_default_handler(signal);
            }
            if STOPPING.contains(&signal) {
                on_stop();
            }
        }
    }
}

/// The signals that are ignored, as the bits of a mask; none where the system does not tell.
fn ignored() -> u64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return 0 };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
