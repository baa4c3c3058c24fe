//! A stream that is written by a thread of its own, so that whoever prints never waits and never fails.
//!
//! For programs that must not be held up by who reads them: a terminal that was stopped, a pipe that nobody empties, a full
//! device. Lines that find no room are left out and counted. What is printed decides nothing.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

enum Message {
    Text(Vec<u8>),
    /// Whoever waits for what came before.
    Flush(SyncSender<()>),
}

/// The way to the thread. Clones share it.
#[derive(Clone, Debug)]
pub struct Detached {
    sender: SyncSender<Message>,
    left_out: Arc<AtomicU64>,
}

impl Detached {
    /// Starts a thread that writes to `stream`, for which so many lines may wait. `note` makes the line that stands in the place
    /// of those that were left out or could not be written. It ends with the last clone, or with the process.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(
        name: &str,
        stream: impl Write + Send + 'static,
        lines_max: usize,
        note: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Self> {
        Self::start_watched(name, stream, lines_max, note, |_| {})
    }

    /// The same, where `watch` hears of each line whether it was written. On the thread that writes: nobody waits for it but
    /// the lines that come next.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start_watched(
        name: &str,
        stream: impl Write + Send + 'static,
        lines_max: usize,
        note: impl Fn(u64) -> String + Send + 'static,
        watch: impl Fn(io::Result<()>) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(lines_max);
        let left_out = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&left_out);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || write_all(LineStream { stream, is_torn: false }, &receiver, &counted, note, watch))?;
        Ok(Self { sender, left_out })
    }

    /// Hands text over, at best a whole line; tells whether there was room for it.
    pub fn say(&self, text: &str) -> bool {
        self.hand_over(text.as_bytes())
    }

    /// Waits until all that was handed over is written, or could not be; at most for that long. `false`: it is still at it.
    #[must_use]
    pub fn flush_within(&self, timeout: Duration) -> bool {
        let (done, is_done) = sync_channel(1);
        self.sender.try_send(Message::Flush(done)).is_ok() && is_done.recv_timeout(timeout).is_ok()
    }

    fn hand_over(&self, text: &[u8]) -> bool {
        let is_taken = self.sender.try_send(Message::Text(text.to_vec())).is_ok();
        if !is_taken {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }
}

impl Write for Detached {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.hand_over(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(
    mut lines: LineStream<impl Write>,
    messages: &Receiver<Message>,
    left_out: &AtomicU64,
    note: impl Fn(u64) -> String,
    watch: impl Fn(io::Result<()>),
) {
    for message in messages {
        // A stream that fails may work again: a full device gets room.
        match message {
            Message::Text(text) => {
                let result = lines.write(&text);
                let is_lost = result.is_err();
                // Nothing is no line: it says only that the stream should look.
                if is_lost || !text.is_empty() {
                    watch(result);
                }
                if is_lost {
                    left_out.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
            }
            Message::Flush(done) => {
                let _ = done.try_send(());
            }
        }
        let missing = left_out.swap(0, Ordering::Relaxed);
        if missing > 0 && lines.write(note(missing).as_bytes()).is_err() {
            left_out.fetch_add(missing, Ordering::Relaxed);
        }
    }
}

/// A stream of lines. One that was begun and could not be written whole is ended before the next, or both would be lost to
/// who reads.
struct LineStream<S> {
    stream: S,
    is_torn: bool,
}

impl<S: Write> LineStream<S> {
    fn write(&mut self, mut text: &[u8]) -> io::Result<()> {
        if self.is_torn && !text.is_empty() {
            self.stream.write_all(b"\n")?;
            self.is_torn = false;
        }
        let mut is_begun = false;
        while !text.is_empty() {
            match self.stream.write(text) {
                Ok(0) => return Err(self.torn(is_begun, io::ErrorKind::WriteZero.into())),
                Ok(written) => (text, is_begun) = (&text[written..], true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.torn(is_begun, error)),
            }
        }
        self.stream.flush()
    }

    fn torn(&mut self, is_begun: bool, error: io::Error) -> io::Error {
        self.is_torn = is_begun;
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    const PATIENCE: Duration = Duration::from_secs(30);
    const LINES_MAX: usize = 1024;

    fn start(stream: Slow) -> Detached {
        Detached::start("slow", stream, LINES_MAX, |lines| format!("({lines} lines were left out here)\n")).unwrap()
    }

    /// Remembers what is written to it; each write waits for leave, or fails.
    struct Slow {
        leave: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            if self.leave.recv().is_err() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whoever_prints_is_not_held_up_and_what_is_left_out_is_told() {
        let (leave, waits) = channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let detached = start(Slow { leave: waits, written: Arc::clone(&written) });
        let lines = LINES_MAX + 100;
        for number in 0..lines {
            detached.say(&format!("{number}\n"));
        }
        assert!(!detached.flush_within(Duration::ZERO), "nobody reads yet");
        let before = detached.left_out.load(Ordering::Relaxed);
        // One may be in the thread's hand.
        assert!((99..=101).contains(&before), "{before}");
        for _ in 0..2 * lines {
            leave.send(()).unwrap();
        }
        while !detached.flush_within(PATIENCE) {}
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("0\n") && text.contains("lines were left out here"), "{text}");
    }

    #[test]
    fn a_stream_that_fails_ends_nothing() {
        let (leave, waits) = channel::<()>();
        drop(leave);
        let mut detached = start(Slow { leave: waits, written: Arc::default() });
        for _ in 0..3 {
            writeln!(detached, "lost").unwrap();
        }
        assert!(detached.flush_within(PATIENCE));
        assert_eq!(detached.left_out.load(Ordering::Relaxed), 3, "they are told once it works again");
    }

    /// Takes so many bytes, has no room for the next write, and takes all that comes then.
    struct Filling {
        room: usize,
        was_full: bool,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Filling {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let taken = if self.was_full { text.len() } else { text.len().min(self.room) };
            self.room -= taken.min(self.room);
            if taken == 0 {
                self.was_full = true;
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.lock().unwrap().extend_from_slice(&text[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_could_not_be_written_whole_is_ended_and_whoever_watches_hears_of_it() {
        // What is written of the second line before the device is full.
        for (room, half) in [(8, "sec\n"), (5, "")] {
            let written = Arc::new(Mutex::new(Vec::new()));
            let stream = Filling { room, was_full: false, written: Arc::clone(&written) };
            let (heard, hears) = channel();
            let watch = move |result: io::Result<()>| heard.send(result.is_ok()).unwrap();
            let note = |lines| format!("({lines})\n");
            let detached = Detached::start_watched("filling", stream, LINES_MAX, note, watch).unwrap();
            for line in ["one1\n", "second\n", "third\n"] {
                detached.say(line);
            }
            detached.say("");
            assert!(detached.flush_within(PATIENCE));
            let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
            assert_eq!(text, format!("one1\n{half}third\n(1)\n"));
            assert_eq!(hears.try_iter().collect::<Vec<_>>(), [true, false, true]);
        }
    }
}
