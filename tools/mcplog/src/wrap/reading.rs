//! Reading along beside the traffic: what passes is shown to the observer, and nothing that goes wrong there touches it.
//!
//! Called by the threads that pass bytes on, before they do. Where reading along panics, what comes passes unread, and that
//! is said once.

use super::words::{Subject, Words};
use mcplog_observe::{Pipe, PipeReader, Side};
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What reads along, if anything does.
pub(super) struct Reading {
    readers: Option<Readers>,
    words: Arc<Words>,
    /// A panic ended it.
    failed: AtomicBool,
}

struct Readers {
    pipe: Arc<Pipe>,
    client: Mutex<Option<PipeReader>>,
    server: Mutex<Option<PipeReader>>,
}

impl Reading {
    /// Reads what passes that pipe along; nothing where there is none.
    pub(super) fn new(pipe: Option<Arc<Pipe>>, words: Arc<Words>) -> Self {
        let readers = pipe.map(|pipe| Readers {
            client: Mutex::new(Some(pipe.reader(Side::Client))),
            server: Mutex::new(Some(pipe.reader(Side::Server))),
            pipe,
        });
        Self { readers, words, failed: AtomicBool::new(false) }
    }

    /// That side sends that.
    pub(super) fn show(&self, side: Side, bytes: &[u8]) {
        self.guarded(|readers| {
            if let Some(reader) = &mut *readers.of(side).lock() {
                reader.push(bytes);
            }
        });
    }

    /// That side sends nothing more.
    pub(super) fn finish(&self, side: Side) {
        self.guarded(|readers| {
            let reader = readers.of(side).lock().take();
            if let Some(reader) = reader {
                reader.finish();
            }
        });
    }

    /// The client takes no more answers.
    pub(super) fn client_gone(&self) {
        self.guarded(|readers| readers.pipe.on_client_gone());
    }

    /// The server is gone, and why.
    pub(super) fn server_gone(&self, cause: &str) {
        self.guarded(|readers| readers.pipe.on_server_gone(cause));
    }

    fn guarded(&self, read: impl FnOnce(&Readers)) {
        let Some(readers) = self.readers.as_ref().filter(|_| !self.failed.load(Ordering::Relaxed)) else { return };
        if unwound(|| read(readers)) {
            self.failed.store(true, Ordering::Relaxed);
            let text = "reading along failed, which is a fault of mcplog: from now on messages pass unread, and nothing \
                        more of this server is recorded";
            self.words.say_once(Subject::Reading, text);
        }
    }
}

impl Readers {
    fn of(&self, side: Side) -> &Mutex<Option<PipeReader>> {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }
}

/// Whether that panicked.
fn unwound(action: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(action)).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcplog_observe::{Counts, Nowhere, Observer, SchemaQueue, SchemaResult, Surroundings, SystemClock};

    struct NoSchema;

    impl SchemaQueue for NoSchema {
        fn offer(&self, _result: SchemaResult) {}
    }

    #[test]
    fn after_a_panic_everything_passes_unread_and_nothing_panics_again() {
        let observer = Observer::new(Surroundings {
            proxy: "p".into(),
            sink: Arc::new(Nowhere),
            schema: Arc::new(NoSchema),
            counts: Arc::new(Counts::default()),
            clock: Arc::new(SystemClock),
            session_idle_ms: 0,
        });
        let reading = Reading::new(Some(Pipe::begin(&observer)), Arc::new(Words::new(true)));
        reading.show(Side::Client, b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n");
        assert_eq!(observer.open_calls(), 1, "it is read along");
        reading.guarded(|_| panic!("a fault"));
        reading.show(Side::Client, b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\n");
        assert_eq!(observer.open_calls(), 1, "it is not read any more");
        reading.guarded(|_| panic!("it is not called"));
        reading.finish(Side::Client);
        reading.server_gone("exit code 0");
    }
}
