//! A pipe that tests speak through, and what was recorded of it.

use super::{Noise, Pipe, PipeReader, Side};
use crate::Budget;
use crate::testing::{Seen, SeenSession, Surrounded};
use std::sync::Arc;

pub(super) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","clientInfo":{"name":"claude-code","version":"2.1"}}}"#;
pub(super) const INITIALIZED: &str =
    r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","serverInfo":{"name":"s"}}}"#;

/// A pipe, and the readers of both streams.
pub(super) struct Piped {
    pub(super) around: Surrounded,
    pub(super) pipe: Arc<Pipe>,
    client: Option<PipeReader>,
    server: Option<PipeReader>,
}

impl Piped {
    pub(super) fn new() -> Self {
        Self::within(Budget::default())
    }

    pub(super) fn within(budget: Budget) -> Self {
        let around = Surrounded::within(budget);
        let pipe = Pipe::begin(&around.observer);
        let [client, server] = [Side::Client, Side::Server].map(|side| Some(pipe.reader(side)));
        Self { around, pipe, client, server }
    }

    /// One whose client has shaken hands.
    pub(super) fn shaken() -> Self {
        let mut piped = Self::new();
        piped.client(INITIALIZE);
        piped.server(INITIALIZED);
        piped
    }

    /// The client sends a line.
    pub(super) fn client(&mut self, line: impl AsRef<[u8]>) {
        self.pass(Side::Client, &[line.as_ref(), b"\n"].concat());
    }

    /// The server sends a line.
    pub(super) fn server(&mut self, line: impl AsRef<[u8]>) {
        self.pass(Side::Server, &[line.as_ref(), b"\n"].concat());
    }

    /// Bytes of that side pass.
    pub(super) fn pass(&mut self, side: Side, bytes: &[u8]) {
        self.end_of(side).iter_mut().for_each(|reader| reader.push(bytes));
    }

    /// That side sends nothing more.
    pub(super) fn finish(&mut self, side: Side) {
        self.end_of(side).take().into_iter().for_each(PipeReader::finish);
    }

    fn end_of(&mut self, side: Side) -> &mut Option<PipeReader> {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// What was recorded of calls so far.
    pub(super) fn rows(&self) -> Vec<Seen> {
        self.around.seen()
    }

    /// The only row.
    pub(super) fn row(&self) -> Seen {
        let rows = self.rows();
        let [row] = rows.as_slice() else { panic!("{rows:#?}") };
        row.clone()
    }

    /// What was said of sessions so far.
    pub(super) fn sessions(&self) -> Vec<SeenSession> {
        self.around.sessions()
    }

    pub(super) fn noise(&self) -> (u64, u64) {
        let Noise { lines, bytes } = self.pipe.noise();
        (lines, bytes)
    }

    /// Everybody lets go of the pipe, and nobody says anything.
    pub(super) fn let_go(self) -> Surrounded {
        let Self { around, pipe, client, server } = self;
        drop((pipe, client, server));
        around
    }

    /// The same, and of the observer. What was recorded in the end.
    pub(super) fn dropped(self) -> Vec<Seen> {
        self.let_go().into_seen()
    }
}
