//! What is still to come once a party is gone, and when: the order in which a wrapped server is ended.
//!
//! Pure: what happens and what time it is comes in, what is to be done goes out. The main thread asks.
//!
//! | who is gone | what follows |
//! |---|---|
//! | the client sends no more, but may read | nothing: the server has its end of input, and whatever time it takes |
//! | and was told to stop | after [`STOPPED`], SIGKILL |
//! | the client reads no more either | after the grace time SIGTERM, after as much again SIGKILL |
//! | the server | its output is passed on to the end; where another process holds it open, until [`SILENCE`] |
//! | and was told to stop, by a client that sends no more | the same, until [`SILENCE_STOPPED`] |
//!
//! A client that reads is waited for without limit, as it would wait itself without a wrapper: it may have closed its end to
//! say that this was all (`printf … | mcplog wrap …`), and what a server does behind a call nobody sees from outside.

use super::fate::Fate;
use super::passage::Progress;
use std::time::{Duration, Instant};

/// How long a server has that was told to stop, with its input at its end. The SDKs' clients kill two seconds after they sent
/// SIGTERM, and then nobody would be left to end the processes that the server started.
const STOPPED: Duration = Duration::from_secs(1);
/// How long nothing may come from a process that holds the output of a server that has ended.
const SILENCE: Duration = Duration::from_secs(2);
/// The same where the client has closed its end and told the server to stop: its patience ends soon.
const SILENCE_STOPPED: Duration = Duration::from_millis(200);

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// The client sends no more.
    InputEnded,
    /// The client reads no more either.
    ClientGone,
    /// Somebody wants the server to stop, and it was told so.
    StopAsked,
    /// The server ended.
    ServerEnded(Fate),
    /// All of its output, or of its errors, was passed on.
    StreamEnded,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Terminate,
    Kill,
}

/// How far the end is.
#[derive(Debug)]
pub(super) struct Course {
    grace: Duration,
    input_ended: bool,
    stop_asked: bool,
    client_gone: bool,
    fate: Option<Fate>,
    /// Of output and errors, how many are not at their end.
    open_streams: usize,
    gave_up: bool,
    /// What is to be done when.
    next: Option<(Instant, Next)>,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Terminate,
    Kill,
    /// To look whether the output got on since it was here.
    Look(Progress),
}

impl Course {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            grace,
            input_ended: false,
            stop_asked: false,
            client_gone: false,
            fate: None,
            open_streams: 2,
            gave_up: false,
            next: None,
        }
    }

    /// Something happened. `progress` is that of the server's output.
    pub(super) fn note(&mut self, happening: Happening, now: Instant, progress: Progress) {
        match happening {
            Happening::InputEnded => self.input_ended = true,
            Happening::ClientGone => self.client_gone = true,
            Happening::StopAsked => {
                self.stop_asked = true;
                // There is nothing to wait for but what others hold open.
                self.gave_up |= self.fate.is_some();
            }
            Happening::ServerEnded(fate) => {
                self.fate = Some(fate);
                self.next = Some((now + self.silence(), Next::Look(progress)));
            }
            Happening::StreamEnded => self.open_streams = self.open_streams.saturating_sub(1),
        }
        if self.fate.is_some() {
            return;
        }
        if self.stop_asked && self.input_ended && !matches!(self.next, Some((_, Next::Kill))) {
            self.next = Some((now + STOPPED, Next::Kill));
        } else if self.client_gone && self.next.is_none() {
            self.next = Some((now + self.grace, Next::Terminate));
        }
    }

    fn silence(&self) -> Duration {
        if self.stop_asked && self.input_ended { SILENCE_STOPPED } else { SILENCE }
    }

    /// Whether to look if the client reads.
    pub(super) fn watches_client(&self) -> bool {
        self.input_ended && !self.client_gone && self.fate.is_none()
    }

    /// When to ask again what is to be done, if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next.map(|(at, _)| at)
    }

    /// What is to be done now. `progress` is that of the server's output.
    pub(super) fn due(&mut self, now: Instant, progress: Progress) -> Option<Deed> {
        let (_, next) = self.next.take_if(|(at, _)| *at <= now)?;
        match next {
            Next::Terminate => {
                self.next = Some((now + self.grace, Next::Kill));
                Some(Deed::Terminate)
            }
            Next::Kill => Some(Deed::Kill),
            // A client that is slow to read gets all of it.
            Next::Look(before) if progress.is_writing || progress != before => {
                self.next = Some((now + self.silence(), Next::Look(progress)));
                None
            }
            Next::Look(_) => {
                self.gave_up = true;
                None
            }
        }
    }

    /// How the server ended, once nothing more of it is waited for.
    pub(super) fn over(&self) -> Option<Fate> {
        self.fate.filter(|_| self.open_streams == 0 || self.gave_up)
    }

    /// Whether the client gave up on what it asked: it was gone, or ended the server before it had its answers.
    pub(super) fn client_gave_up(&self) -> bool {
        self.client_gone || self.input_ended && (self.stop_asked || self.fate.is_some_and(Fate::is_good))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    /// What is done, and after how much time since the last thing happened, until nothing is to be done any more.
    fn deeds(course: &mut Course, mut now: Instant, progress: impl Fn() -> Progress) -> Vec<(Duration, Option<Deed>)> {
        let mut deeds = Vec::new();
        let began = now;
        while let Some(at) = course.deadline() {
            now = at;
            deeds.push((now - began, course.due(now, progress())));
            assert!(deeds.len() < 10, "{deeds:?}");
        }
        deeds
    }

    fn after(happenings: &[Happening]) -> (Course, Instant) {
        let (mut course, now) = (Course::new(GRACE), Instant::now());
        happenings.iter().for_each(|happening| course.note(*happening, now, Progress::default()));
        (course, now)
    }

    #[test]
    fn who_is_gone_decides_what_follows() {
        use Happening::{ClientGone, InputEnded, StopAsked};
        let gone = [(GRACE, Some(Deed::Terminate)), (2 * GRACE, Some(Deed::Kill))];
        let told = [(STOPPED, Some(Deed::Kill))];
        type Row<'a> = (&'a [Happening], &'a [(Duration, Option<Deed>)]);
        let table: [Row<'_>; 7] = [
            (&[], &[]),
            (&[InputEnded], &[]),
            (&[StopAsked], &[]),
            (&[InputEnded, ClientGone], &gone),
            (&[InputEnded, StopAsked], &told),
            (&[StopAsked, InputEnded], &told),
            (&[InputEnded, ClientGone, StopAsked], &told),
        ];
        for (happenings, expected) in table {
            let (mut course, now) = after(happenings);
            assert_eq!(deeds(&mut course, now, Progress::default), expected, "{happenings:?}");
            assert_eq!(course.over(), None);
        }
    }

    #[test]
    fn what_a_dead_server_left_is_passed_on_to_the_end_and_waited_for_only_while_it_comes() {
        let fate = Fate::Exited(3);
        let (course, _) = after(&[Happening::StreamEnded, Happening::ServerEnded(fate)]);
        assert_eq!(course.over(), None);
        let (course, _) = after(&[Happening::StreamEnded, Happening::ServerEnded(fate), Happening::StreamEnded]);
        assert_eq!(course.over(), Some(fate));
        let (course, _) = after(&[Happening::ServerEnded(fate), Happening::StopAsked]);
        assert_eq!(course.over(), Some(fate), "told to stop, it waits for nobody");
        // Something comes at each look but the last ones.
        let (mut course, now) = after(&[Happening::ServerEnded(fate)]);
        let looks = std::cell::Cell::new(0);
        let progress = || {
            looks.set(looks.get() + 1);
            Progress { bytes: looks.get().min(3), is_writing: false }
        };
        assert_eq!(deeds(&mut course, now, progress).len(), 4);
        assert_eq!(course.over(), Some(fate));
        // What came before the server ended is none of it.
        let (mut course, now) = (Course::new(GRACE), Instant::now());
        let before = Progress { bytes: 7, is_writing: false };
        course.note(Happening::ServerEnded(fate), now, before);
        assert_eq!(deeds(&mut course, now, || before), [(SILENCE, None)]);
        // The client's patience is short once it told the server to stop.
        let (mut course, now) = after(&[Happening::InputEnded, Happening::StopAsked, Happening::ServerEnded(fate)]);
        assert_eq!(deeds(&mut course, now, Progress::default), [(SILENCE_STOPPED, None)]);
        assert_eq!(course.over(), Some(fate));
        // A client that does not read is waited for.
        let (mut course, _) = after(&[Happening::ServerEnded(fate)]);
        for _ in 0..100 {
            let at = course.deadline().unwrap();
            assert_eq!(course.due(at, Progress { bytes: 1, is_writing: true }), None);
            assert_eq!(course.over(), None);
        }
    }

    #[test]
    fn a_client_gave_up_if_it_is_gone_or_ended_what_ended_well() {
        use Happening::{ClientGone, InputEnded, ServerEnded, StopAsked};
        let (good, bad) = (ServerEnded(Fate::Exited(0)), ServerEnded(Fate::Exited(1)));
        let killed = ServerEnded(Fate::Killed(15));
        let table: [(&[Happening], bool); 7] = [
            (&[good], false),
            (&[bad], false),
            (&[InputEnded, bad], false),
            (&[InputEnded, good], true),
            (&[InputEnded, StopAsked, killed], true),
            (&[StopAsked, killed], false),
            (&[InputEnded, ClientGone, bad], true),
        ];
        for (happenings, expected) in table {
            assert_eq!(after(happenings).0.client_gave_up(), expected, "{happenings:?}");
        }
    }
}
