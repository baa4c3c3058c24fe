//! How a server ended, in words, and in the wrapper's own end.
//!
//! Pure but for [`Fate::share`], which ends the process.

use mcplog::event::NAME_BYTES_MAX;
use rustix::process::{Resource, Rlimit, setrlimit};
use signal_hook::low_level::{emulate_default_handler, raise, signal_name};

/// What stands between two lines of the server, in a cause.
const BETWEEN: &str = " | ";

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// By itself, with that exit code.
    Exited(u8),
    /// By that signal.
    Killed(i32),
}

impl Fate {
    /// Whether it says that all went well.
    pub(super) fn is_good(self) -> bool {
        self == Self::Exited(0)
    }

    /// Why calls that were open have no answer: how it ended, and the last of its lines that there is room for.
    pub(super) fn cause(self, last_lines: &[String]) -> String {
        let mut cause = match self {
            Self::Exited(code) => format!("exit code {code}"),
            Self::Killed(signal) => match signal_name(signal) {
                Some(name) => format!("killed by {name}"),
                None => format!("killed by signal {signal}"),
            },
        };
        let mut room = NAME_BYTES_MAX.saturating_sub(cause.len() + ": ".len());
        let mut lines = Vec::new();
        for line in last_lines.iter().rev() {
            let end = tail(line, room);
            if end.is_empty() {
                break;
            }
            let is_whole = end.len() == line.len();
            lines.push(end);
            room = if is_whole { room.saturating_sub(end.len() + BETWEEN.len()) } else { 0 };
        }
        if !lines.is_empty() {
            lines.reverse();
            cause = format!("{cause}: {}", lines.join(BETWEEN));
        }
        cause
    }

    /// The exit code that says so; a process that a signal is to end too does not get here.
    pub(super) fn share(self) -> u8 {
        let signal = match self {
            Self::Exited(code) => return code,
            Self::Killed(signal) => signal,
        };
        // The server has left its core, if it was to leave one; the wrapper's would take the place of that.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        let _ = emulate_default_handler(signal);
        let _ = raise(signal);
        // As shells have it, for a signal that does not end this process.
        128_u8.saturating_add(u8::try_from(signal).unwrap_or(u8::MAX))
    }
}

/// As much of the end of a text as there is room for, in whole characters.
fn tail(text: &str, room: usize) -> &str {
    let mut start = text.len().saturating_sub(room);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(fate: Fate, lines: &[&str]) -> String {
        fate.cause(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_cause_says_how_it_ended_and_the_last_lines_that_there_is_room_for() {
        assert_eq!(cause(Fate::Exited(0), &[]), "exit code 0");
        assert_eq!(cause(Fate::Killed(9), &["out of memory"]), "killed by SIGKILL: out of memory");
        assert_eq!(cause(Fate::Killed(64), &[]), "killed by signal 64");
        assert_eq!(cause(Fate::Exited(3), &["Traceback", "KeyError: 'x'"]), "exit code 3: Traceback | KeyError: 'x'");
        let long = "ü".repeat(200);
        for lines in [&["first", &long][..], &[&long, "last"], &[&long, &long], &["a"; 300]] {
            let cause = cause(Fate::Exited(1), lines);
            assert!(cause.len() <= NAME_BYTES_MAX && cause.len() >= NAME_BYTES_MAX - 4, "{}: {cause}", cause.len());
            assert!(cause.ends_with(&tail(lines.last().unwrap(), 4)), "{cause}");
        }
    }
}
